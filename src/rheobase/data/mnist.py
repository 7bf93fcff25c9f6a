"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images of 28x28 bytes, in idx files."""

from pathlib import Path

import numpy as np
import torch

from rheobase.data.encodings import Pixels
from rheobase.data.idx import read_idx
from rheobase.data.samples import DataSet, Samples

CLASSES = 10


def load_mnist(folder: Path) -> DataSet:
    """Read the four idx files of `folder`, plain or compressed. Encoded as pixels: 784 steps of one value."""
    return DataSet(folder.name, CLASSES, _samples(folder, "train"), _samples(folder, "t10k"), Pixels())


def _samples(folder: Path, part: str) -> Samples:
    """One part. Errors: ValueError naming the file that holds something else than images of 28x28, or their labels."""
    images, labels = (folder / f"{part}-{name}-ubyte" for name in ("images-idx3", "labels-idx1"))
    values, numbers = read_idx(images), read_idx(labels)
    if values.dtype != np.uint8 or values.shape[1:] != (28, 28) or not len(values):
        raise ValueError(f"{images} holds {values.dtype} {list(values.shape)}, not images of bytes. {_fix(folder)}")
    if numbers.shape != values.shape[:1]:
        raise ValueError(f"{labels} holds {list(numbers.shape)} labels for {len(values)} images. {_fix(folder)}")
    if numbers.min() < 0 or numbers.max() >= CLASSES:
        raise ValueError(f"{labels} has labels from {numbers.min()} to {numbers.max()}, for 10 classes. {_fix(folder)}")
    return Samples(torch.from_numpy(values), torch.from_numpy(numbers).long(), scale=1 / 255)


def _fix(folder: Path) -> str:
    return f"Delete the file and fetch it again with `rheobase data get {folder.name}`."
