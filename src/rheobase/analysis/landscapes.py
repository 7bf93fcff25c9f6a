"""Loss and gradient landscapes along random directions, and measures of how fragmented they are.

A landscape needs only a function that returns the loss for the parameters as they stand, so that it serves networks
with exact and with surrogate gradients alike. Where that function also returns what spiked, changes of spike order and
count are found.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Trace = Tensor | None  # ids of the events of a sample, or of a batch, in the order in which they happened


@dataclasses.dataclass(frozen=True)
class Landscape:
    """Losses and gradients on a grid over one or two directions.

    Shapes: steps [n]; loss and gradient_norm [n] or [n, n]; slope [directions, n] or [directions, n, n], the gradient
        along each direction; cosine [n - 1] or [n, n - 1], between the gradients of neighbours along the last axis;
        order_changed and count_changed likewise, or None without traces.
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

    Source: EQUATIONS "Landscapes"; filter normalisation, Li et al. 2018.
    """
    result = []
    for parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        rows = (1, -1) if parameter.dim() < 2 else (parameter.shape[0], -1)
        scale = parameter.detach().reshape(rows).norm(dim=1, keepdim=True)
        unit = noise.reshape(rows) / noise.reshape(rows).norm(dim=1, keepdim=True).clamp(min=1e-30)
        result.append((unit * scale).reshape(parameter.shape))
    return result


def scan(
    evaluate: Callable[[], Tensor | tuple[Tensor, Trace]],
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
    shape = (len(steps),) * len(directions)
    points = [_point(evaluate, parameters, directions, at) for at in _moves(parameters, directions, steps)]
    loss = torch.tensor([point[0] for point in points], dtype=torch.float64).reshape(shape)
    gradients = torch.stack([point[1] for point in points])
    flat = torch.stack([torch.cat([d.flatten() for d in one]).double() for one in directions])
    return Landscape(
        steps, loss, gradients.norm(dim=1).reshape(shape), (gradients @ flat.T).T.reshape(len(directions), *shape),
        torch.nn.functional.cosine_similarity(*_neighbours(gradients.reshape(*shape, -1)), dim=-1),
        *_changes([point[2] for point in points], shape),
    )


def gaps(landscape: Landscape) -> Tensor:
    """|ΔL - ∫ gradient| between neighbours along the last axis, the integral by the trapezoidal rule.

    A smooth loss has gaps that vanish with the third power of the step; a jump stays as large as it is.
    """
    width = landscape.steps.diff().double()
    slope = landscape.slope[-1]
    return (landscape.loss.diff(dim=-1) - width * (slope[..., 1:] + slope[..., :-1]) / 2).abs()


def surviving_jumps(coarse: Landscape, fine: Landscape, least: float) -> int:
    """Jumps that refinement does not remove, on a line: gaps of at least `least` in which a part keeps half of them.

    fine: the same line with every step divided into equally many.
    """
    if coarse.loss.dim() != 1 or fine.loss.dim() != 1 or (len(fine.steps) - 1) % (len(coarse.steps) - 1):
        raise ValueError(
            "surviving_jumps: needs two lines, the second a refinement of the first; got "
            f"{list(coarse.loss.shape)} and {list(fine.loss.shape)} points."
        )
    wide = gaps(coarse)
    parts = gaps(fine).reshape(len(wide), -1).amax(dim=1)
    return int(((wide >= least) & (parts >= wide / 2)).sum())


def fragmentation(landscape: Landscape) -> dict[str, float]:
    """Measures of fragmentation along the last axis.

    `largest_gap`, `total_variation` (of the loss, mean over lines), `direction_consistency` (mean cosine of
    neighbouring gradients), and, where traces were given, `order_changes` and `count_changes` (neighbours that differ).
    """
    measures = {
        "largest_gap": float(gaps(landscape).max()),
        "total_variation": float(landscape.loss.diff(dim=-1).abs().sum(-1).mean()),
        "direction_consistency": float(landscape.cosine.mean()),
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


def _moves(parameters, directions, steps: Tensor) -> Iterator[tuple[float, ...]]:
    """Visit the grid with the parameters moved there; put them back at the end."""
    starts = [parameter.detach().clone() for parameter in parameters]
    grid = torch.cartesian_prod(*[steps] * len(directions)).reshape(-1, len(directions))
    try:
        for at in grid.tolist():
            with torch.no_grad():
                for i, (parameter, start) in enumerate(zip(parameters, starts, strict=True)):
                    parameter.copy_(start + sum(a * one[i] for a, one in zip(at, directions, strict=True)))
            yield tuple(at)
    finally:
        with torch.no_grad():
            for parameter, start in zip(parameters, starts, strict=True):
                parameter.copy_(start)


def _point(evaluate, parameters, directions, at) -> tuple[float, Tensor, Trace]:
    result = evaluate()
    loss, trace = result if isinstance(result, tuple) else (result, None)
    found: Sequence[Tensor | None] = [None] * len(parameters)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(parameters), allow_unused=True)
    gradient = torch.cat([
        (torch.zeros_like(parameter) if one is None else one).flatten()
        for one, parameter in zip(found, parameters, strict=True)
    ])
    return loss.item(), gradient.double(), trace


def _neighbours(values: Tensor) -> tuple[Tensor, Tensor]:
    """Neighbours along the last axis of the grid; values [..., n, features]."""
    return values[..., 1:, :], values[..., :-1, :]


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
