"""Braille letters touched by an artificial finger: 12 taxels, 27 classes, 50 touches each, up to 77 steps."""

import zipfile
from pathlib import Path

import numpy as np
import torch

from rheobase.data.encodings import Events
from rheobase.data.samples import DataSet, Samples

CLASSES, TEST_FROM = 27, 40


def load_braille(folder: Path) -> DataSet:
    """Read braille_taxels.npz: [N, 77, 12] bytes. Repetitions 0 to 39 train, 40 to 49 test; groups are repetitions."""
    path = folder / "braille_taxels.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            found = {name: opened[name] for name in ("data", "length", "labels", "repetition", "names")}
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is truncated, corrupt, or not the braille set ({error}). Unpack it again.") from error
    numbers = {name: torch.from_numpy(found[name].astype(np.int64)) for name in ("length", "labels", "repetition")}
    values, repetition = torch.from_numpy(found["data"]), numbers["repetition"]
    whole = Samples(values, numbers["labels"], 1 / 255, lengths=numbers["length"], groups=repetition)
    test = repetition >= TEST_FROM
    names = tuple(str(name) for name in found["names"])
    return DataSet("braille", CLASSES, whole[~test], whole[test], Events(), class_names=names)
