"""A data set: samples in memory or in files, an encoding, and splits that keep groups apart."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from rheobase.atomic import write_atomically
from rheobase.data.draws import Draws
from rheobase.data.images import ImageFiles

WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64)
PER_SAMPLE = ("lengths", "groups", "ids")


@runtime_checkable
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
    Errors: TypeError for what is no array; ValueError where there is not one label, length, group and id for each
    value, and for constants that leave nothing of the values.
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
        for name in ("values", "labels", *PER_SAMPLE):
            given = getattr(self, name)
            if given is not None or name not in PER_SAMPLE:
                object.__setattr__(self, name, _array(name, given))  # frozen, but not yet made
        if self.labels.dtype in WHOLE:
            object.__setattr__(self, "labels", self.labels.long())
        if self.labels.dim() != 1 or len(self.values) != len(self.labels):
            given = f"{len(self.values)} values and labels {list(self.labels.shape)}"
            raise ValueError(f"Samples: needs one label for each value, labels [N]; got {given}.")
        for name in PER_SAMPLE:
            found = getattr(self, name)
            if found is not None and (found.shape != self.labels.shape or found.dtype not in WHOLE):
                given = f"{found.dtype} {list(found.shape)}"
                raise ValueError(f"Samples: {name} must be whole numbers [{len(self)}], one a sample; got {given}.")
        self._check_constants()

    def _check_constants(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise ValueError("Samples: mean and std belong together; give both or none.")
        mean, std = (() if one is None else tuple(one) for one in (self.mean, self.std))
        if not all(map(math.isfinite, (self.scale, *mean, *std))) or 0 in (self.scale, *std):
            given = f"scale {self.scale}, mean {self.mean}, std {self.std}"
            raise ValueError(f"Samples: scale, mean and std must be finite, scale and std not 0; got {given}.")

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
    Errors: TypeError for parts that are no Samples and for an encoding that is no function; ValueError for labels that
    are not 0 to classes - 1.
    """

    name: str
    classes: int
    train: Samples
    test: Samples
    encoding: Callable[[Tensor], Tensor]
    note: str = ""
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not isinstance(self.classes, Integral) or self.classes < 1:
            given = f"{self.name!r} and {self.classes!r}"
            raise TypeError(f"DataSet: needs a name and a whole number of classes, 1 or more; got {given}.")
        if not callable(self.encoding):
            raise TypeError(f"{self.name}: encoding must be one of rheobase.data, as Rows(); got {self.encoding!r}.")
        for name, part in (("train", self.train), ("test", self.test)):
            if not isinstance(part, Samples):
                given = type(part).__name__
                raise TypeError(f"{self.name}: {name} must be Samples(values, labels) of rheobase.data; got {given}.")
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


def _array(name: str, given: Any) -> Any:
    """What Samples hold: a tensor, also of a NumPy array, or values in files. Errors: TypeError for anything else."""
    found = torch.from_numpy(given) if isinstance(given, np.ndarray) and given.dtype.kind in "biuf" else given
    if isinstance(found, Tensor):
        if found.dim() and not found.is_complex():
            return found
    elif name == "values" and isinstance(found, Stored):
        return found
    kind = f"an array of {given.dtype} {list(given.shape)}" if hasattr(given, "dtype") else type(given).__name__
    raise TypeError(f"Samples: {name} must be numbers, as a NumPy array or tensor [N, ...]; got {kind}.")


def check_finite(name: str, **parts: Samples) -> None:
    """Errors: ValueError naming the part, and the sample by its id, where values in memory are NaN or infinite."""
    for part, samples in parts.items():
        values = samples.values
        if not isinstance(values, Tensor) or not values.is_floating_point() or not values.numel():
            continue
        if torch.stack(values.aminmax()).isfinite().all():
            continue
        wrong = ~values.isfinite().reshape(len(values), -1).all(1)
        first = int(samples.positions()[wrong][0])
        what = f"{name}: {int(wrong.sum())} of the {len(samples)} {part} samples hold NaN or infinity"
        raise ValueError(f"{what}, the first of them sample {first}. Mend them, or leave them out.")


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
    Errors: ValueError naming the first part that is no longer the same, or a damaged file.
    """
    for name, kept in _written(path, set(parts)).items():
        now = _told(parts[name])
        if any(now.get(key) != value for key, value in kept.items()):
            count = f"({kept['samples']:,} then, {now['samples']:,} now)"
            fix = "Put the data back as they were, or start a new run."
            raise ValueError(f"{path}: the {name} samples are no longer those that the run began with {count}. {fix}")


def _written(path: Path, names: set[str]) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    parts = found if isinstance(found, dict) else {}
    whole = (isinstance(kept, dict) and isinstance(kept.get("samples"), int) for kept in parts.values())
    if set(parts) == names and all(whole):
        return parts
    fix = "Put it back, or delete it if you know that the data are still the same."
    raise ValueError(f"{path} is damaged: it no longer says what samples the run began with. {fix}")


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
