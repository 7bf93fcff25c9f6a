"""N-MNIST: MNIST's digits seen by a moving sensor, 34x34, in files of 40 bits an event."""

from pathlib import Path

import numpy as np

from rheobase.data.encodings import Events
from rheobase.data.event_set import Source, framed, numbered
from rheobase.data.frames import Framing, PixelEvents
from rheobase.data.samples import DataSet, complete

SENSOR, CLASSES, STEPS = 34, 10, 10
COMPLETE = (60_000, 10_000)


def load_nmnist(folder: Path, cache: bool = True, partial: bool = False, **framing) -> DataSet:
    """Read {Train,Test}/<digit>/<index>.bin into frames [N, 10, 2, 34, 34]. Groups are MNIST's indices.

    `framing`: options of Framing. `partial` admits a folder without all 70,000 files, and notes it.
    """
    chosen = Framing.chosen(framing, steps=STEPS)
    train, test = (
        framed(f"n-mnist-{part.lower()}", SENSOR, _sources(folder / part), chosen, cache) for part in ("Train", "Test")
    )
    return complete(DataSet("n-mnist", CLASSES, train, test, Events()), COMPLETE, partial)


def load_nmnist_part(folder: Path, **options) -> DataSet:
    """N-MNIST from a folder that holds a part of it."""
    return load_nmnist(folder, partial=True, **options)


def _sources(folder: Path) -> list[Source]:
    found = []
    for path in sorted(folder.glob("[0-9]/*.bin"), key=_number):
        found.append(Source(path, (int(path.parent.name),), (_number(path),), lambda path=path: [read_bin(path)]))
    return found


def _number(path: Path) -> int:
    return numbered(path, r"(\d+)")


def read_bin(path: Path) -> PixelEvents:
    """One recording. Five bytes an event: x, y, then one bit of polarity and 23 bits of microseconds, big-endian.

    Rows of 240 are not events: they say that the clock went over, 2^13 microseconds each.
    """
    raw = np.frombuffer(path.read_bytes(), np.uint8)
    if not len(raw) or len(raw) % 5:
        fix = "Take it from the original archive again."
        raise ValueError(f"{path} is truncated: {len(raw)} bytes are no whole number of events of 5 bytes. {fix}")
    x, y, high, middle, low = raw.reshape(-1, 5).astype(np.int64).T
    over = y == 240
    time = ((high & 0x7F) << 16 | middle << 8 | low) + np.cumsum(over) * 2**13
    kept = ~over
    return PixelEvents(x[kept], y[kept], high[kept] >> 7, time[kept])
