"""CIFAR-10 and CIFAR-100: colour images of 32x32, from the original binary or pickled files, or from their archive.

Binary: label bytes (one in CIFAR-10; coarse, then fine in CIFAR-100), then 3x32x32 bytes, per image. Python: a pickled
dictionary of bytes keys with `data` [N, 3072] and `labels` or `fine_labels`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from rheobase.data.archives import Member, members
from rheobase.data.encodings import Direct
from rheobase.data.pickled import unpickle
from rheobase.data.samples import DataSet, Samples

PIXELS = 3 * 32 * 32
STEPS = 4
CONSTANTS = {
    10: ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    100: ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# Where the files may lie: a folder or an archive, the training files in it, the test file.
LAYOUTS_10 = tuple(
    (place, tuple(f"{folder}/data_batch_{number}{end}" for number in range(1, 6)), f"{folder}/test_batch{end}")
    for folder, end, archive in (
        ("cifar-10-batches-bin", ".bin", "cifar-10-binary.tar.gz"),
        ("cifar-10-batches-py", "", "cifar-10-python.tar.gz"),
    )
    for place in (".", archive)
)
LAYOUTS_100 = tuple(
    (place, (f"{folder}/train{end}",), f"{folder}/test{end}")
    for folder, end, archive in (
        ("cifar-100-binary", ".bin", "cifar-100-binary.tar.gz"),
        ("cifar-100-python", "", "cifar-100-python.tar.gz"),
    )
    for place in (".", archive)
)
PART = "cifar-10-batches-bin"
PART_TESTS = {"heldout": f"{PART}/heldout_batch.bin", "first1000": f"{PART}/test_first1000.bin"}


def load_cifar10(folder: Path) -> DataSet:
    """Read CIFAR-10, 50,000 and 10,000 images, from the first complete layout of LAYOUTS_10. Encoded directly, T=4."""
    return _load("cifar-10", folder, LAYOUTS_10, 10)


def load_cifar100(folder: Path) -> DataSet:
    """Read CIFAR-100 with its 100 fine labels, from the first complete layout of LAYOUTS_100. Encoded directly, T=4."""
    return _load("cifar-100", folder, LAYOUTS_100, 100)


def load_cifar10_part(folder: Path, test: str = "heldout") -> DataSet:
    """Read the part of CIFAR-10 that this project trains on: training batches 1 and 2, 20,000 images.

    `test` is "heldout" (training batch 5, 10,000 images never trained on) or "first1000" (of the original test set).
    Accuracies on it lie below those of the complete set and are not comparable with published ones.
    """
    if test not in PART_TESTS:
        raise ValueError(f"cifar-10-part: test is one of {', '.join(PART_TESTS)}; got {test!r}.")
    train = tuple(f"{PART}/data_batch_{number}.bin" for number in (1, 2))
    found = _load("cifar-10-part", folder, ((".", train, PART_TESTS[test]),), 10)
    note = f"A part of CIFAR-10: 20,000 of 50,000 training images, test set {test} ({len(found.test):,} images)."
    return DataSet(found.name, 10, found.train, found.test, found.encoding, note, found.class_names)


def _load(name: str, folder: Path, layouts: tuple, classes: int) -> DataSet:
    for place, train, test in layouts:
        files = members(folder / place, [*train, test])
        if files is not None:
            *parts, last = (_samples(file, name, classes) for file in files)
            whole = Samples(
                torch.cat([torch.as_tensor(part.values) for part in parts]),
                torch.cat([part.labels for part in parts]),
                scale=last.scale,
                mean=last.mean,
                std=last.std,
            )
            return DataSet(name, classes, whole, last, Direct(STEPS), class_names=TEN if classes == 10 else ())
    places = ", ".join(place if place != "." else train[0] for place, train, _ in layouts)
    raise FileNotFoundError(f"{name}: {folder} holds none of its layouts complete ({places}).")


def _samples(file: Member, name: str, classes: int) -> Samples:
    fix = f"Delete it and fetch it again; `rheobase data show {name}` says from where."
    parse: Callable = _binary if file.name.endswith(".bin") else _pickled
    images, labels = parse(file, classes, fix)
    if len(labels) and labels.max() >= classes:
        raise ValueError(f"{file.name} is corrupt: it has label {labels.max()} of {classes} classes. {fix}")
    mean, std = CONSTANTS[classes]
    values = torch.from_numpy(images.reshape(-1, 3, 32, 32).copy())
    return Samples(values, torch.from_numpy(labels.astype(np.int64)), scale=1 / 255, mean=mean, std=std)


def _binary(file: Member, classes: int, fix: str) -> tuple[np.ndarray, np.ndarray]:
    raw, head = np.frombuffer(file.content, np.uint8), 1 if classes == 10 else 2
    if len(raw) == 0 or len(raw) % (head + PIXELS):
        size = f"{len(raw)} bytes are not a whole number of records of {head + PIXELS}"
        raise ValueError(f"{file.name} is truncated or corrupt: {size}. {fix}")
    records = raw.reshape(-1, head + PIXELS)
    return records[:, head:], records[:, head - 1]


def _pickled(file: Member, classes: int, fix: str) -> tuple[np.ndarray, np.ndarray]:
    found = unpickle(file.content, file.name, fix)
    key = b"labels" if classes == 10 else b"fine_labels"
    if not isinstance(found, dict) or b"data" not in found or key not in found:
        raise ValueError(f"{file.name} is not a batch of CIFAR-{classes}: it has no data and {key.decode()}. {fix}")
    images, labels = found[b"data"], np.asarray(found[key], np.int64)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
        raise ValueError(f"{file.name} is corrupt: its data is not uint8 [{len(labels)}, {PIXELS}]. {fix}")
    return images, labels


def paths(layouts: tuple) -> Iterator[tuple[str, ...]]:
    """The files of each layout, relative to the data folder: what must be there."""
    for place, train, test in layouts:
        yield (*train, test) if place == "." else (place,)
