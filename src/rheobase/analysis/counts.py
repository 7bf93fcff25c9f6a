"""What runs in a forward pass: every layer's size and how many of its inputs are not zero, counted by hooks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd, _MaxPoolNd
from torch.nn.utils.parametrize import ParametrizationList

from rheobase.exact.classifier import EventClassifier
from rheobase.layers import LeakyReadout, Recurrent, TimeFlatten, spiking_layers
from rheobase.layers.delays import delayed
from rheobase.layers.overtime import repeated
from rheobase.neurons import Neuron

PLAIN: dict[Any, str] = {
    _ConvNd: "conv", nn.Linear: "linear", _BatchNorm: "norm", nn.ReLU: "relu",
    _AvgPoolNd: "pool", _MaxPoolNd: "pool", _AdaptiveAvgPoolNd: "pool",
}  # fmt: skip
PARTS = (nn.ParameterDict, nn.ParameterList, ParametrizationList)  # what they hold belongs to the layer around them


@dataclass(frozen=True)
class Layer:
    """One layer in a forward pass: sizes per sample and step, activity as means over samples and steps.

    The matrices of a Recurrent layer (`weight_ih`, `weight_hh`) and its neuron are layers of their own; so are the
    matrix and the integrators of a LeakyReadout.
    """

    name: str
    kind: Literal["conv", "linear", "norm", "pool", "relu", "neuron", "integrator"]
    inputs: int
    """Elements of the input."""
    outputs: int
    """Elements of the output."""
    synapses: int = 0
    """Multiplications of a dense pass, bias left out; edges count as if the padding were there."""
    biases: int = 0
    """Additions of a bias."""
    weights: int = 0
    """Numbers in the weight."""
    parameters: int = 0
    """Numbers that are learnt: weight, bias, what a norm or a neuron learns."""
    fan_out: int = 0
    """Synapses of one input where stride and edges take none away: C_out k² of a convolution."""
    reach: int = 0
    """Outputs that one input reaches at most: ⌈k/S⌉² C_out of a convolution with stride S."""
    neuron: Neuron | None = None
    steps: float = 0.0
    """Time steps per sample."""
    active: float = 0.0
    """Share of the inputs that are not 0; of neurons the spikes per neuron and step."""
    spiking: bool = True
    """Whether every input was 0 or 1."""
    driven: bool = True
    """Whether neurons ran before it; otherwise its input comes from the data."""
    repeated: bool = False
    """Whether the input is one step seen again and again, so that this layer needs to run only once."""
    mixed: bool = False
    """Whether its spikes are no layer's own but merged on the way, by a max pool or a product as in attention."""
    target: Layer | None = None
    """The next layer of neurons or integrators, which this one feeds; None behind the last."""

    @property
    def synaptic(self) -> bool:
        """Whether it holds weights between neurons."""
        return self.kind in ("conv", "linear")


