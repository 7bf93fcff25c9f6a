"""CIFAR10-DVS: 10,000 recordings of CIFAR-10 images that move before a sensor of 128x128, in AEDAT 2.0 files."""

from pathlib import Path

from rheobase.data.aedat import read_aedat2
from rheobase.data.cifar import TEN
from rheobase.data.encodings import Events
from rheobase.data.event_set import Source, framed, numbered
from rheobase.data.frames import Framing
from rheobase.data.samples import DataSet, complete
from rheobase.data.split import part_of

SENSOR, STEPS, SIZE = 128, 10, 48
COMPLETE = (9_000, 1_000)


def load_cifar10_dvs(folder: Path, cache: bool = True, partial: bool = False, **framing) -> DataSet:
    """Read <class>/cifar10_<class>_<number>.aedat into frames [N, 10, 2, 48, 48].

    900 recordings of each class train and 100 test, as data/splits/cifar10-dvs.txt says. Groups are the recordings:
    1,000 times the label plus the number. `framing`: options of Framing. `partial` admits a folder without all 10,000
    files, and notes it.
    """
    chosen, split = Framing.chosen(framing, steps=STEPS, size=SIZE), part_of("cifar10-dvs")
    parts: dict[str, list[Source]] = {"train": [], "test": []}
    for label, name in enumerate(TEN):
        files = (folder / name).glob(f"cifar10_{name}_*.aedat")
        for number, path in sorted((numbered(path, rf"cifar10_{name}_(\d+)", split), path) for path in files):
            parts[split[number]].append(_source(path, label, number))
    train, test = (framed(f"cifar10-dvs-{part}", SENSOR, found, chosen, cache) for part, found in parts.items())
    return complete(DataSet("cifar10-dvs", len(TEN), train, test, Events()), COMPLETE, partial)


def _source(path: Path, label: int, number: int) -> Source:
    return Source(path, (label,), (1000 * label + number,), lambda: [read_aedat2(path)])
