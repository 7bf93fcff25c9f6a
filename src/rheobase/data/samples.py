"""A data set: samples in memory or in files, an encoding, and splits that keep groups apart."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from rheobase.atomic import write_atomically
from rheobase.data.draws import Draws
from rheobase.data.images import ImageFiles


class Stored(Protocol):
    """Values that stay in files until a batch needs them: what a folder of images is."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor) -> "Stored": ...

    def read(self, draws: Draws | None) -> Tensor:
        """Read them: [N, ...]. With draws as augmented training samples (a random crop), without as for evaluation."""
        ...


@dataclass(frozen=True)
class Samples:
    """Samples with their labels.

    Shapes: values [N, ...] in their stored type, or in files; labels [N], lengths [N] in time steps or None where all
    are equally long, groups [N] (speaker, subject or recording) or None, ids [N]: the position in the whole set, which
    a split keeps. A network sees `(values * scale − mean) / std`, the constants per channel of [N, C, H, W].
    NumPy arrays are taken as tensors.
    Errors: ValueError where there is not one label for each value.
    """

    values: Tensor | Stored
    labels: Tensor
    scale: float = 1.0
    lengths: Tensor | None = None
    groups: Tensor | None = None
    ids: Tensor | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("values", "labels", "lengths", "groups", "ids"):
            if isinstance(array := getattr(self, name), np.ndarray):
                object.__setattr__(self, name, torch.from_numpy(array))  # frozen, but not yet made
        if self.labels.dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
            object.__setattr__(self, "labels", self.labels.long())
        if self.labels.dim() != 1 or len(self.values) != len(self.labels):
            given = f"{len(self.values)} values and labels {list(self.labels.shape)}"
            raise ValueError(f"Samples: needs one label for each value, labels [N]; got {given}.")

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        values = self.values
        kind = f"{list(values.shape[1:])} {values.dtype}" if isinstance(values, Tensor) else type(values).__name__
        return f"Samples({len(self):,} of {kind}, {len(self.labels.unique())} classes)"

    def __getitem__(self, index: Tensor) -> "Samples":
        """The samples at `index`, a tensor of positions or a boolean mask. Values in files stay there."""
        lengths = None if self.lengths is None else self.lengths[index]
        groups = None if self.groups is None else self.groups[index]
        chosen = {"labels": self.labels[index], "ids": self.positions()[index]}
        return replace(self, values=self.values[index], lengths=lengths, groups=groups, **chosen)

    def spread(self, count: int) -> "Samples":
        """So many samples, or all, evenly spread over the set: sets are often sorted by class or speaker."""
        return self[torch.linspace(0, len(self) - 1, min(count, len(self))).long()]

    def positions(self) -> Tensor:
        """The ids, counted where none were given: [N]."""
        return torch.arange(len(self)) if self.ids is None else self.ids

    def read(self, draws: Draws | None = None) -> Tensor:
        """The stored values as one tensor [N, ...]."""
        return self.values if isinstance(self.values, Tensor) else self.values.read(draws)

    def normalise(self, values: Tensor) -> Tensor:
        """What a network sees of stored values, in torch's default type."""
        seen = values.to(torch.get_default_dtype())
        seen = seen if self.scale == 1 else seen * self.scale
        if self.mean is None or self.std is None:
            return seen
        mean, std = (seen.new_tensor(constants).view(-1, 1, 1) for constants in (self.mean, self.std))
        return (seen - mean) / std


