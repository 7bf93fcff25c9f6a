"""Objectives: a loss for a readout over time, and the way the same readout is turned into a prediction.

Shapes: readout [T, B, classes]; labels [B], or soft ones [B, classes]; lengths [B] (valid steps of each sequence) or
None where all T are valid. Every loss is a mean over the batch; `smoothing` spreads that share of a label over classes.
What lies after the end of a sequence changes neither loss nor gradient nor prediction.
Errors: ValueError for other shapes, no steps, smoothing outside [0, 1), and labels that are no class (looked at on the
CPU only).
"""

import functools
import inspect
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from rheobase.data import valid_steps
from rheobase.exact import losses as exact_losses
from rheobase.names import unknown


def over_time(readout: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Mean readout over the valid steps, [B, classes]."""
    if lengths is None:
        return readout.mean(0)
    return _cut(readout, lengths).sum(0) / lengths.unsqueeze(-1)


def at_end(readout: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Readout at the last valid step, [B, classes]."""
    if lengths is None:
        return readout[-1]
    valid_steps(lengths, len(readout))
    return readout[lengths - 1, torch.arange(len(lengths), device=lengths.device)]


def every_step(readout: Tensor, labels: Tensor, lengths: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Sum over the steps of the negative log-likelihood of log-softmax(readout)."""
    _check("every_step", readout, labels)
    _smoothing("every_step", smoothing)
    return _stepwise(readout, labels, lengths, smoothing).sum() / readout.shape[1]


def last_step(readout: Tensor, labels: Tensor, lengths: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood at the last valid step (label-last)."""
    _check("last_step", readout, labels)
    _smoothing("last_step", smoothing)
    return cross_entropy(at_end(readout, lengths), labels, label_smoothing=smoothing)


def mean_readout(readout: Tensor, labels: Tensor, lengths: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Negative log-likelihood of the readout's mean over time."""
    _check("mean_readout", readout, labels)
    _smoothing("mean_readout", smoothing)
    return cross_entropy(over_time(readout, lengths), labels, label_smoothing=smoothing)


def mse(readout: Tensor, labels: Tensor, lengths: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """Mean squared difference between the readout's mean over time and the label as a one-hot vector."""
    _check("mse", readout, labels)
    _smoothing("mse", smoothing)
    classes = readout.shape[-1]
    wanted = (1 - smoothing) * _soft(labels, classes, readout.dtype) + smoothing / classes
    return (over_time(readout, lengths) - wanted).square().mean()


def tet(
    readout: Tensor,
    labels: Tensor,
    lengths: Tensor | None = None,
    smoothing: float = 0.0,
    weight: float = 0.05,
    target: Literal["ones", "onehot"] = "ones",
) -> Tensor:
    """Temporal efficient training: every step is to be right, and not too sure.

    Math: `(1 − λ) · mean_t CE(o[t], y) + λ · MSE(o, Y)`, λ = `weight`, Y = 1 everywhere or the one-hot label; the means
    are over the valid steps of each sample.
    Errors: ValueError for a weight outside [0, 1], for smoothing beside weight 1, and for another target.
    Source: Deng et al. 2022, with the constants of CLIF's and ILIF's public code.
    """
    _check("tet", readout, labels)
    _share("tet", "weight", weight)
    _smoothing("tet", smoothing)
    if weight == 1 and smoothing:
        raise ValueError(f"tet: smoothing is for the cross entropy, which weight 1 leaves out; got {smoothing}.")
    if target not in ("ones", "onehot"):
        raise unknown("target of tet", str(target), ["ones", "onehot"])
    steps, batch, classes = readout.shape
    wanted = readout.new_ones(1, 1) if target == "ones" else _soft(labels, classes, readout.dtype)
    squares = ((readout if lengths is None else _cut(readout, lengths)) - wanted).square().mean(-1)
    if lengths is not None:
        squares = squares * valid_steps(lengths, steps)
    per_sample = (1 - weight) * _stepwise(readout, labels, lengths, smoothing).sum(0) + weight * squares.sum(0)
    return (per_sample / (steps if lengths is None else lengths)).sum() / batch


def _check(loss: str, readout: Tensor, labels: Tensor) -> None:
    """Errors: ValueError where readout or labels are not what the losses take."""
    if readout.dim() != 3 or not len(readout):
        wanted = "[T, B, classes] with at least one step"
        raise ValueError(f"{loss}: the readout must be {wanted}; got shape {tuple(readout.shape)}.")
    batch, classes = readout.shape[1:]
    if labels.shape not in ((batch,), (batch, classes)):
        wanted = f"[{batch}], or soft ones [{batch}, {classes}], for a readout {tuple(readout.shape)}"
        raise ValueError(f"{loss}: labels must be {wanted}; got shape {tuple(labels.shape)}.")
    if labels.dim() == 1 and (labels.is_floating_point() or labels.dtype == torch.bool):
        raise ValueError(f"{loss}: labels [B] must be whole numbers; got {labels.dtype}.")
    if labels.dim() == 1 and labels.is_cpu and batch and not torch.compiler.is_compiling():
        least, most = labels.min().item(), labels.max().item()
        if least < 0 or most >= classes:
            raise ValueError(f"{loss}: labels must lie in 0 ... {classes - 1}; got {least} ... {most}.")


def _share(loss: str, name: str, value: float, end: str = "]") -> None:
    """Errors: ValueError where a share of the loss is no number in [0, 1], or in [0, 1)."""
    inside = isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= 1
    if not inside or (end == ")" and value == 1):
        raise ValueError(f"{loss}: {name} must lie in [0, 1{end}; got {value!r}.")


def _smoothing(loss: str, value: float) -> None:
    """Errors: ValueError for a share that leaves nothing of a label, or is none."""
    _share(loss, "smoothing", value, ")")


def _stepwise(readout: Tensor, labels: Tensor, lengths: Tensor | None, smoothing: float) -> Tensor:
    """The cross entropy of every step, 0 after the end of a sequence: [T, B]."""
    steps, batch, classes = readout.shape
    readout = readout if lengths is None else _cut(readout, lengths)  # before the logarithm: 0 times inf is no gradient
    repeated = labels.repeat(steps, *[1] * (labels.dim() - 1))
    flat = cross_entropy(readout.reshape(-1, classes), repeated, reduction="none", label_smoothing=smoothing)
    losses = flat.view(steps, batch)
    return losses if lengths is None else losses * valid_steps(lengths, steps)


def _soft(labels: Tensor, classes: int, dtype: torch.dtype) -> Tensor:
    return (one_hot(labels, classes) if labels.dim() == 1 else labels).to(dtype)


def first_spike(
    readout: Tensor, labels: Tensor, lengths: Tensor | None = None, T: float = 2.0, gamma: float = 0.01
) -> Tensor:
    """Cross-entropy of the first spike times, readout = -time, with a pull towards early answers (`exact.losses`)."""
    return exact_losses.first_spike(-over_time(readout, lengths), labels, T, gamma)


def _cut(readout: Tensor, lengths: Tensor) -> Tensor:
    """The readout with zeros, without gradient, after the end of each sequence."""
    valid = valid_steps(lengths, len(readout)).unsqueeze(-1)
    return torch.where(valid, readout, torch.zeros_like(readout))


@dataclass(frozen=True)
class Objective:
    """A loss, and the summary [B, classes] of the readout whose largest entry is the prediction."""

    loss: Callable[..., Tensor]
    summary: Callable[[Tensor, Tensor | None], Tensor]

    def correct(self, readout: Tensor, labels: Tensor, lengths: Tensor | None = None) -> int:
        """How many predictions are right."""
        return int((self.summary(readout, lengths).argmax(1) == labels).sum())


OBJECTIVES = {
    "every_step": Objective(every_step, over_time),
    "last_step": Objective(last_step, at_end),
    "mean_readout": Objective(mean_readout, over_time),
    "first_spike": Objective(first_spike, over_time),
    "mse": Objective(mse, over_time),
    "tet": Objective(tet, over_time),
}


def objective(name: str, options: Mapping[str, Any] | None = None) -> Objective:
    """The objective of this name, its loss with these options; unknown names fail with the nearest known one."""
    if name not in OBJECTIVES:
        raise unknown("loss", name, OBJECTIVES)
    found = OBJECTIVES[name]
    known = list(inspect.signature(found.loss).parameters)[3:]
    for option in options or {}:
        if option not in known:
            raise unknown(f"option of loss {name}", option, known)
    made = replace(found, loss=functools.partial(found.loss, **(options or {})))
    made.loss(torch.zeros(1, 1, 2), torch.zeros(1, dtype=torch.long))  # so that wrong values fail here, before training
    return made
