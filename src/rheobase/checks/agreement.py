"""The fused kernel against the eager loop: spikes bit by bit, states and every gradient."""

from __future__ import annotations

from typing import Any
from unittest import mock

import torch
from torch import Tensor

from rheobase import surrogate as surrogates
from rheobase.checks.subject import (
    CHANNELS,
    DTYPES,
    WIDTH,
    Subject,
    counted,
    eighths,
    firing,
    outcome,
    quarters,
    require,
    start,
)
from rheobase.fuse import operator
from rheobase.neurons import Neuron, names

# How far the kernel may be from eager, relative to the largest entry. Neurons and surrogates of + − × compare and where
# are bit-equal in spikes and states; the order in which autograd adds up gradients is its own, and exp, σ, tanh and log
# of the kernels are within 2 ulp of the true value, as torch's are. Gradients to x are rounded to x's type once.
# Gradients of parameters are sums over neurons and steps: eager adds T numbers of x's arithmetic in turn, the kernel in
# float64, so that they differ by the rounding of partial sums, whose size is that of the norm of the gradient to x.
SLACK = {torch.float32: 2e-5, torch.float64: 1e-12, torch.bfloat16: 2e-5 + 2**-8, torch.float16: 2e-5 + 2**-11}
SUMMED = {torch.float32: 2e-6, torch.float64: 1e-14}
# Where the first flip on random data may happen: distance of the potential from the threshold, of r from p.
NEAR_THRESHOLD, NEAR_PROBABILITY = 1e-5, 1e-6
EXACT = {"input", "add", "sub", "mul", "neg", "abs", "ge", "gt", "le", "lt", "eq", "ne", "and", "or", "not", "where",
         "number", "maximum", "minimum", "relu", "sgn"}  # fmt: skip


def is_exact(neuron: Neuron) -> bool:
    """Whether the step itself uses only operations that round the same way everywhere."""
    program = neuron.program()
    return set(program.forward.operations(["s", *program.following])) <= EXACT


def assert_close(
    what: str, fused: Tensor, eager: Tensor, dtype: torch.dtype, exact: bool = False, summed: float = 0.0
) -> None:
    """Equal shapes, types and NaNs, and values within the slack of `dtype` of the largest one (exact: bit-equal).

    `summed`: the size of the partial sums behind a gradient to a parameter."""
    require(fused.shape == eager.shape, f"{what}: shape {tuple(fused.shape)} fused, {tuple(eager.shape)} eager")
    require(fused.dtype == eager.dtype, f"{what}: {fused.dtype} fused, {eager.dtype} eager")
    finite, wide = eager.isfinite(), eager.double()
    scale = float(wide[finite].abs().max()) if finite.any() else 0.0
    slack = 0.0 if exact else SLACK[dtype] * scale + (SUMMED[dtype] * summed if summed else 0.0)
    close = (fused.double() - wide).abs() <= slack
    same = close | (fused == eager) | (fused.isnan() & eager.isnan())
    if not same.all():
        at = tuple(int(i) for i in (~same).nonzero()[0])
        raise_at = f"{what}{list(at)}: {fused[at].item():.9g} fused, {eager[at].item():.9g} eager"
        require(False, f"{raise_at}; {int((~same).sum())} of {same.numel()} differ, largest entry {scale:.3g}")


def place(backend: str) -> str:
    """The device on which a backend is checked: "triton" on a GPU, or in Triton's interpreter on the CPU."""
    return "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"


def compare(
    neuron: Neuron, x: Tensor, state: dict | None, uniform: Tensor | None, title: str = "", backend: str = "cpu"
) -> int:
    """Eager against fused with zero flips; returns the number of spikes."""
    eager, fused = (outcome(neuron, x, name, state, uniform) for name in ("eager", backend))
    agree(neuron, eager, fused, x.dtype, title)
    return int((eager["spikes"] != 0).sum())


def agree(neuron: Neuron, eager: dict[str, Tensor], fused: dict[str, Tensor], dtype: torch.dtype, title: str) -> None:
    """Two outcomes without a flip: spikes bit-equal, states so where the step is exact, gradients close."""
    wide, exact, partial = neuron_dtype(dtype), is_exact(neuron), float(eager["gradient to x"].double().norm())
    parameters = {f"gradient to {name}" for name, _ in neuron.named_parameters()}
    for what, value in eager.items():
        bits = what == "spikes" or (exact and what.startswith("final"))
        summed = partial if what in parameters else 0.0
        assert_close(title + what, fused[what], value, dtype if what == "gradient to x" else wide, bits, summed)


def dyadic_ties(neuron: Neuron, x: Tensor, state: dict, uniform: Tensor | None) -> tuple[int, bool]:
    """How often the potential meets the threshold exactly, in eager; whether so many lie on a grid that some must."""
    with counted(neuron) as seen, torch.no_grad(), operator.backend("eager"):
        neuron.scan(x, state, **({} if uniform is None else {"uniform": uniform}))
    return seen["ties"], seen["even"] > seen["all"] // 2