def uniform(layers: Iterable[Layer], rate: float) -> list[Layer]:
    """The layers if every neuron fired at this rate, in spikes per neuron and step; what the data drives stays.

    Layers that are `mixed` get the same rate, which is not theirs: a max pool passes more, a product fewer spikes.
    Errors: ValueError for a rate outside [0, 1].
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must lie in [0, 1] spikes per neuron and step; got {rate}.")
    fed = (replace(layer, active=rate) if _fires(layer) else layer for layer in layers)
    return _linked(fed)


def transferred(layers: Iterable[Layer], measured: Iterable[Layer]) -> list[Layer]:
    """The layers with the activity measured in a network of another width: what it would cost if its layers fired so.

    Errors: ValueError where the two are not the same layers by name.
    """
    sizes, seen = list(layers), list(measured)
    if [layer.name for layer in sizes] != [layer.name for layer in seen]:
        raise ValueError("transferred: both networks must have the same layers; measure one of the same architecture.")
    fields = ("steps", "active", "spiking", "repeated")
    activity = [{name: getattr(layer, name) for name in fields} for layer in seen]
    return _linked(replace(layer, **found) for layer, found in zip(sizes, activity, strict=True))


def firing_rate(layers: Iterable[Layer]) -> float:
    """Spikes per neuron and step over all neurons; not a number without neurons."""
    neurons = [layer for layer in layers if layer.kind == "neuron"]
    places = sum(layer.outputs * layer.steps for layer in neurons)
    spikes = sum(layer.active * layer.outputs * layer.steps for layer in neurons)
    return spikes / places if places else math.nan


def flops(layers: Iterable[Layer]) -> float:
    """Operations of all steps as if nothing were silent, as DA-LIF's table III counts them, per sample.

    Math: the synapses of layers with weights, 4 per element of a norm and per neuron, 1 per output of a pool.
    Source: the paper prints 873.47 M, 7.33 G and 13.93 G and does not say of what. Synapses alone are 1 % less; with
    these numbers, which we found, all three come out.
    """
    each = {"norm": 4, "neuron": 4, "integrator": 4, "pool": 1}
    return sum((layer.synapses + each.get(layer.kind, 0) * layer.outputs) * layer.steps for layer in layers)


def count(model: nn.Module, x: Tensor, *, coins: bool = False) -> list[Layer]:
    """The layers of one forward pass of x [T, B, ...] (or what else the model takes). See `Meter`."""
    with Meter(model, coins=coins) as meter:
        model(x)
    return meter.layers()


class Meter:
    """A context in which every layer's calls are counted: evaluation mode, no gradients, hooks on every layer.

    Set `valid` [T, B] before a batch with padding: steps where it is False do not count. With `coins` every spike is
    replaced by the toss of a coin, so that a layer shows whether it sees spikes, whatever an untrained network does.
    Errors: ValueError for event-driven networks and for a layer with weights that nothing here knows how to count.
    """

    def __init__(self, model: nn.Module, *, coins: bool = False):
        if isinstance(model, EventClassifier):
            raise ValueError(
                "energy: an event-driven network has no time steps, and every convention here counts operations per "
                "step. Count its spikes with rheobase.analysis.traces instead."
            )
        self.valid: Tensor | None = None
        self._model, self._samples = model, 0
        self._coins = torch.Generator().manual_seed(0) if coins else None
        self._tallies: dict[str, _Tally] = {}
        self._flat = {id(part) for one in model.modules() if isinstance(one, TimeFlatten) for part in one.modules()}
        self._shape, self._driven = (0, 0), False
        _refuse_unknown(model)

    def __enter__(self) -> Meter:
        self._before = self._model.training, torch.is_grad_enabled()
        self._model.eval()
        torch.set_grad_enabled(False)
        self._hooks = [self._model.register_forward_pre_hook(self._start)]
        spiking = {id(module) for module in spiking_layers(self._model).values()}
        for name, module in self._model.named_modules():
            kind = _kind(module)
            if isinstance(module, TimeFlatten):
                self._hooks.append(module.register_forward_pre_hook(self._flatten))
            elif id(module) in spiking:
                self._hooks.append(module.register_forward_hook(partial(self._spikes, name)))
            elif isinstance(module, LeakyReadout):
                self._hooks.append(module.register_forward_hook(partial(self._readout, name)))
            elif kind:
                self._hooks.append(module.register_forward_hook(partial(self._plain, name, kind)))
        self._hooks.append(self._model.register_forward_hook(self._end))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()
        self._model.train(self._before[0])
        torch.set_grad_enabled(self._before[1])

    def layers(self) -> list[Layer]:
        """What was counted, in the order in which the layers ran. Errors: ValueError where nothing did."""
        if not self._samples:
            raise ValueError("energy: nothing ran; call the model on x [T, B, ...] inside the Meter.")
        tallies = self._tallies.values()
        fired = {(tally.sizes.outputs, tally.nonzero) for tally in tallies if tally.sizes.kind == "neuron"}
        return _linked(tally.layer(self._samples, fired) for tally in tallies)

    def _start(self, model: nn.Module, inputs: tuple) -> None:
        self._driven = False

    def _end(self, model: nn.Module, inputs: tuple, y: Tensor) -> None:
        self._samples += y.shape[1]

    def _flatten(self, module: nn.Module, inputs: tuple) -> None:
        self._shape = inputs[0].shape[:2]

    def _plain(self, name: str, kind: str, module: nn.Module, inputs: tuple, y: Tensor) -> None:
        x = inputs[0]
        if id(module) in self._flat:
            x, y = x.unflatten(0, self._shape), y.unflatten(0, self._shape)
        self._note(name, kind, x, y, **{**_sizes(module, y[0, 0].numel()), "parameters": _learned(module)})

    def _spikes(self, name: str, module: nn.Module, inputs: tuple, s: Tensor) -> Tensor | None:
        tossed = None
        if self._coins is not None:
            tossed = torch.bernoulli(torch.full(s.shape, 0.5), generator=self._coins).to(s)
            s = tossed
        if isinstance(module, Recurrent):
            self._loop(name, module, inputs[0], s)
        else:
            self._note(name, "neuron", s, s, neuron=module, parameters=_learned(module))
        self._driven = True
        return tossed

    def _loop(self, name: str, module: Recurrent, x: Tensor, s: Tensor) -> None:
        """The input as it arrives, every neuron's spikes one step later and their delay, the neurons."""
        x = x if module.delays is None else delayed(x, module.delays)[0]
        late = torch.ones(module.features, dtype=torch.int64, device=s.device)
        back = delayed(s, late if module.axon_delays is None else late + module.axon_delays)[0]
        biases = 0 if module.bias is None else module.features
        matrix = {**_matrix(module.weight_ih), "biases": biases, "parameters": module.weight_ih.numel() + biases}
        self._note(f"{name}.weight_ih", "linear", x, s, late=module.delays is not None, **matrix)
        self._driven = True
        self._note(f"{name}.weight_hh", "linear", back, s, late=True, **_matrix(module.weight_hh))
        self._note(f"{name}.neuron", "neuron", s, s, neuron=module.neuron, parameters=_learned(module.neuron))

    def _readout(self, name: str, module: LeakyReadout, inputs: tuple, y: Tensor) -> None:
        self._note(f"{name}.weight", "linear", inputs[0], y, **_matrix(module.weight))
        integrator = module.integrator
        self._note(f"{name}.integrator", "integrator", y, y, neuron=integrator, parameters=_learned(integrator))

    def _note(self, name: str, kind: Any, x: Tensor, y: Tensor, late: bool = False, **sizes: Any) -> None:
        """Add one call of a layer on x [T, B, ...] that gave y [T, B, ...]. `late`: x lost what comes too late."""
        if not x.shape[0] or not x.shape[1]:
            return
        if name not in self._tallies:
            layer = Layer(name, kind, x[0, 0].numel(), y[0, 0].numel(), driven=self._driven, **sizes)
            self._tallies[name] = _Tally(layer, late)
        self._tallies[name].add(x.detach(), self.valid)


