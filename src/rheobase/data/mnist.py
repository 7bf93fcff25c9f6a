"""MNIST and Fashion-MNIST: 60,000 training and 10,000 test images of 28x28 bytes, in idx files."""

from pathlib import Path

import torch

from rheobase.data.encodings import Pixels
from rheobase.data.idx import read_idx
from rheobase.data.samples import DataSet, Samples


def load_mnist(folder: Path) -> DataSet:
    """Read the four idx files of `folder`, plain or compressed. Encoded as pixels: 784 steps of one value."""
    return DataSet(folder.name, 10, _samples(folder, "train"), _samples(folder, "t10k"), Pixels())


def _samples(folder: Path, part: str) -> Samples:
    images = torch.from_numpy(read_idx(folder / f"{part}-images-idx3-ubyte"))
    labels = torch.from_numpy(read_idx(folder / f"{part}-labels-idx1-ubyte")).long()
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {len(images)} {part} images but {len(labels)} labels. Fetch both files again.")
    return Samples(images, labels, scale=1 / 255)
