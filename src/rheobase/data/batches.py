"""Batches: index-based, in a given order, from any position; and sequences of different lengths side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rheobase.data.encodings import Encoding
from rheobase.data.samples import Samples


@dataclass(frozen=True)
class Batch:
    """Shapes: x [T, B, ...], labels [B], lengths [B] (valid steps of each sample) or None where all are T."""

    x: Tensor
    labels: Tensor
    lengths: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Batch(self.x.to(device), self.labels.to(device), lengths)


def batches(
    samples: Samples, encode: Encoding, size: int, order: Tensor | None = None, start: int = 0
) -> Iterator[Batch]:
    """Yield the batches of one pass, from batch number `start` on.

    `order` is a permutation of the samples (none: as stored). The same order and start give the same batches, which
    is what makes an interrupted epoch resumable.
    """
    if size < 1:
        raise ValueError(f"batch size must be at least 1; got {size}.")
    order = torch.arange(len(samples)) if order is None else order
    for index in order.split(size)[start:]:
        chosen = samples[index]
        x = encode(chosen.values.to(torch.get_default_dtype()) * chosen.scale)
        yield Batch(x, chosen.labels, chosen.lengths)


def pad(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Put sequences [T_i, ...] of different lengths side by side: x [T, B, ...] filled with zeros, lengths [B]."""
    if not sequences:
        raise ValueError("pad: needs at least one sequence; got none.")
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return torch.nn.utils.rnn.pad_sequence(list(sequences)), lengths


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Mask [T, B], true where step t lies within the length of sample b."""
    if lengths.numel() and not (lengths.min() >= 1 and lengths.max() <= steps):
        low, high = int(lengths.min()), int(lengths.max())
        raise ValueError(f"lengths must lie between 1 and the {steps} steps of the batch; got {low} to {high}.")
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths
