"""Readers: what they return on good files, and what they say about bad ones."""

import gzip
import struct

import h5py
import numpy as np
import pytest
import torch

import rheobase.data as data
from rheobase.data.idx import read_idx


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 0x08, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_plain_and_compressed(tmp_path, suffix):
    raw = idx_bytes(IMAGES)
    (tmp_path / f"images{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    np.testing.assert_array_equal(read_idx(tmp_path / "images"), IMAGES)


def test_idx_reads_big_endian_numbers(tmp_path):
    (tmp_path / "x").write_bytes(struct.pack(">BBBBI2i", 0, 0, 0x0C, 1, 2, 1, 256))
    assert read_idx(tmp_path / "x").tolist() == [1, 256]


@pytest.mark.parametrize(
    "damage",
    [lambda raw: raw[:-1], lambda raw: raw + b"x", lambda raw: raw[:6], lambda raw: b"html" + raw, lambda raw: b""],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_idx_names_the_file_and_the_fix(tmp_path, damage, compressed):
    path = tmp_path / ("images.gz" if compressed else "images")
    raw = damage(idx_bytes(IMAGES))
    path.write_bytes(gzip.compress(raw) if compressed else raw)
    with pytest.raises(ValueError, match=rf"{path}.*rheobase data get"):
        read_idx(tmp_path / "images")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-9],
        lambda raw: raw[:5],
        lambda raw: b"garbage" + raw,
        lambda raw: raw[:20] + b"\xff\xff" + raw[22:],
    ],
)
def test_damaged_gzip_names_the_file_and_the_fix(tmp_path, damage):
    (tmp_path / "images.gz").write_bytes(damage(gzip.compress(idx_bytes(IMAGES))))
    with pytest.raises(ValueError, match=r"images\.gz is truncated or corrupt.*rheobase data get"):
        read_idx(tmp_path / "images")


def test_digits_are_complete_and_split_by_class():
    pytest.importorskip("sklearn")
    digits = data.load("digits")
    assert (len(digits.train), len(digits.test)) == (1438, 359)
    assert digits.train.values.shape[1:] == (8, 8) and digits.train.values.max() == 16
    shares = torch.bincount(digits.test.labels) / torch.bincount(torch.cat([digits.train.labels, digits.test.labels]))
    assert ((shares - 0.2).abs() < 0.01).all()
    assert digits.encoding(digits.train.values[:5]).shape == (8, 5, 8)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_real_mnist(real_data, name):
    root = real_data(f"{name}/train-images-idx3-ubyte.gz")
    images = data.load(name, root)
    assert images.train.values.shape == (60000, 28, 28) and images.test.values.shape == (10000, 28, 28)
    assert torch.bincount(images.test.labels).shape == (10,)
    assert images.encoding(images.train.values[:2]).shape == (784, 2, 1)
    if name == "mnist":
        assert images.train.labels[:5].tolist() == [5, 0, 4, 1, 9]


@pytest.mark.data
def test_real_hd_never_tests_a_known_speaker(real_data):
    root = real_data("hd-cochlea/hd_train.h5")
    with h5py.File(root / "hd-cochlea/hd_train.h5") as train, h5py.File(root / "hd-cochlea/hd_test.h5") as test:
        assert not set(train["extra/speaker"][:]) & set(test["extra/speaker"][:])
        assert (len(train["labels"]), len(test["labels"])) == (8580, 1840)


def write_shd(path, times, units, labels, speakers):
    with h5py.File(path, "w") as file:
        for name, values, kind in (("times", times, np.float32), ("units", units, np.uint16)):
            column = file.create_dataset(f"spikes/{name}", (len(values),), h5py.vlen_dtype(kind))
            for row, value in enumerate(values):
                column[row] = np.asarray(value, kind)
        file["labels"], file["extra/speaker"] = np.asarray(labels, np.uint16), np.asarray(speakers, np.uint16)


def write_both_parts(folder, name="shd"):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        write_shd(folder / f"{name}_{part}.h5", [[0.0, 0.044], [0.999, 1.2]], [[0, 699], [5, 6]], [3, 19], [1, 2])


@pytest.mark.parametrize(("name", "folder"), [("shd", "shd"), ("hd", "hd-cochlea")])
def test_shd_layout_is_binned_to_250_steps(tmp_path, name, folder):
    write_both_parts(tmp_path / folder, name)
    train = data.load(name, tmp_path).train
    assert train.read().shape == (2, 250, 700) and train.labels.tolist() == [3, 19] and train.groups.tolist() == [1, 2]
    assert train.read().nonzero().tolist() == [[0, 0, 0], [0, 11, 699], [1, 249, 5]]
    assert train.lengths.tolist() == [12, 250]


