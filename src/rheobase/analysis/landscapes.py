"""Loss and gradient landscapes along random directions, and measures of how fragmented they are.

A landscape needs only a function that returns the loss for the parameters as they stand, so that it serves networks
with exact and with surrogate gradients alike. Where that function also returns what spiked, changes of spike order and
count are found.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Trace = Tensor | None  # ids of the events of a sample, or of a batch, in the order in which they happened
Evaluate = Callable[[], Tensor | tuple[Tensor, Trace]]


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Losses and gradients on a grid over one or two directions.

    Shapes: steps [n]; loss and gradient_norm [n] or [n, n]; slope [directions, n] or [directions, n, n], the gradient
        along each direction; cosine [n - 1] or [n, n - 1], between the gradients of neighbours along the last axis, NaN
        where one of them is 0; order_changed and count_changed likewise, or None without traces.
    """

    steps: Tensor
    loss: Tensor
    gradient_norm: Tensor
    slope: Tensor
    cosine: Tensor
    order_changed: Tensor | None
    count_changed: Tensor | None


def direction(parameters: Sequence[Tensor], generator: torch.Generator | None = None) -> list[Tensor]:
    """A Gaussian direction, each row scaled to the norm of the parameter's row (for vectors: of the vector).

    A weight that is exactly 0 is a connection that does not exist: it does not move.
    Source: EQUATIONS "Landscapes"; filter normalisation, Li et al. 2018.
    """
    result = []
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype).to(parameter.device)
        noise *= parameter.detach() != 0
        rows = (1, -1) if parameter.dim() < 2 else (parameter.shape[0], -1)
        scale = parameter.detach().reshape(rows).norm(dim=1, keepdim=True)
        unit = noise.reshape(rows) / noise.reshape(rows).norm(dim=1, keepdim=True).clamp(min=1e-30)
        result.append((unit * scale).reshape(parameter.shape))
    return result


def scan(
    evaluate: Evaluate,
    parameters: Sequence[Tensor],
    directions: Sequence[Sequence[Tensor]],
    steps: Tensor,
) -> Landscape:
    """The landscape along W + α δ (one direction) or W + α δ + β η (two) for all α, β in `steps`.

    evaluate: loss, or (loss, event ids in order), for the parameters as they stand; it is called once per point.
    parameters: the tensors to move, requiring gradients; they hold their values again afterwards, come what may.
    Errors: ValueError unless there are one or two directions, shaped like the parameters, and two steps or more.
    """
    _check(parameters, directions, steps)
    n, shape = len(steps), (len(steps),) * len(directions)
    flat = torch.stack([torch.cat([part.flatten() for part in one]).double() for one in directions])
    rows, traces, cosines, before = [], [], [], torch.zeros(())
    for index, at in enumerate(_grid(steps, directions)):
        with moved(parameters, directions, at):
            loss, gradient, trace = _point(evaluate, parameters)
        rows.append([loss, gradient.norm().item(), *(flat @ gradient).tolist()])
        traces.append(trace)
        if index % n:
            cosines.append(_cosine(before, gradient))
        before = gradient  # only one is kept: a grid of them would fill the memory
    loss, norm, *slopes = torch.tensor(rows, dtype=torch.float64).T
    slope = torch.stack(slopes).reshape(len(directions), *shape)
    cosine = torch.tensor(cosines, dtype=torch.float64).reshape(*shape[:-1], n - 1)
    return Landscape(steps, loss.reshape(shape), norm.reshape(shape), slope, cosine, *_changes(traces, shape))


def _cosine(one: Tensor, other: Tensor) -> float:
    if not (one.any() and other.any()):
        return float("nan")
    return torch.nn.functional.cosine_similarity(one, other, dim=0).item()


def gaps(landscape: Landscape) -> Tensor:
    """|ΔL - ∫ gradient| between neighbours along the last axis, the integral by the trapezoidal rule.

    A smooth loss has gaps that vanish with the third power of the step; a jump stays as large as it is.
    """
    width = landscape.steps.diff().double()
    slope = landscape.slope[-1]
    return (landscape.loss.diff(dim=-1) - width * (slope[..., 1:] + slope[..., :-1]) / 2).abs()


@dataclasses.dataclass(frozen=True)
class Jump:
    """A place on a line where the loss changes at once: `step` is where, `size` by how much more than the gradient."""

    step: float
    size: float