@dataclass(frozen=True)
class DataSet:
    """Training and test samples, and the encoding that turns a batch into time steps unless another is chosen.

    `note` says aloud what is unusual, such as a part of a set; `class_names` where the files name them.
    Errors: ValueError for labels that are not 0 to classes - 1.
    """

    name: str
    classes: int
    train: Samples
    test: Samples
    encoding: Callable[[Tensor], Tensor]
    note: str = ""
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if part.labels.dtype != torch.long:
                raise ValueError(f"{self.name}: labels must be whole numbers from 0; got {part.labels.dtype}.")
            if len(part) and not 0 <= int(part.labels.min()) <= int(part.labels.max()) < self.classes:
                low, high = int(part.labels.min()), int(part.labels.max())
                raise ValueError(f"{self.name}: labels must be 0 to {self.classes - 1}; got {low} to {high}.")

    def __repr__(self) -> str:
        note = f", note={self.note!r}" if self.note else ""
        parts = f"train={self.train!r}, test={self.test!r}"
        return f"DataSet({self.name!r}, {self.classes} classes, {parts}, encoding={self.encoding!r}{note})"

    def fingerprint(self) -> str:
        """Eight digits that differ between data sets: of name, labels, and values in memory."""
        digest = hashlib.sha256(f"{self.name} {self.classes} {self.encoding!r}".encode())
        for part in (self.train, self.test):
            for found in (part.labels, part.values):
                if isinstance(found, Tensor):
                    digest.update(f"{found.dtype} {list(found.shape)}".encode())
                    digest.update(found.contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()[:8]


def complete(found: DataSet, counts: tuple[int, int], partial: bool) -> DataSet:
    """The data set, with a note where it has fewer or more than `counts` (training, test) samples.

    Errors: ValueError for such a part of a set where `partial` was not given: it must be asked for.
    """
    if (len(found.train), len(found.test)) == counts:
        return found
    here = f"{len(found.train):,} of {counts[0]:,} training and {len(found.test):,} of {counts[1]:,} test samples"
    note = f"A part of {found.name}: {here}."
    if not partial:
        raise ValueError(f"{note} Complete the folder, or load it with partial=True if a part is what you want.")
    return replace(found, note=note)


def hold_out_fraction(samples: Samples, fraction: float, seed: int = 0) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), taking the same fraction of every class.

    The choice depends on `seed` alone, so that runs which differ in weights and order share their validation set.
    Errors: fraction outside (0, 1), or one so small or large that one side would be empty.
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
    if held.all():
        raise ValueError(f"validation fraction {fraction} of {len(samples)} samples leaves none. Give a smaller one.")
    return samples[~held], samples[held]


def hold_out_group(samples: Samples, group: int) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), holding out all of one group: a speaker never heard in training."""
    return hold_out_groups(samples, (group,))


def hold_out_groups(samples: Samples, groups: tuple[int, ...]) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), holding out all of these groups (speakers, subjects, recordings)."""
    if samples.groups is None:
        raise ValueError("these samples have no groups (speakers) to hold out. Hold out a fraction instead.")
    known = samples.groups.unique().tolist()
    if absent := [group for group in groups if group not in known]:
        raise ValueError(f"cannot hold out group {absent[0]}; the training samples are of groups {_listed(known)}.")
    held = torch.isin(samples.groups, torch.tensor(groups))
    if held.all() or not held.any():
        raise ValueError(f"holding out groups {_listed(groups)} of {_listed(known)} leaves one side empty.")
    return samples[~held], samples[held]


def hold_out_group_fraction(samples: Samples, fraction: float, seed: int = 0) -> tuple[Samples, Samples]:
    """Split `samples` into (rest, held out), holding out that share of the groups, whole: at least one, never all.

    For subjects and speakers, who would otherwise be on both sides. The choice depends on `seed` alone.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"validation fraction must lie between 0 and 1; got {fraction}. Give for example 0.1.")
    groups = torch.empty(0, dtype=torch.long) if samples.groups is None else samples.groups.unique()
    order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))
    count = max(1, min(round(fraction * len(groups)), len(groups) - 1))
    return hold_out_groups(samples, tuple(groups[order[:count]].tolist()))


def save_split(path: Path, **parts: Samples) -> None:
    """Write down which samples each part holds, by their ids in the whole set, and their groups: a JSON file."""
    write_atomically(path, (json.dumps({name: _told(part) for name, part in parts.items()}) + "\n").encode())


def check_split(path: Path, **parts: Samples) -> None:
    """Refuse data that have changed since `save_split` wrote down their parts.

    Compared are the samples and, of each, everything but its values: label, group, length, name of its image file.
    Errors: ValueError naming the first part that is no longer the same.
    """
    for name, kept in json.loads(path.read_text()).items():
        now = _told(parts[name])
        if any(now[key] != value for key, value in kept.items()):
            count = f"({kept['samples']:,} then, {now['samples']:,} now)"
            fix = "Put the data back as they were, or start a new run."
            raise ValueError(f"{path}: the {name} samples are no longer those that the run began with {count}. {fix}")


def _told(part: Samples) -> dict[str, Any]:
    digest = hashlib.sha256()
    for column in (part.labels, part.groups, part.lengths):
        digest.update(b"none" if column is None else column.numpy().tobytes())
    if isinstance(part.values, ImageFiles):
        digest.update(part.values.names.tobytes())
    return {
        "samples": len(part),
        "groups": None if part.groups is None else part.groups.unique().tolist(),
        "ids": part.positions().tolist(),
        "sha256": digest.hexdigest(),
    }


def _listed(groups) -> str:
    return ", ".join(str(int(group)) for group in groups)
