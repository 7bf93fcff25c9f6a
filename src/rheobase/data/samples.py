"""A data set in memory: whole tensors, an encoding, and splits that keep groups apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Samples:
    """Samples with their labels, as whole tensors.

    Shapes: values [N, ...] in their stored type (`values * scale` is what a network sees), labels [N],
    lengths [N] in time steps or None where all are equally long, groups [N] (the speaker) or None.
    """

    values: Tensor
    labels: Tensor
    scale: float = 1.0
    lengths: Tensor | None = None
    groups: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Tensor) -> "Samples":
        """The samples at `index`, a tensor of positions or a boolean mask."""
        lengths = None if self.lengths is None else self.lengths[index]
        groups = None if self.groups is None else self.groups[index]
        return replace(self, values=self.values[index], labels=self.labels[index], lengths=lengths, groups=groups)


@dataclass(frozen=True)
class DataSet:
    """Training and test samples, and the encoding that turns a batch into time steps unless another is chosen."""

    name: str
    classes: int
    train: Samples
    test: Samples
    encoding: Callable[[Tensor], Tensor]


def hold_out_fraction(samples: Samples, fraction: float, seed: int = 0) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), taking the same fraction of every class.

    The choice depends on `seed` alone, so that runs which differ in weights and order share their validation set.
    Errors: fraction outside (0, 1), or one so small that nothing would be held out.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation fraction must lie between 0 and 1; got {fraction}. Give for example 0.1.")
    generator = torch.Generator().manual_seed(seed)
    held = torch.zeros(len(samples), dtype=torch.bool)
    for label in samples.labels.unique():
        members = (samples.labels == label).nonzero().flatten()
        order = torch.randperm(len(members), generator=generator)
        held[members[order[: round(fraction * len(members))]]] = True
    if not held.any():
        raise ValueError(f"validation fraction {fraction} of {len(samples)} samples holds out none. Give a larger one.")
    return samples[~held], samples[held]


def hold_out_group(samples: Samples, group: int) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), holding out all of one group: a speaker never heard in training."""
    if samples.groups is None:
        raise ValueError("these samples have no groups (speakers) to hold out. Hold out a fraction instead.")
    held = samples.groups == group
    if not held.any() or held.all():
        known = ", ".join(str(int(g)) for g in samples.groups.unique())
        raise ValueError(f"cannot hold out group {group}; the training samples are of groups {known}.")
    return samples[~held], samples[held]