def test_damaged_h5_names_the_file(tmp_path):
    write_both_parts(tmp_path / "shd")
    path = tmp_path / "shd/shd_train.h5"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"shd_train\.h5 is truncated, corrupt.*rheobase data show shd"):
        data.load("shd", tmp_path)


TIMES, UNITS = [[0.0, 0.044], [0.999, 1.2]], [[0, 699], [5, 6]]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ((TIMES, [[0, 699], [5]], [3, 19], [1, 2]), "recording 1 has 2 times and 1 units"),
        ((TIMES, UNITS, [3], [1, 2]), "it has 2 arrays of times, 2 of units and 1 labels"),
        ((TIMES, UNITS, [3, 20], [1, 2]), "it has labels from 3 to 20, for 20 classes"),
        (([[0.0, np.nan], [0.9, 1.2]], UNITS, [3, 19], [1, 2]), "recording 0 has a time outside of 0 to"),
        (([[0.0, 0.1], [0.9, 1e6]], UNITS, [3, 19], [1, 2]), "recording 1 has a time outside of 0 to"),
        ((TIMES, [[0, 700], [5, 6]], [3, 19], [1, 2]), "recording 0 has a unit outside of 0 to 699"),
        (([], [], [], []), "it has 0 arrays of times"),
    ],
)
def test_recordings_that_contradict_themselves_are_named(tmp_path, columns, words):
    write_both_parts(tmp_path / "shd")
    write_shd(tmp_path / "shd/shd_train.h5", *columns)
    with pytest.raises(ValueError, match=rf"shd_train\.h5 is corrupt: {words}.*rheobase data show shd"):
        data.load("shd", tmp_path)


def test_an_h5_file_without_columns_is_named(tmp_path):
    write_both_parts(tmp_path / "shd")
    with h5py.File(tmp_path / "shd/shd_test.h5", "w") as file:
        file["spikes/times/one"] = [0.0]
    with pytest.raises(ValueError, match=r"shd_test\.h5 is truncated, corrupt, or not in SHD's layout"):
        data.load("shd", tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("images-idx3", np.zeros(3), r"holds uint8 \[3\], not images"),
        ("images-idx3", np.zeros((3, 8, 8)), r"holds uint8 \[3, 8, 8\], not images"),
        ("images-idx3", np.zeros((0, 28, 28)), r"holds uint8 \[0, 28, 28\], not images"),
        ("labels-idx1", np.zeros(2), r"holds \[2\] labels for 3 images"),
        ("labels-idx1", np.zeros((3, 28, 28)), r"holds \[3, 28, 28\] labels for 3 images"),
        ("labels-idx1", np.array([1, 200, 3]), "has labels from 1 to 200, for 10 classes"),
    ],
)
def test_idx_files_that_are_not_mnists_are_named(tmp_path, name, content, words):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(np.zeros((3, 28, 28))))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(np.array([0, 9, 3])))
    assert data.load("mnist", tmp_path).train.labels.tolist() == [0, 9, 3]
    (folder / f"train-{name}-ubyte").write_bytes(idx_bytes(content))
    with pytest.raises(ValueError, match=rf"train-{name}-ubyte {words}.*rheobase data get mnist"):
        data.load("mnist", tmp_path)


def test_options_that_count_are_whole_numbers(tmp_path):
    write_both_parts(tmp_path / "shd")
    assert data.load("shd", tmp_path, steps=50.0).train.read().shape == (2, 50, 700)
    with pytest.raises(ValueError, match=r"shd: steps must be a whole number; got 2\.5"):
        data.load("shd", tmp_path, steps=2.5)


def test_missing_and_unknown_sets_say_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"train-images.*rheobase data get mnist.*RHEOBASE_DATA"):
        data.load("mnist", tmp_path)
    with pytest.raises(ValueError, match=r"Unknown data set 'mnits'. Did you mean 'mnist'\?"):
        data.load("mnits")


def test_root_comes_from_the_environment(tmp_path, monkeypatch):
    write_both_parts(tmp_path / "shd")
    monkeypatch.setenv("RHEOBASE_DATA", str(tmp_path))
    assert len(data.load("shd").train) == 2
