"""DVS128 Gesture: 11 gestures of 29 subjects before a sensor of 128x128, in AEDAT 3.1 files with tables of labels."""

import csv
from pathlib import Path

import numpy as np

from rheobase.data.aedat import read_aedat3
from rheobase.data.encodings import Events
from rheobase.data.event_set import Source, framed, numbered
from rheobase.data.frames import Framing, PixelEvents
from rheobase.data.samples import DataSet, complete
from rheobase.data.split import part_of

SENSOR, CLASSES, STEPS = 128, 11, 20
COMPLETE = (1_176, 288)
COLUMNS = ("class", "startTime_usec", "endTime_usec")


def load_gesture(folder: Path, cache: bool = True, partial: bool = False, **framing) -> DataSet:
    """Read user<NN>_<light>.aedat and user<NN>_<light>_labels.csv into frames [N, 20, 2, 128, 128].

    Subjects 1 to 23 train and 24 to 29 test, as data/splits/dvs-gesture.txt says. Groups are the subjects. A gesture is
    the events of start <= time < end of a row of the table. `framing`: options of Framing. `partial` admits a folder
    without all recordings, and notes it.
    """
    chosen, split = Framing.chosen(framing, steps=STEPS), part_of("dvs-gesture")
    parts: dict[str, list[Source]] = {"train": [], "test": []}
    for path in sorted(folder.glob("user*.aedat")):
        subject = numbered(path, r"user(\d+)_.+", split)
        parts[split[subject]].append(_source(path, subject))
    train, test = (framed(f"dvs-gesture-{part}", SENSOR, found, chosen, cache) for part, found in parts.items())
    return complete(DataSet("dvs-gesture", CLASSES, train, test, Events()), COMPLETE, partial)


def load_gesture10(folder: Path, cache: bool = True, **framing) -> DataSet:
    """Read ten recordings, NN.npy with fields x, y, p, t (microseconds); 1 to 8 are called train, 9 and 10 test."""
    chosen, sources = Framing.chosen(framing, steps=STEPS), []
    for label in range(10):
        path = folder / f"{label + 1:02d}.npy"
        sources.append(Source(path, (label,), (label,), lambda path=path: [read_npy(path)]))
    parts = {"train": sources[:8], "test": sources[8:]}
    train, test = (framed(f"dvs-gesture-10-{part}", SENSOR, found, chosen, cache) for part, found in parts.items())
    note = "Ten recordings of DVS128 Gesture; their labels are inferred from the order: for pictures, not for accuracy."
    return DataSet("dvs-gesture-10", CLASSES, train, test, Events(), note)


def read_npy(path: Path) -> PixelEvents:
    """A structured array with the fields x, y, p and t."""
    fix = "Take it from its archive again."
    try:
        events = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path} is truncated, corrupt, or not an array ({error}). {fix}") from error
    if not {"x", "y", "p", "t"} <= set(events.dtype.names or ()):
        raise ValueError(f"{path} has no fields x, y, p and t; it is {events.dtype}. {fix}")
    return PixelEvents(*(events[name].astype(np.int64) for name in "xypt"))


def _source(path: Path, subject: int) -> Source:
    rows = read_labels(path.with_name(f"{path.stem}_labels.csv"))

    def read() -> list[PixelEvents]:
        events = read_aedat3(path)
        return [events.between(start, end) for _, start, end in rows]

    return Source(path, tuple(label for label, _, _ in rows), (subject,) * len(rows), read)


def read_labels(path: Path) -> list[tuple[int, int, int]]:
    """(label from 0, start, end in microseconds) of each gesture of a recording."""
    try:
        with path.open(newline="") as opened:
            table = [[int(row[column]) for column in COLUMNS] for row in csv.DictReader(opened)]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a table of {', '.join(COLUMNS)} ({error!r}).") from error
    rows = [(number - 1, start, end) for number, start, end in table]
    if not rows or not all(0 <= label < CLASSES and start < end for label, start, end in rows):
        raise ValueError(f"{path} is empty, or has a class outside 1 to {CLASSES} or a gesture that ends too early.")
    return rows
