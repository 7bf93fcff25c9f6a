"""Sets that are folders of images: ImageNet, Tiny-ImageNet, and anybody's own with one folder per class."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from rheobase.data import cache as disk
from rheobase.data.encodings import Direct
from rheobase.data.images import ImageFiles
from rheobase.data.samples import DataSet, Samples, complete

SUFFIXES = (".jpeg", ".jpg", ".png", ".bmp", ".webp")
STEPS = 4
CONSTANTS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # of ImageNet
TINY_CONSTANTS = ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262))
MARGIN = 256 / 224  # the shorter side of a test image over the size of the centre that is kept
SOLUTION = "LOC_val_solution.csv"

Listing = list[tuple[str, int]]  # path relative to the set's folder, label


def load_imagenet(folder: Path, size: int = 224, partial: bool = False) -> DataSet:
    """ImageNet (ILSVRC 2012): train/<class>/*.JPEG, and as test set val, in class folders or flat.

    A flat val needs Kaggle's LOC_val_solution.csv beside train. Classes are numbered in the order of their names
    (n01440764 is 0). Images stay in their files; give training `workers`. `partial` admits a part, and notes it.
    """
    kaggle = folder / "ILSVRC/Data/CLS-LOC"
    root, names = (kaggle, _folders(kaggle / "train")) if kaggle.is_dir() else (folder, _folders(folder / "train"))
    test = _by_class(root, "val", names) if _folders(root / "val") else _by_table(root, folder / SOLUTION, names)
    found = _data_set("imagenet", root, names, _by_class(root, "train", names), test, size)
    return complete(found, (1_281_167, 50_000), partial)


def load_image_folder(folder: Path, path: str | None = None, size: int = 224) -> DataSet:
    """A folder with train/<class>/ and test/<class>/ (or val/<class>/) of image files, which stay there.

    `path` is the folder (none: the root of the data sets). Training images: a random part, resized to `size`; others:
    resized so that the shorter side is 8/7 of the size, of which the centre is kept. Normalised with ImageNet's
    constants. The classes are those of train.
    Errors: FileNotFoundError and ValueError for a folder without classes, and for classes without images.
    """
    folder = folder if path is None else Path(path).expanduser()
    names = _folders(folder / "train")
    if not names:
        missing = f"{folder / 'train'} is missing or has no folders"
        raise FileNotFoundError(f"{missing}, one for each class. Give path=FOLDER.")
    test = "test" if (folder / "test").is_dir() else "val"
    train, held = (_by_class(folder, part, names) for part in ("train", test))
    for part, listing in (("train", train), (test, held)):
        _refuse_empty(folder / part, names, {label for _, label in listing})
    return _data_set(folder.name, folder, names, train, held, size)


def load_tiny_imagenet(folder: Path, cache: bool = True, partial: bool = False) -> DataSet:
    """Tiny-ImageNet, 200 classes of 64x64, in the folder tiny-imagenet-200.

    train/<class>/images/*.JPEG; val/images/*.JPEG with val/val_annotations.txt; wnids.txt. val is the test set, as in
    the papers (the labels of test are not published). Decoded once, then cached and mapped.
    """
    folder = folder / "tiny-imagenet-200"
    names = sorted(_words(folder / "wnids.txt", 1)[:, 0])
    label = {name: number for number, name in enumerate(names)}
    train = [(path, label[name]) for name in names for path in _images(folder, f"train/{name}/images")]
    table = _words(folder / "val/val_annotations.txt", 2)
    if strange := sorted(set(table[:, 1]) - set(names)):
        raise ValueError(f"{folder / 'val/val_annotations.txt'} has the class {strange[0]}, which wnids.txt lacks.")
    test = [(f"val/images/{file}", label[name]) for file, name in table]
    parts = []
    for part, listing in (("train", train), ("test", test)):
        files = _files(folder, listing, 64, None)
        parts.append(_samples(_decoded(f"tiny-imagenet-{part}", files, cache), listing, TINY_CONSTANTS))
    found = DataSet("tiny-imagenet", 200, parts[0], parts[1], Direct(STEPS), class_names=tuple(names))
    return complete(found, (100_000, 10_000), partial)


def _data_set(name: str, root: Path, names: list[str], train: Listing, test: Listing, size: int) -> DataSet:
    shorter = round(size * MARGIN)
    both = [_samples(_files(root, listing, size, shorter), listing, CONSTANTS) for listing in (train, test)]
    return DataSet(name, len(names), both[0], both[1], Direct(STEPS), class_names=tuple(names))


def _files(root: Path, listing: Listing, size: int, shorter: int | None) -> ImageFiles:
    return ImageFiles(root, np.array([path.encode() for path, _ in listing], "S"), size, shorter)


def _samples(values: torch.Tensor | ImageFiles, listing: Listing, constants: tuple) -> Samples:
    labels = torch.tensor([label for _, label in listing], dtype=torch.long)
    return Samples(values, labels, 1 / 255, mean=constants[0], std=constants[1])


def _decoded(name: str, files: ImageFiles, cache: bool) -> torch.Tensor:
    """All images of a small set in memory, or mapped from the cache."""
    rows = (files[torch.tensor([number])].read()[0].numpy() for number in range(len(files)))
    shape, dtype = (len(files), 3, files.size, files.size), np.dtype(np.uint8)
    if not cache:
        return torch.from_numpy(np.stack(list(rows)))
    key = disk.key_of((files.root / name.decode() for name in files.names), size=files.size)
    return disk.cached(disk.folder() / f"{name}.images", key, shape, dtype, rows)


def _folders(folder: Path) -> list[str]:
    """The names of the folders in a folder, in order; what begins with a dot is hidden, and no class."""
    return sorted(entry.name for entry in _shown(folder) if entry.is_dir()) if folder.is_dir() else []


def _shown(folder: Path) -> Iterator[os.DirEntry]:
    return (entry for entry in os.scandir(folder) if not entry.name.startswith("."))


def _images(root: Path, folder: str) -> Iterator[str]:
    """The image files of a folder, in order, relative to the root."""
    for entry in sorted(_shown(root / folder), key=lambda entry: entry.name):
        if entry.name.lower().endswith(SUFFIXES):
            yield f"{folder}/{entry.name}"


def _by_class(root: Path, part: str, names: list[str]) -> Listing:
    """One folder per class. Errors: ValueError for a class that train lacks, and for a part without images."""
    if strange := sorted(set(_folders(root / part)) - set(names)):
        raise ValueError(f"{root / part} has the class {strange[0]}, which {root / 'train'} lacks.")
    present = set(_folders(root / part))
    found = [
        (path, label) for label, name in enumerate(names) if name in present for path in _images(root, f"{part}/{name}")
    ]
    if not found:
        raise ValueError(f"{root / part} holds no images in folders, one for each class ({', '.join(SUFFIXES)}).")
    return found


def _refuse_empty(folder: Path, names: list[str], labels: set[int]) -> None:
    """Errors: ValueError naming classes of which a part has the folder and no images."""
    present = _folders(folder)
    empty = [name for label, name in enumerate(names) if name in present and label not in labels]
    if empty:
        kinds, more = ", ".join(SUFFIXES), f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        fix = f"Put images ({kinds}) there, or remove the folder."
        raise ValueError(f"{folder} has classes without images: {', '.join(empty[:5])}{more}. {fix}")


def _by_table(root: Path, table: Path, names: list[str]) -> Listing:
    """A flat val, with the classes of Kaggle's table: ImageId, and PredictionString that begins with the class."""
    if not table.is_file():
        fix = f"Move its images into class folders, or put Kaggle's {table.name} there"
        raise FileNotFoundError(f"{root / 'val'} is flat and {table} is missing. {fix}.")
    label = {name: number for number, name in enumerate(names)}
    try:
        with table.open(newline="") as opened:
            of_image = {row["ImageId"]: row["PredictionString"].split()[0] for row in csv.DictReader(opened)}
        return [(path, label[of_image[Path(path).stem]]) for path in _images(root, "val")]
    except (KeyError, IndexError, AttributeError) as error:
        fix = "Take it from Kaggle again."
        raise ValueError(f"{table} does not give every image of val a class of train ({error!r}). {fix}") from error


def _words(path: Path, count: int) -> np.ndarray:
    """The first words of each line: [lines, count]. Errors: ValueError naming a file with shorter lines."""
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    if not lines or min(map(len, lines)) < count:
        raise ValueError(f"{path} is empty or corrupt: every line has at least {count} words. Unpack it again.")
    return np.array([line[:count] for line in lines])
