"""What event sets of vision sensors have in common: sources with labels go in, cached frames come out."""

import re
import sys
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.progress import track

from rheobase.data import cache as disk
from rheobase.data.frames import Framing, PixelEvents
from rheobase.data.samples import Samples

VERSION = 1  # of the frames: raise it when they change for the same events


@dataclass(frozen=True)
class Source:
    """One file with one or more samples: labels and groups (recording or subject) are known before it is read."""

    path: Path
    labels: tuple[int, ...]
    groups: tuple[int, ...]
    read: Callable[[], Sequence[PixelEvents]]


def numbered(path: Path, form: str, known: Container[int] | None = None) -> int:
    """The number in a file's name. Errors: ValueError naming a file that is not of the set."""
    found = re.fullmatch(form, path.stem)
    if found is None or (known is not None and int(found[1]) not in known):
        raise ValueError(f"{path} is no file of this set, by its name. Move it away.")
    return int(found[1])


def framed(name: str, sensor: int, sources: Sequence[Source], framing: Framing, cache: bool) -> Samples:
    """Frames [N, T, 2, side, side] of all samples, from the cache where it has them. `name` names the cache file.

    Errors: ValueError naming the file that is empty or damaged.
    """
    labels = [label for source in sources for label in source.labels]
    side = framing.side(sensor)
    shape, dtype = (len(labels), framing.steps, 2, side, side), framing.dtype(sensor)
    rows = _rows(name, sensor, sources, framing)
    if cache:
        key = disk.key_of((source.path for source in sources), version=VERSION, labels=labels, **asdict(framing))
        values = disk.cached(disk.folder() / f"{name}-{framing.slug(sensor)}.frames", key, shape, dtype, rows)
    else:
        values = torch.from_numpy(np.stack(list(rows)) if labels else np.zeros(shape, dtype))
    groups = [group for source in sources for group in source.groups]
    return Samples(values, torch.tensor(labels, dtype=torch.long), groups=torch.tensor(groups, dtype=torch.long))


def _rows(name: str, sensor: int, sources: Sequence[Source], framing: Framing) -> Iterator[np.ndarray]:
    quiet = len(sources) < 100 or not sys.stdout.isatty()
    for source in track(sources, f"{name}: events to frames", transient=True, disable=quiet):
        for label, events in zip(source.labels, source.read(), strict=True):
            try:
                yield framing(events, sensor)
            except ValueError as error:
                fix = "Take the file from its archive again."
                raise ValueError(f"{source.path}: {error} (label {label}). {fix}") from error