def jumps(
    evaluate: Evaluate,
    parameters: Sequence[Tensor],
    direction: Sequence[Tensor],
    line: Landscape,
    least: float,
) -> list[Jump]:
    """The gaps of at least `least` on a line that survive refinement.

    Math: an interval is halved as long as its gap is at least `least`, and both halves likewise, until the step cannot
        be seen in the parameters any more. The gap of a smooth function falls by 8 per halving, of a kink by 4, of a
        root by 1.4; only a jump stays. What tells a steep place from a jump is digits: give parameters in float64.
    Errors: ValueError for a landscape that is no line.
    """
    if line.loss.dim() != 1:
        raise ValueError(f"jumps: needs a line; got a landscape over {line.loss.dim()} directions.")
    flat = torch.cat([part.flatten() for part in direction]).double()

    def look(step: float) -> tuple[float, float, float]:
        with moved(parameters, [direction], (step,)), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*gradient explodes")  # a jump of LIF is where a spike is flat
            loss, gradient, _ = _point(evaluate, parameters)
        return step, loss, float(flat @ gradient)

    finest = max(torch.finfo(parameter.dtype).eps for parameter in parameters) * max(1.0, float(line.steps.abs().max()))

    def within(left: tuple[float, float, float], right: tuple[float, float, float]) -> Iterator[Jump]:
        gap, middle = _gap(left, right), (left[0] + right[0]) / 2
        if gap >= least and right[0] - left[0] <= 2 * finest:
            yield Jump(middle, gap)
        elif gap >= least:
            between = look(middle)
            yield from within(left, between)
            yield from within(between, right)

    ends = zip(line.steps.tolist(), line.loss.tolist(), line.slope[0].tolist(), strict=True)
    return [jump for left, right in itertools.pairwise(ends) for jump in within(left, right)]


def _gap(left: tuple[float, float, float], right: tuple[float, float, float]) -> float:
    return abs(right[1] - left[1] - (right[0] - left[0]) * (left[2] + right[2]) / 2)


def fragmentation(landscape: Landscape) -> dict[str, float]:
    """Measures of fragmentation along the last axis.

    `largest_gap`, `total_variation` (of the loss, mean over lines), `direction_consistency` (mean cosine of
    neighbouring gradients that are not 0; NaN without any), and, where traces were given, `order_changes` and
    `count_changes` (neighbours that differ).
    """
    measures = {
        "largest_gap": float(gaps(landscape).max()),
        "total_variation": float(landscape.loss.diff(dim=-1).abs().sum(-1).mean()),
        "direction_consistency": float(landscape.cosine.nanmean()),
    }
    if landscape.order_changed is not None and landscape.count_changed is not None:
        measures["order_changes"] = float(landscape.order_changed.sum())
        measures["count_changes"] = float(landscape.count_changed.sum())
    return measures


def _check(parameters: Sequence[Tensor], directions: Sequence[Sequence[Tensor]], steps: Tensor) -> None:
    shapes = [list(parameter.shape) for parameter in parameters]
    if len(directions) not in (1, 2) or any([list(d.shape) for d in one] != shapes for one in directions):
        given = [[list(d.shape) for d in one] for one in directions]
        raise ValueError(f"scan: needs one or two directions shaped like the parameters {shapes}; got {given}.")
    if steps.dim() != 1 or len(steps) < 2:
        raise ValueError(f"scan: steps must be a vector of at least two; got shape {list(steps.shape)}.")


def _grid(steps: Tensor, directions: Sequence) -> Iterator[tuple[float, ...]]:
    return itertools.product(steps.tolist(), repeat=len(directions))


@contextlib.contextmanager
def moved(parameters: Sequence[Tensor], directions: Sequence[Sequence[Tensor]], at: Sequence[float]) -> Iterator[None]:
    """The parameters moved by `at` along the directions; they hold their values again afterwards, come what may."""
    starts = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for i, parameter in enumerate(parameters):
            parameter.add_(sum(a * one[i] for a, one in zip(at, directions, strict=True)))
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, start in zip(parameters, starts, strict=True):
                parameter.copy_(start)


def _point(evaluate: Evaluate, parameters: Sequence[Tensor]) -> tuple[float, Tensor, Trace]:
    result = evaluate()
    loss, trace = result if isinstance(result, tuple) else (result, None)
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(parameters), allow_unused=True)
    gradient = torch.cat(
        [
            (torch.zeros_like(parameter) if one is None else one).flatten()
            for one, parameter in zip(found, parameters, strict=True)
        ]
    )
    return loss.item(), gradient.double(), trace


def _changes(traces: list[Trace], shape: tuple[int, ...]) -> tuple[Tensor | None, Tensor | None]:
    """(the order of events changed, the number of some neuron's events changed) between neighbours."""
    known = [trace for trace in traces if trace is not None]
    if len(known) < len(traces):
        return None, None
    n = shape[-1]
    pairs = [(known[i], known[i + 1]) for i in range(len(known)) if i % n != n - 1]
    counts = [not torch.equal(_sorted(one), _sorted(other)) for one, other in pairs]
    moved = [not torch.equal(one, other) for one, other in pairs]
    wanted = (*shape[:-1], n - 1)
    orders = torch.tensor(moved).reshape(wanted) & ~torch.tensor(counts).reshape(wanted)
    return orders, torch.tensor(counts).reshape(wanted)


def _sorted(trace: Tensor) -> Tensor:
    return trace.sort(dim=-1).values
