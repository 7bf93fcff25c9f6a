"""Objectives: a loss for a readout over time, and the way the same readout is turned into a prediction.

Shapes: readout [T, B, classes], labels [B], lengths [B] (valid steps of each sequence) or None where all T are valid.
What lies after the end of a sequence changes neither loss nor gradient nor prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from rheobase.data import valid_steps
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


def every_step(readout: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Sum over the steps of the negative log-likelihood of log-softmax(readout), mean over the batch."""
    steps, batch, classes = readout.shape
    readout = readout if lengths is None else _cut(readout, lengths)  # before the logarithm: 0 times inf is no gradient
    losses = cross_entropy(readout.reshape(-1, classes), labels.repeat(steps), reduction="none").view(steps, batch)
    return (losses if lengths is None else losses * valid_steps(lengths, steps)).sum() / batch


def last_step(readout: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Negative log-likelihood at the last valid step (label-last), mean over the batch."""
    return cross_entropy(at_end(readout, lengths), labels)


def mean_readout(readout: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Negative log-likelihood of the readout's mean over time, mean over the batch."""
    return cross_entropy(over_time(readout, lengths), labels)


def _cut(readout: Tensor, lengths: Tensor) -> Tensor:
    """The readout with zeros, without gradient, after the end of each sequence."""
    valid = valid_steps(lengths, len(readout)).unsqueeze(-1)
    return torch.where(valid, readout, torch.zeros_like(readout))


@dataclass(frozen=True)
class Objective:
    """A loss, and the summary [B, classes] of the readout whose largest entry is the prediction."""

    loss: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    summary: Callable[[Tensor, Tensor | None], Tensor]

    def correct(self, readout: Tensor, labels: Tensor, lengths: Tensor | None = None) -> int:
        """How many predictions are right."""
        return int((self.summary(readout, lengths).argmax(1) == labels).sum())


OBJECTIVES = {
    "every_step": Objective(every_step, over_time),
    "last_step": Objective(last_step, at_end),
    "mean_readout": Objective(mean_readout, over_time),
}


def objective(name: str) -> Objective:
    """The objective of this name; an unknown one fails with the nearest known one."""
    if name not in OBJECTIVES:
        raise unknown("loss", name, OBJECTIVES)
    return OBJECTIVES[name]
