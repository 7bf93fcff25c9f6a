"""Recurrent calls to compare: one neuron of every kind, exact and random inputs, and everything a call gives back."""

import dataclasses

import torch
from torch import Tensor

import rheobase as rb

STEPS = 37  # more than two chunks of the backward pass, and not a multiple of one
FUSED = [name for name, kind in rb.neurons.KINDS.items() if kind.fused]
TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}
GAIN = {"alif": 4.0, "problif": 4.0, "probplif": 4.0}  # neurons that take (1 - alpha) of their input


def make(name: str, n: int) -> rb.Neuron:
    """A neuron with parameters per neuron where it has any."""
    options = {"glif": {"steps": 3 * STEPS, "channels": n}, "probplif": {"features": n, "tau": 4.0}}
    channels = {kind: {"channels": n} for kind in ("plif", "iplif", "dalif", "klif", "tclif", "dietlif")}
    return rb.neurons.create(name, **(options | channels).get(name, {}))


@dataclasses.dataclass
class Inputs:
    """What goes into a call, made on the CPU and moved to where the kernels run."""

    x: Tensor
    weight: Tensor
    state: dict[str, Tensor] | None
    uniform: Tensor | None = None
    delays: Tensor | None = None

    def to(self, device: str) -> "Inputs":
        state = None if self.state is None else {name: v.to(device) for name, v in self.state.items()}
        uniform = None if self.uniform is None else self.uniform.to(device)
        delays = None if self.delays is None else self.delays.to(device)
        return Inputs(self.x.to(device), self.weight.to(device), state, uniform, delays)

    def leaves(self) -> dict[str, Tensor]:
        state = {name: v for name, v in (self.state or {}).items() if v.is_floating_point()}
        return {"x": self.x, "weight": self.weight, **state}


def dyadic(
    neuron: rb.Neuron, name: str, shape: tuple[int, int, int], dtype: torch.dtype, state: bool = True, delays=None
) -> Inputs:
    """Inputs on quarters, weights on sixteenths: sums are exact, so that their order does not matter."""
    g, wide = torch.Generator().manual_seed(1), torch.float64 if dtype == torch.float64 else torch.float32
    n, gain = shape[-1], GAIN.get(name, 1.0)

    def grid(size, spread: float, unit: float) -> Tensor:
        return (torch.randn(size, generator=g) * spread / unit).round() * unit

    x = (grid(shape, 1.5, 0.25) + 0.25) * gain
    weight = grid((n, n), 1.5 / max(n, 4) ** 0.5, 1 / 16) * gain
    given = None
    if state:
        given = {key: grid(shape[1:], 0.5, 0.125).to(wide) for key in neuron.states}
        history = () if delays is None else (1 + int(delays.max()),)
        given |= {"spikes": (torch.rand((*history, *shape[1:]), generator=g) < 0.3).to(wide)}
        given |= {key: torch.tensor(6) for key in neuron._clocked()}
    return Inputs(x.to(dtype), weight.to(wide), given, delays=delays)


def random(name: str, shape: tuple[int, int, int], dtype: torch.dtype) -> Inputs:
    """Ordinary numbers, from a fresh state."""
    g, n = torch.Generator().manual_seed(2), shape[-1]
    gain = GAIN.get(name, 1.0)
    x = (torch.randn(shape, generator=g) + 0.3) * gain
    weight = torch.randn((n, n), generator=g) * (gain / n**0.5)
    return Inputs(x.to(dtype), weight.to(torch.float64 if dtype == torch.float64 else torch.float32), None)


def call(neuron: rb.Neuron, inputs: Inputs, backend: str) -> dict[str, Tensor]:
    """Spikes, final state and every gradient of one call, for a fixed random cotangent of all outputs."""
    leaves = {name: v.detach().clone().requires_grad_() for name, v in inputs.leaves().items()}
    state = None if inputs.state is None else inputs.state | {k: v for k, v in leaves.items() if k in inputs.state}
    g = torch.Generator().manual_seed(3)
    with rb.backend(backend):
        spikes, last = neuron.recur(leaves["x"], leaves["weight"], state, uniform=inputs.uniform, delays=inputs.delays)
        assert rb.last_backend() == backend
    outputs = [spikes, *(v for v in last.values() if v.is_floating_point())]
    cots = [torch.randn(v.shape, generator=g).to(v) for v in outputs]
    kept = [(v, cot) for v, cot in zip(outputs, cots, strict=True) if v.requires_grad]
    wanted = {**leaves, **dict(neuron.named_parameters())}
    grads = torch.autograd.grad([v for v, _ in kept], list(wanted.values()), [c for _, c in kept], allow_unused=True)
    found = {"spikes": spikes.detach()} | {f"last:{k}": v.detach() for k, v in last.items()}
    for (key, leaf), grad in zip(wanted.items(), grads, strict=True):
        found[f"grad:{key}"] = torch.zeros_like(leaf) if grad is None else grad
    return found


def compare(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    """Equal spikes, and everything else within the tolerance of its type, relative to its largest entry."""
    assert one.keys() == two.keys()
    flips = int((one["spikes"] != two["spikes"]).sum())
    assert flips == 0, f"{flips} flips"
    for key, value in one.items():
        other, scale = two[key], value.abs().max().clamp(min=1e-3) if value.numel() else 1.0
        assert value.dtype == other.dtype and value.shape == other.shape, key
        if value.is_floating_point():
            error = float((value - other).abs().max() / scale) if value.numel() else 0.0
            assert error <= TOLERANCE[value.dtype], f"{key}: off by {error:.1e}"
        else:
            assert torch.equal(value, other), key


def identical(one: dict[str, Tensor], two: dict[str, Tensor]) -> None:
    """Equal bits (NaN included)."""
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=0, atol=0, equal_nan=True, msg=lambda m, k=key: f"{k}: {m}")
