"""Batches: index-based, in a given order, from any position; and sequences of different lengths side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from rheobase.data.augment import Augmentation
from rheobase.data.draws import Draws
from rheobase.data.encodings import TIMED, Direct, Encoding
from rheobase.data.feed import ahead
from rheobase.data.recordings import Recordings, steps_used
from rheobase.data.samples import Samples


@dataclass(frozen=True)
class Batch:
    """What one step of training sees.

    Shapes: x [T, B, ...]; or, where `steps` is given, x [B, C, H, W], the same image at each of so many steps.
    labels [B]; lengths [B] (valid steps of each sample) or None where all are T; targets [B, classes], the soft labels
    after Mixup or CutMix, or None. `total` counts the samples of the batch over all ranks.
    """

    x: Tensor
    labels: Tensor
    lengths: Tensor | None = None
    steps: int | None = None
    targets: Tensor | None = None
    total: int = 0

    def __repr__(self) -> str:
        steps = "" if self.steps is None else f", steps={self.steps}"
        return f"Batch(x {list(self.x.shape)} {self.x.dtype}, labels {list(self.labels.shape)}{steps})"

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device; copies from pinned memory do not wait."""
        moved = {name: getattr(self, name) for name in ("x", "labels", "lengths", "targets")}
        return replace(
            self, **{name: value.to(device, non_blocking=True) for name, value in moved.items() if value is not None}
        )

    def pieces(self, count: int) -> "list[Batch]":
        """At most `count` batches of about equal size, which together are this one; `total` stays."""
        size = max(1, -(-len(self.labels) // count))
        x = self.x.split(size, dim=0 if self.steps is not None else 1)
        parts = {"labels": self.labels, "lengths": self.lengths, "targets": self.targets}
        split = {name: value.split(size) for name, value in parts.items() if value is not None}
        return [replace(self, x=x[k], **{name: value[k] for name, value in split.items()}) for k in range(len(x))]

    def trimmed(self) -> "Batch":
        """Without the steps after the end of the longest sequence."""
        if self.lengths is None or self.steps is not None:
            return self
        return replace(self, x=self.x[: int(self.lengths.max())])

    def sequence(self) -> Tensor:
        """x [T, B, ...], for models that do not take a repeated image."""
        return self.x if self.steps is None else self.x.expand(self.steps, *self.x.shape)


def batches(
    samples: Samples,
    encode: Encoding,
    size: int,
    order: Tensor | None = None,
    start: int = 0,
    *,
    augment: Augmentation | None = None,
    epoch: int = 0,
    shard: tuple[int, int] = (0, 1),
    workers: int = 0,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Yield the batches of one pass, from batch number `start` on.

    `order` is a permutation of the samples (none: as stored). The same order and start give the same batches, and the
    same epoch the same augmentation of each sample, which is what makes an interrupted epoch resumable.
    `shard` (rank, ranks) takes this rank's part of every batch of `size`. `workers` read and augment ahead: processes
    for values in files, one thread for values in memory; encodings draw in the caller, in order. To a `device` other
    than the CPU the stored bytes are sent, and normalised, mixed and encoded there. Images without a channel get
    one from direct, poisson and latency: [B, 1, H, W].
    """
    if size < 1:
        raise ValueError(f"batch size must be at least 1; got {size}.")
    order = torch.arange(len(samples)) if order is None else order
    one_pass = _Pass(samples, order.split(size), augment, epoch, shard)
    numbers, in_files = range(start, len(one_pass.indices)), not isinstance(samples.values, Tensor)
    if device is None or device.type == "cpu":
        ready = ahead(one_pass.batch, numbers, workers, in_files)
    else:
        ready = (one_pass.finish(part, device) for part in ahead(one_pass.read, numbers, workers, in_files))
    for batch in ready:
        x = batch.x.unsqueeze(1) if isinstance(encode, tuple(TIMED.values())) and batch.x.dim() == 3 else batch.x
        if isinstance(encode, Direct) and x.dim() == 4:
            yield replace(batch, x=x, steps=encode.steps)
        else:
            yield replace(batch, x=encode(x))


class Part(NamedTuple):
    """One rank's part of one batch as it is stored, augmented: values [B, ...], labels [B], lengths [B] or None."""

    values: Tensor
    labels: Tensor
    lengths: Tensor | None
    number: int
    total: int


@dataclass(frozen=True)
class _Pass:
    """One pass over the samples in batches of the given indices; it can be sent to worker processes."""

    samples: Samples
    indices: tuple[Tensor, ...]
    augment: Augmentation | None
    epoch: int
    shard: tuple[int, int]

    def read(self, number: int) -> Part:
        """Read and augment."""
        index, augment = self.indices[number], self.augment
        chosen = self.samples[_part(index, *self.shard)]
        draws = None if augment is None else Draws(augment.seed, self.epoch, chosen.positions())
        values, lengths = chosen.read(draws), chosen.lengths
        if augment is not None and draws is not None:
            values = augment(values, draws)
            if isinstance(chosen.values, Recordings):
                lengths = steps_used(values)  # a warped recording ends elsewhere
        return Part(values, chosen.labels, lengths, number, len(index))

    def finish(self, part: Part, device: torch.device | None = None) -> Batch:
        """Normalise and mix, on the device: x [B, ...]."""
        values, labels = (found.to(device, non_blocking=True) for found in (part.values, part.labels))
        x, targets = self.samples.normalise(values), None
        if self.augment is not None and self.augment.mix is not None:
            x, targets = self.augment.mix(x, labels, self.augment.seed, self.epoch, part.number)
        lengths = None if part.lengths is None else part.lengths.to(device)
        return Batch(x, labels, lengths, targets=targets, total=part.total)

    def batch(self, number: int) -> Batch:
        """Read, augment, normalise and mix."""
        return self.finish(self.read(number))


def _part(index: Tensor, rank: int, ranks: int) -> Tensor:
    """This rank's samples: neighbours stay together, because Mixup and CutMix mix a sample with its neighbour."""
    share = -(-len(index) // ranks)
    share += share % 2 if ranks > 1 else 0
    return index[rank * share : (rank + 1) * share]


def similar_lengths(order: Tensor, lengths: Tensor, size: int, pool: int, generator: torch.Generator) -> Tensor:
    """An order whose batches of `size` hold samples of similar length, each cut out of `pool` batches of `order`.

    The batches come in random order; only an incomplete one stays the last.
    """
    sorted_ = torch.cat([part[lengths[part].argsort(stable=True)] for part in order.split(size * pool)])
    whole = len(order) // size * size
    shuffled = sorted_[:whole].view(-1, size)[torch.randperm(whole // size, generator=generator)]
    return torch.cat([shuffled.flatten(), sorted_[whole:]])


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
