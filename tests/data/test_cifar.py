"""CIFAR in every original form: the same images come out; damage names the file."""

import pickle

import numpy as np
import originals
import pytest
import torch

import rheobase.data as data
from rheobase.data.pickled import unpickle

RANDOM = np.random.default_rng(0)


def images(count: int) -> np.ndarray:
    return RANDOM.integers(0, 256, (count, 3, 32, 32), np.uint8)


PARTS = {f"data_batch_{number}": images(4) for number in range(1, 6)} | {"test_batch": images(4)}
LABELS = np.array([3, 0, 9, 5])


@pytest.fixture(params=["binary", "python", "binary archive", "python archive"])
def ten(request, tmp_path):
    form, *archived = request.param.split()
    folder = {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"}[form]
    source = tmp_path / "unpacked" if archived else tmp_path
    for name, part in PARTS.items():
        if form == "binary":
            originals.cifar_binary(source / folder / f"{name}.bin", part, LABELS)
        else:
            originals.cifar_pickle(source / folder / name, part, b"labels", LABELS)
    if archived:
        originals.tar_gz(tmp_path / f"cifar-10-{form}.tar.gz", source, folder)
    return tmp_path


def test_every_form_of_cifar10_gives_the_same_images(ten):
    found = data.load("cifar-10", ten)
    train = torch.from_numpy(np.concatenate([PARTS[f"data_batch_{number}"] for number in range(1, 6)]))
    assert torch.equal(found.train.values, train) and found.train.labels.tolist() == LABELS.tolist() * 5
    assert torch.equal(found.test.values, torch.from_numpy(PARTS["test_batch"])) and not found.note
    for part in (found.train, found.test):
        assert (part.scale, (part.mean, part.std)) == (1 / 255, originals.CONSTANTS["cifar-10"])


def test_a_batch_is_normalised_and_shown_at_every_step(ten):
    found = data.load("cifar-10", ten)
    batch = next(data.batches(found.test, found.encoding, 3))
    first = (torch.from_numpy(PARTS["test_batch"][0, 0]) / 255 - 0.4914) / 0.2023
    assert batch.x.shape == (3, 3, 32, 32) and batch.steps == 4 and batch.sequence().shape == (4, 3, 3, 32, 32)
    torch.testing.assert_close(batch.x[0, 0], first, rtol=0, atol=1e-6)
    assert torch.equal(batch.sequence()[0], batch.sequence()[3])


@pytest.mark.parametrize("form", ["binary", "python"])
def test_cifar100_has_the_fine_labels(tmp_path, form):
    fine, coarse, parts = np.array([99, 7, 0]), np.array([1, 2, 3]), {"train": images(3), "test": images(3)}
    for name, part in parts.items():
        if form == "binary":
            originals.cifar_binary(tmp_path / f"cifar-100-binary/{name}.bin", part, coarse, fine)
        else:
            originals.cifar_pickle(tmp_path / f"cifar-100-python/{name}", part, b"fine_labels", fine)
    found = data.load("cifar-100", tmp_path)
    assert found.train.labels.tolist() == [99, 7, 0] and found.classes == 100
    assert torch.equal(found.test.values, torch.from_numpy(parts["test"]))
    for part in (found.train, found.test):
        assert (part.scale, (part.mean, part.std)) == (1 / 255, originals.CONSTANTS["cifar-100"])


def damage(ten, change) -> str:
    """Change the last training file, in whichever form it is, and give its name."""
    path = next(iter([*ten.glob("*.tar.gz"), *ten.glob("*/data_batch_5*")]))
    path.write_bytes(change(path.read_bytes()))
    return path.name


@pytest.mark.parametrize("change", [lambda raw: raw[:-100], lambda raw: raw[:11]])
def test_a_truncated_file_is_named(ten, change):
    name = damage(ten, change)
    with pytest.raises(ValueError, match=rf"{name}.* truncated.*etch it again"):
        data.load("cifar-10", ten)


def test_a_label_outside_the_classes_is_noticed(tmp_path):
    for name, part in PARTS.items():
        originals.cifar_binary(tmp_path / f"cifar-10-batches-bin/{name}.bin", part, LABELS + 1)
    with pytest.raises(ValueError, match=r"data_batch_1\.bin is corrupt: it has label 10 of 10 classes"):
        data.load("cifar-10", tmp_path)


class Runs:
    def __reduce__(self):
        return print, ("this must not run",)


def test_a_pickle_that_runs_code_is_refused(capsys):
    with pytest.raises(ValueError, match=r"evil is .*asks for builtins\.print"):
        unpickle(pickle.dumps({b"data": Runs()}), "evil", "Delete it.")
    assert "must not run" not in capsys.readouterr().out


@pytest.mark.data
def test_the_part_says_that_it_is_a_part(real_data):
    root = real_data("cifar-10-batches-bin/heldout_batch.bin")
    part = data.load("cifar-10-part", root)
    assert (len(part.train), len(part.test)) == (20_000, 10_000) and "20,000 of 50,000" in part.note
    assert part.train.labels.unique().tolist() == list(range(10))
    assert len(data.load("cifar-10-part", root, test="first1000").test) == 1000
    seen = part.train.normalise(part.train.values[:2000])
    assert seen.mean((0, 2, 3)).abs().max() < 0.1 and (seen.std((0, 2, 3)) - 1.22).abs().max() < 0.1
    if not (root / "cifar-10-batches-bin/data_batch_3.bin").exists():
        with pytest.raises(FileNotFoundError, match=r"rheobase data get cifar-10` downloads 170\.1 MB"):
            data.load("cifar-10", root)
