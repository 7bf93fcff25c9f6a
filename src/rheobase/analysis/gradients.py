"""What reaches a network's currents through time: the gradient per layer and step, its spatial and its temporal part.

Everything follows from a neuron's own step by automatic differentiation, so that it holds for any neuron: the spatial
part is the gradient truncated to one step, and what comes from j steps later is what truncation to j + 1 steps adds to
truncation to j.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from rheobase.layers import Recurrent, spiking_layers
from rheobase.neurons import Neuron, truncated


@dataclass(frozen=True)
class Layer:
    """One spiking layer in one backward pass: what went in, and the gradient of the loss for each of its spikes.

    `run(neuron, current)` gives the layer's spikes with that neuron in its place.
    Shapes: current and error [T, B, ...]; `error` is dL/ds[t] as it comes from the layers above. `valid` [T, B]: the
    steps within their sequence; None: all are.
    """

    neuron: Neuron
    run: Callable[[Neuron, Tensor], Tensor]
    current: Tensor
    error: Tensor
    valid: Tensor | None = None

    def gradient(self, steps: int | None = None) -> Tensor:
        """dL/dx [T, B, ...] for the layer's current, truncated to `steps`; None: all of it.

        Where x enters the potential as it is (LIF, CLIF, ILIF), this is the papers' dL/du.
        """
        neuron = self.neuron if steps is None else truncated(self.neuron, steps)
        x = self.current.detach().requires_grad_()
        return torch.autograd.grad(self.run(neuron, x), x, self.error)[0]

    def pairs(self, distance: int) -> Tensor:
        """Where both a step and the one `distance` later lie in their sequence, spread over the currents [T - distance,
        B, ...]."""
        steps = len(self.current) - distance
        if self.valid is None:
            return torch.ones_like(self.current[:steps], dtype=torch.bool)
        both = (self.valid[:steps] & self.valid[distance:]).to(self.current.device)
        return both.view(*both.shape, *[1] * (self.current.dim() - 2)).expand_as(self.current[:steps])


def layers(model: nn.Module, loss: Callable[[], Tensor], lengths: Tensor | None = None) -> dict[str, Layer]:
    """Every spiking layer by name, in the order in which they run, for one call of `loss`, which runs the model once.

    Neurons that draw their spikes draw the same ones wherever `Layer.gradient` runs them again. `lengths` [B], steps:
    what follows the end of a sequence is padding, to which no loss looks, and counts in no mean.
    Errors: ValueError for a model without spiking layers, and in training mode, where statistics would change.
    """
    found = spiking_layers(model)
    if not found:
        raise ValueError(f"gradients: {type(model).__name__} has no spiking layers.")
    if model.training:
        raise ValueError("gradients: put the model in evaluation mode first, model.eval().")
    generators: dict[str, Tensor] = {}
    calls: dict[str, tuple[Tensor, Tensor]] = {}

    def before(name: str) -> Callable:
        return lambda *_: generators.update({name: torch.get_rng_state()})

    def after(name: str) -> Callable:
        return lambda _, inputs, spikes: calls.update({name: (inputs[0].detach(), spikes)})

    hooks = [layer.register_forward_pre_hook(before(name)) for name, layer in found.items()]
    hooks += [layer.register_forward_hook(after(name)) for name, layer in found.items()]
    try:
        value = loss()
    finally:
        for hook in hooks:
            hook.remove()
    errors = torch.autograd.grad(value, [spikes for _, spikes in calls.values()])
    return {
        name: replace(_layer(found[name], x, error, generators[name]), valid=_within(lengths, len(x)))
        for (name, (x, _)), error in zip(calls.items(), errors, strict=True)
    }


def _within(lengths: Tensor | None, steps: int) -> Tensor | None:
    return None if lengths is None else torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths


def _layer(layer: Neuron | Recurrent, x: Tensor, error: Tensor, generator: Tensor) -> Layer:
    """`generator`: the state of torch's generator when the layer was called, so that it can be called again."""

    def drawing(call: Callable, *arguments, **options):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(generator)
            return call(*arguments, **options)

    if isinstance(layer, Neuron):
        return Layer(layer, lambda neuron, current: drawing(neuron, current), x, error)
    current, start, _ = drawing(layer._open, x, None)

    def recur(neuron: Neuron, current: Tensor) -> Tensor:
        return drawing(neuron.recur, current, layer.weight_hh, start, delays=layer.axon_delays)[0]

    return Layer(layer.neuron, recur, current.detach(), error)