@dataclass
class _Tally:
    """A layer and the sums over its calls so far."""

    sizes: Layer
    late: bool = False
    places: float = 0.0
    nonzero: float = 0.0
    spiking: bool = True
    repeated: bool = True

    def add(self, x: Tensor, valid: Tensor | None) -> None:
        steps, batch = x.shape[:2]
        seen, times = (x[:1], steps) if repeated(x) and valid is None else (x, 1)
        if valid is not None:
            seen = seen * valid.view(*valid.shape, *[1] * (x.dim() - 2))
        self.places += steps * batch if valid is None else float(valid.sum())
        self.nonzero += float(torch.count_nonzero(seen)) * times
        self.spiking &= bool(((seen == 0) | (seen == 1)).all())
        self.repeated &= repeated(x)

    def layer(self, samples: int, fired: set[tuple[int, float]]) -> Layer:
        """`fired`: neurons and spikes of every layer of neurons; what sees one of them counts as many."""
        places = self.places * self.sizes.inputs
        found = replace(
            self.sizes,
            steps=self.places / samples,
            active=self.nonzero / places if places else 0.0,
            spiking=self.spiking,
            repeated=self.repeated,
        )
        own = self.late or (found.inputs, self.nonzero) in fired
        return replace(found, mixed=_fires(found) and not own)


def _fires(layer: Layer) -> bool:
    return layer.kind == "neuron" or (layer.spiking and layer.driven and layer.kind != "integrator")


def _linked(layers: Iterable[Layer]) -> list[Layer]:
    """The layers, each with the neurons that run next."""
    found: list[Layer] = []
    following: Layer | None = None
    for layer in reversed(list(layers)):
        found.append(replace(layer, target=following))
        if layer.kind in ("neuron", "integrator"):
            following = replace(layer, target=None)
    return found[::-1]


def _kind(module: nn.Module) -> str | None:
    return next((kind for base, kind in PLAIN.items() if isinstance(module, base)), None)


def _sizes(module: nn.Module, outputs: int) -> dict[str, Any]:
    """The sizes of a layer with weights that gives so many outputs."""
    if isinstance(module, nn.Linear):
        return {**_matrix(module.weight), "biases": 0 if module.bias is None else module.out_features}
    if not isinstance(module, _ConvNd):
        return {}
    per_output = module.weight[0].numel()
    channels = module.out_channels // module.groups
    covered = math.prod(-(-side // step) for side, step in zip(module.kernel_size, module.stride, strict=True))
    return {
        "synapses": outputs * per_output,
        "biases": 0 if module.bias is None else outputs,
        "weights": module.weight.numel(),
        "fan_out": channels * math.prod(module.kernel_size),
        "reach": channels * covered,
    }


def _matrix(weight: Tensor) -> dict[str, Any]:
    size, reached = weight.numel(), len(weight)
    return {"synapses": size, "weights": size, "parameters": size, "fan_out": reached, "reach": reached}


def _learned(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _refuse_unknown(model: nn.Module) -> None:
    for name, module in model.named_modules():
        known = isinstance(module, (Neuron, Recurrent, LeakyReadout)) or _kind(module)
        own = any(True for _ in module.parameters(recurse=False))
        if own and not known and not isinstance(module, PARTS):
            raise ValueError(
                f"energy: {name or 'the model'} ({type(module).__name__}) has weights, and nothing says how often they "
                "are used. Build it from convolutions, linear layers, norms, rb neurons, rb.Recurrent, rb.LeakyReadout."
            )