def dyadic(
    subject: Subject, dtype: torch.dtype = torch.float32, steps: int = 24, backend: str = "cpu", **options
) -> None:
    """Bit-equal spikes on inputs in quarters, where potentials meet the threshold exactly; states and gradients."""
    neuron = subject.dyadic(steps, **options)
    neuron.to(place(backend), torch.float64 if dtype == torch.float64 else torch.float32)
    x = quarters((steps, 20, CHANNELS, WIDTH), dtype).to(place(backend))
    state, uniform = start(neuron, x), eighths(tuple(x.shape)).to(x.device) if neuron.random else None
    title = ", ".join([subject.name, str(dtype).removeprefix("torch."), *(f"{k}={v}" for k, v in options.items())])
    spikes = compare(neuron, x, state, uniform, title + ": ", backend)
    require(0 < spikes < x.numel(), f"{title}: {spikes} spikes of {x.numel()}; the inputs test nothing")
    if dtype == torch.float32 and neuron.surrogate is not None:
        ties, expected = dyadic_ties(neuron, x, state, uniform)
        require(ties or not expected, f"{title}: no potential meets the threshold exactly")


def dyadic_options(subject: Subject) -> None:
    """The dyadic check for every option of the neuron, in float32."""
    for options in subject.options():
        dyadic(subject, **options)


def dyadic_surrogates(subject: Subject) -> None:
    """The dyadic check for every surrogate and reset, in float32."""
    for reset in subject.resets():
        for surrogate in subject.surrogates():
            dyadic(subject, surrogate=surrogate, **reset)


def turns(subject: Subject) -> list[tuple[torch.dtype, str, str]]:
    """(type, surrogate, reset) for `dyadic_dtypes`: per type and reset one surrogate, another from neuron to neuron."""
    kinds = [type(kind).__name__ for kind in subject.surrogates()] or [""]
    known = names()
    first = known.index(subject.name.lower()) if subject.name.lower() in known else 0
    resets = [reset.get("reset", "") for reset in subject.resets()]
    return [
        (dtype, kinds[(first + d + 4 * r) % len(kinds)], reset)
        for d, dtype in enumerate(DTYPES)
        for r, reset in enumerate(resets)
    ]


def dyadic_dtypes(subject: Subject) -> None:
    """The dyadic check in every type: per type and reset one surrogate, another one from neuron to neuron."""
    for dtype, kind, reset in turns(subject):
        chosen: dict[str, Any] = {"surrogate": getattr(surrogates, kind)()} if kind else {}
        chosen |= {"reset": reset} if reset else {}
        dyadic(subject, dtype, **chosen)


def random_inputs(subject: Subject, dtype: torch.dtype = torch.float32, backend: str = "cpu", **options) -> int:
    """Random inputs: a first flip only next to the threshold; gradients where nothing flips. Returns the flips."""
    steps = 40
    neuron = subject.neuron(steps, **options)
    neuron.to(torch.float64 if dtype == torch.float64 else torch.float32)
    x = firing(neuron, (steps, 16, CHANNELS, WIDTH * 5), dtype).to(place(backend))
    neuron.to(place(backend))
    uniform = torch.rand(x.shape, generator=torch.Generator().manual_seed(5)).to(x.device) if neuron.random else None
    state = start(neuron, x)
    eager, fused = (outcome(neuron, x, name, state, uniform) for name in ("eager", backend))
    flipped = (eager["spikes"] != fused["spikes"]).any(0)
    count = int(flipped.sum())
    first_flips_are_near(subject.name, neuron, x, state, uniform, eager["spikes"], fused["spikes"])
    if is_exact(neuron):
        require(not flipped.any(), f"{subject.name}: {int(flipped.sum())} neurons flip, though the step is exact")
    require(flipped.float().mean() < 0.02, f"{subject.name}: {int(flipped.sum())} of {flipped.numel()} neurons flip")
    if flipped.any():
        kept = ~flipped
        eager, fused = (
            {
                k: v[:, kept] if v.shape == x.shape else v[kept]
                for k, v in found.items()
                if v.dim() > 2 and v.shape[-3:] == x.shape[-3:]
            }
            for found in (eager, fused)
        )
    agree(neuron, eager, fused, dtype, f"{subject.name}, random: ")
    return count


def first_flips_are_near(name, neuron, x, state, uniform, eager: Tensor, fused: Tensor) -> None:
    """The first flip of every neuron lies next to the threshold, or r next to p."""
    differ = eager != fused
    if not differ.any():
        return
    with torch.no_grad():
        record = neuron.trace(x, state, **({} if uniform is None else {"uniform": uniform}))
    first = differ & (differ.cumsum(0) == 1)
    if "p" in record and uniform is not None:
        gap, near = (uniform - record["p"])[first].abs(), NEAR_PROBABILITY
    else:
        gap, near = (record["d"] if "d" in record else distance(neuron, x, state))[first].abs(), NEAR_THRESHOLD
    require((gap < near).all(), f"{name}: a spike flips at a distance of {float(gap.max()):.3g} from the threshold")


def distance(neuron: Neuron, x: Tensor, state: dict) -> Tensor:
    """The potential minus the threshold at every step, in eager: as `trace` records it, or as the surrogate saw it."""
    with operator.backend("eager"), torch.no_grad():
        record = neuron.trace(x, state)
    if {"u", "threshold"} <= record.keys():
        return record["u"] - record["threshold"]
    seen: list[Tensor] = []
    inner = type(neuron.surrogate).__call__

    def fire(self, d, *rest, **named):
        seen.append(d)
        return inner(self, d, *rest, **named)

    with mock.patch.object(type(neuron.surrogate), "__call__", fire), operator.backend("eager"):
        neuron.scan(x.detach(), state)
    kind = type(neuron).__name__
    require(seen, f"{kind}: spikes flip, and dynamics does not say how near: self.note(u=..., threshold=...) would")
    return torch.stack(seen)


def neuron_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