@dataclass(frozen=True)
class Split:
    """The gradient of one layer's currents per time step, all parts [T].

    `whole`, `spatial` and `temporal` are Euclidean norms over samples and neurons: dL/dx[t], its part that goes through
    the spike of the same step, and the rest, through the states. `cosine` is that between spatial part and whole, and
    `vanished` the share of currents whose temporal part is exactly 0, of those whose sequence goes on for another step
    (1 where none does, as at the last step).
    """

    whole: Tensor
    spatial: Tensor
    temporal: Tensor
    cosine: Tensor
    vanished: Tensor


def split(layer: Layer) -> Split:
    """Norms and cosines of the spatial and the temporal part of a layer's gradient at every step."""
    whole, spatial = layer.gradient().flatten(1).double(), layer.gradient(1).flatten(1).double()
    temporal = whole - spatial
    cosine = nn.functional.cosine_similarity(whole, spatial, dim=1)
    goes_on = layer.pairs(1).flatten(1)
    gone = ((temporal[:-1] == 0) & goes_on).sum(1) / goes_on.sum(1)
    vanished = torch.cat([gone.double().nan_to_num(1.0), gone.new_ones(1, dtype=torch.float64)])
    return Split(whole.norm(dim=1), spatial.norm(dim=1), temporal.norm(dim=1), cosine, vanished)


def distances(layer: Layer) -> Tensor:
    """Mean |part of dL/dx[t] that comes from the spike j steps later|, [T] by j; over neurons and all such pairs of
    steps in the samples, not a number where no sequence is so long."""
    steps, shorter, found = len(layer.current), torch.zeros_like(layer.current), []
    for j in range(steps):
        longer = layer.gradient(j + 1)
        found.append((longer - shorter)[: steps - j][layer.pairs(j)].abs().double().mean())
        shorter = longer
    return torch.stack(found)


def reach(neuron: Neuron, x: Tensor) -> Tensor:
    """Mean |∂s[T−1] / ∂x[T−1−j]| for currents x [T, ...] into single neurons: [T] by the distance j in steps."""
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(neuron(x)[-1].sum(), x)
    return gradient.flatten(1).abs().double().mean(1).flip(0)


def state_jacobian(neuron: Neuron, x: Tensor) -> Tensor:
    """∂state[t] / ∂state[t−1] of each neuron along its run over x: [T, to, from, ...], states in the neuron's order.

    The state is what follows a step, so that for soft-reset LIF this is `ε[t] = γ (1 − θ g(u[t] − θ))`. Products of
    these matrices carry gradients through time.
    Errors: TypeError for a neuron without states (PSN).
    """
    if not neuron.states:
        raise TypeError(f"state_jacobian: {type(neuron).__name__} has no states.")
    state, rows = neuron.zero_state(x), []
    for current in x.detach().split(1):
        given = {name: state[name].detach().requires_grad_() for name in neuron.states}
        _, after = neuron.scan(current, {**state, **given})
        rows.append(torch.stack([_row(after[name], list(given.values())) for name in neuron.states]))
        state = after
    return torch.stack(rows)


def _row(after: Tensor, before: list[Tensor]) -> Tensor:
    if not after.requires_grad:
        return torch.zeros_like(torch.stack(before))
    found = torch.autograd.grad(after.sum(), before, allow_unused=True, retain_graph=True)
    return torch.stack([torch.zeros_like(after) if one is None else one for one in found]).detach()
