"""Event sets: the original files, frames by count and by time, splits that cannot leak, damage that names the file."""

from itertools import pairwise

import numpy as np
import originals
import pytest
import torch

import rheobase.data as data
from rheobase.data import nmnist
from rheobase.data.aedat import read_aedat2, read_aedat3
from rheobase.data.cifar import TEN
from rheobase.data.cifar10_dvs import load_cifar10_dvs
from rheobase.data.frames import Framing, PixelEvents
from rheobase.data.gesture import load_gesture, read_labels
from rheobase.data.split import part_of


def events(count: int = 100, side: int = 34, seed: int = 0) -> np.ndarray:
    """Rows of x, y, polarity, microseconds."""
    random = np.random.default_rng(seed)
    time = np.sort(random.integers(0, 300_000, count))
    return np.stack([*random.integers(0, side, (2, count)), random.integers(0, 2, count), time], 1)


def columns(rows: np.ndarray) -> PixelEvents:
    return PixelEvents(*rows.T)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RHEOBASE_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("write", "read", "side"),
    [
        (originals.nmnist, nmnist.read_bin, 34),
        (originals.aedat2, read_aedat2, 128),
        (originals.aedat3, read_aedat3, 128),
    ],
)
def test_original_files_are_read_exactly(tmp_path, write, read, side):
    rows = events(side=side)
    write(tmp_path / "recording", rows)
    np.testing.assert_array_equal(np.stack(read(tmp_path / "recording"), 1), rows)


@pytest.mark.parametrize(
    ("write", "read"),
    [(originals.nmnist, nmnist.read_bin), (originals.aedat2, read_aedat2), (originals.aedat3, read_aedat3)],
)
@pytest.mark.parametrize("change", [lambda raw: raw[:-3], lambda raw: b"\x89PN" + raw, lambda raw: b""])
def test_a_damaged_recording_is_named(tmp_path, write, read, change):
    path = tmp_path / "user01_lab.aedat"
    write(path, events(side=30))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"user01_lab\.aedat is (truncated|not an AEDAT).*original archive"):
        read(path)


def test_a_corrupt_packet_is_named(tmp_path):
    path = tmp_path / "user01_lab.aedat"
    originals.aedat3(path, events(side=128))
    raw = bytearray(path.read_bytes())
    start = raw.index(b"#!END-HEADER\r\n") + len(b"#!END-HEADER\r\n")
    raw[start + 4 : start + 8] = b"\0\0\0\0"  # events of no bytes: a reader that trusts it never ends
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"user01_lab\.aedat is corrupt: its packet at byte"):
        read_aedat3(path)


def test_nmnist_clock_goes_over(tmp_path):
    rows = np.array([[1, 2, 0, 5], [0, 240, 0, 0], [3, 4, 1, 6]])
    originals.nmnist(tmp_path / "00001.bin", rows)
    found = nmnist.read_bin(tmp_path / "00001.bin")
    assert found.time.tolist() == [5, 6 + 2**13] and found.x.tolist() == [1, 3]


def by_definition(rows: np.ndarray, edges: list[int], side: int) -> np.ndarray:
    """Frames by a plain loop over the events between edges[k] and edges[k + 1] of their positions."""
    frames = np.zeros((len(edges) - 1, 2, side, side), np.uint8)
    for frame, (first, last) in enumerate(pairwise(edges)):
        for x, y, polarity, _ in rows[first:last]:
            frames[frame, polarity, y, x] += 1
    return frames


def test_frames_by_count_have_equally_many_events_and_the_last_the_rest():
    rows = events(107)
    frames = Framing(steps=10)(columns(rows), 34)
    np.testing.assert_array_equal(frames, by_definition(rows, [*range(0, 100, 10), 107], 34))


def test_frames_by_time_have_equal_durations_and_the_last_the_rest():
    rows = events(500)
    start, length = rows[0, 3], (rows[-1, 3] - rows[0, 3]) // 7
    edges = [int((rows[:, 3] < start + length * k).sum()) for k in range(7)]
    frames = Framing(steps=7, by="time")(columns(rows), 34)
    np.testing.assert_array_equal(frames, by_definition(rows, [*edges, 500], 34))


def test_an_event_on_the_edge_of_two_frames_is_the_later_ones():
    """From 1,000 µs on four frames of ten, each with its start and without its end."""
    time = np.arange(1000, 1041)
    assert Framing(steps=4, by="time").frame_of(time).tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 11


def test_fewer_events_than_frames_lose_none():
    for by in ("count", "time"):
        assert Framing(steps=10, by=by)(columns(events(3)), 34).sum() == 3


def test_sizes():
    rows = events(5000, side=128)
    whole, summed = Framing(steps=2)(columns(rows), 128), Framing(steps=2, size=32, resize="sum")(columns(rows), 128)
    np.testing.assert_array_equal(summed, whole.reshape(2, 2, 32, 4, 32, 4).sum((3, 5)))
    np.testing.assert_array_equal(Framing(2, size=32, resize="nearest")(columns(rows), 128), whole[..., ::4, ::4])
    smooth = Framing(steps=2, size=48)(columns(rows), 128)
    assert smooth.dtype == np.float16 and smooth.shape == (2, 2, 48, 48)
    np.testing.assert_allclose(smooth.mean(dtype=np.float64), whole.mean(), rtol=0.03)
    assert Framing(steps=2, size=17)(columns(rows), 128).shape == (2, 2, 17, 17)
    assert set(np.unique(Framing(steps=1, binary=True)(columns(rows), 128))) == {0, 1}


def test_smooth_resizing_is_pillows():
    from PIL import Image

    rows = events(20_000, side=128)
    whole, smooth = (Framing(steps=1, size=size)(columns(rows), 128)[0, 1] for size in (None, 48))
    picture = Image.fromarray(whole.astype(np.float32)).resize((48, 48), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(smooth, np.array(picture), atol=2e-3)


def test_wrong_options_and_events_say_so():
    with pytest.raises(ValueError, match="Unknown way to split events 'number'"):
        Framing(by="number")
    with pytest.raises(ValueError, match="outside of 34x34"):
        Framing()(columns(events(side=128)), 34)
    with pytest.raises(ValueError, match="no events"):
        Framing()(columns(events(0)), 34)
    for wrong in ({"steps": 2.5}, {"size": 0}):
        with pytest.raises(ValueError, match=rf"frames: {next(iter(wrong))} must be a whole number, 1 or more; got"):
            Framing.chosen(wrong)


def write_nmnist(root, count: int = 3):
    for part in ("Train", "Test"):
        for digit in (0, 7):
            for index in range(count):
                originals.nmnist(root / f"N-MNIST/{part}/{digit}/{digit * 100 + index:05d}.bin", events(seed=index))


def test_a_part_of_nmnist_must_be_asked_for(tmp_path):
    write_nmnist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"60000\.bin is missing.*garrickorchard.*n-mnist-part"):
        data.load("n-mnist", tmp_path)
    with pytest.raises(ValueError, match=r"A part of n-mnist: 6 of 60,000 .*partial=True"):
        nmnist.load_nmnist(tmp_path / "N-MNIST")
    found = data.load("n-mnist-part", tmp_path, steps=5)
    assert found.note == "A part of n-mnist: 6 of 60,000 training and 6 of 10,000 test samples."
    assert found.train.values.shape == (6, 5, 2, 34, 34) and found.train.labels.tolist() == [0] * 3 + [7] * 3
    assert found.train.groups.tolist() == [0, 1, 2, 700, 701, 702]
    batch = next(data.batches(found.train, found.encoding, 2))
    assert batch.x.shape == (5, 2, 2, 34, 34) and batch.steps is None
    with pytest.raises(ValueError, match=r"Unknown option of event frames 'step'\. Did you mean 'steps'"):
        data.load("n-mnist-part", tmp_path, step=5)


def test_a_damaged_file_of_a_set_is_named(tmp_path):
    write_nmnist(tmp_path)
    path = tmp_path / "N-MNIST/Train/7/00701.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00701\.bin is truncated"):
        data.load("n-mnist-part", tmp_path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"00701\.bin is truncated"):
        data.load("n-mnist-part", tmp_path)
    originals.nmnist(path, events(side=200))
    with pytest.raises(ValueError, match=r"00701\.bin: it has events outside of 34x34 pixels"):
        data.load("n-mnist-part", tmp_path)
    assert not list((tmp_path / "cache").rglob("*writing")) and not list((tmp_path / "cache").rglob("*train*"))


def test_cifar10_dvs_splits_by_recording(tmp_path):
    for name in TEN:
        for number in (0, 9, 899, 900, 999):
            originals.aedat2(
                tmp_path / f"cifar10-dvs/{name}/cifar10_{name}_{number}.aedat", events(side=128, seed=number)
            )
    with pytest.raises(ValueError, match="A part of cifar10-dvs: 30 of 9,000 training and 20 of 1,000 test"):
        data.load("cifar10-dvs", tmp_path)
    found = data.load("cifar10-dvs", tmp_path, partial=True)
    assert found.train.values.shape == (30, 10, 2, 48, 48) and found.train.values.dtype == torch.float16
    assert (found.train.groups % 1000).unique().tolist() == [0, 9, 899]
    assert (found.test.groups % 1000).unique().tolist() == [900, 999]
    assert torch.equal(found.test.groups // 1000, found.test.labels)


def test_gesture_splits_by_subject(tmp_path):
    folder, rows = tmp_path / "DvsGesture", events(300, side=128)
    for user in (1, 23, 24, 29):
        originals.aedat3(folder / f"user{user:02d}_fluorescent.aedat", rows, packet=50)
        originals.gesture_labels(
            folder / f"user{user:02d}_fluorescent_labels.csv", (1, 0, 100_000), (11, 150_000, 250_000)
        )
    for name in ("trials_to_train.txt", "trials_to_test.txt"):
        (folder / name).touch()
    found = data.load("dvs-gesture", tmp_path, partial=True, steps=4)
    assert found.train.groups.tolist() == [1, 1, 23, 23] and found.test.groups.tolist() == [24, 24, 29, 29]
    assert found.train.labels.tolist() == [0, 10, 0, 10] and found.classes == 11
    second = columns(rows).between(150_000, 250_000)
    np.testing.assert_array_equal(found.train.values[1], Framing(steps=4)(second, 128))
    rest, held = data.hold_out_groups(found.train, (23,))
    assert set(rest.groups.tolist()) == {1} and set(held.groups.tolist()) == {23}
    for groups, words in (((1, 23), "1, 23 of 1, 23"), ((), " of 1, 23")):
        with pytest.raises(ValueError, match=f"holding out groups {words} leaves one side empty"):
            data.hold_out_groups(found.train, groups)
    rest, held = data.hold_out_group_fraction(found.train, 0.1)
    assert len(held) == len(rest) == 2 and not set(rest.groups.tolist()) & set(held.groups.tolist())
    with pytest.raises(ValueError, match="no groups"):
        data.hold_out_group_fraction(data.Samples(torch.zeros(4), torch.zeros(4)), 0.1)


def test_files_that_are_not_of_the_set_are_named(tmp_path):
    write_nmnist(tmp_path)
    for name in ("N-MNIST/Train/7/copy.bin", "cifar10-dvs/cat/cifar10_cat_1000.aedat", "DvsGesture/user30_led.aedat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for load, folder, file in (
        (nmnist.load_nmnist, "N-MNIST", r"copy\.bin"),
        (load_cifar10_dvs, "cifar10-dvs", r"cifar10_cat_1000\.aedat"),
        (load_gesture, "DvsGesture", r"user30_led\.aedat"),
    ):
        with pytest.raises(ValueError, match=rf"{file} is no file of this set, by its name\. Move it away"):
            load(tmp_path / folder, partial=True)


def test_gesture_tables_are_checked(tmp_path):
    path = tmp_path / "user01_lab_labels.csv"
    for row in ((0, 1, 2), (12, 1, 2), (1, 2, 2)):
        originals.gesture_labels(path, row)
        with pytest.raises(ValueError, match=r"user01_lab_labels\.csv .*class outside 1 to 11 or a gesture that ends"):
            read_labels(path)
    path.write_text("class;start\n1;2\n")
    with pytest.raises(ValueError, match=r"user01_lab_labels\.csv is not a table of class, startTime_usec"):
        read_labels(path)


def test_the_written_splits_are_the_published_ones(tmp_path, monkeypatch):
    recordings, subjects = part_of("cifar10-dvs"), part_of("dvs-gesture")
    assert sorted(recordings) == list(range(1000)) and list(recordings.values()).count("train") == 900
    assert [subject for subject, part in subjects.items() if part == "test"] == list(range(24, 30))
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/leaky.txt").write_text("train user 1-24\ntest user 24-29\n")
    monkeypatch.setattr("rheobase.data.split.files", lambda package: tmp_path)
    with pytest.raises(ValueError, match="split leaky: 24 is in train and in test"):
        part_of("leaky")


def test_a_split_is_saved_with_its_groups(tmp_path):
    import json

    write_nmnist(tmp_path)
    found = data.load("n-mnist-part", tmp_path)
    rest, held = data.hold_out_fraction(found.train, 0.34)
    data.save_split(tmp_path / "split.json", train=rest, validation=held)
    read = json.loads((tmp_path / "split.json").read_text())
    assert sorted(read["train"]["ids"] + read["validation"]["ids"]) == list(range(6))
    assert not set(read["train"]["groups"]) & set(read["validation"]["groups"])


@pytest.mark.data
def test_real_recordings(real_data):
    root = real_data("N-MNIST/Test")
    found = data.load("n-mnist-part", root, steps=4, cache=False)
    assert (len(found.train), len(found.test)) == (1000, 100) and found.train.labels.unique().tolist() == list(
        range(10)
    )
    per_frame = found.train.values.flatten(2).long().sum(2)
    assert torch.equal(per_frame[:, 0], per_frame[:, 1]) and (per_frame[:, 3] - per_frame[:, 0] < 4).all()
    real_data("dvs-gesture-10/10.npy")
    ten = data.load("dvs-gesture-10", root, cache=False)
    assert ten.train.values.shape == (8, 20, 2, 128, 128) and "not for accuracy" in ten.note


@pytest.mark.data
def test_real_braille(real_data):
    found = data.load("braille", real_data("braille/braille_taxels.npz"))
    assert found.train.values.shape == (1080, 77, 12) and found.classes == len(found.class_names) == 27
    assert torch.bincount(found.test.labels).tolist() == [10] * 27
    assert not set(found.train.groups.tolist()) & set(found.test.groups.tolist())


def test_damaged_braille_and_arrays_are_named(tmp_path):
    (tmp_path / "braille").mkdir()
    (tmp_path / "braille/braille_taxels.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(ValueError, match=r"braille_taxels\.npz is truncated"):
        data.load("braille", tmp_path)
    (tmp_path / "dvs-gesture-10").mkdir()
    for number in range(1, 11):
        np.save(tmp_path / f"dvs-gesture-10/{number:02d}.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"01\.npy has no fields x, y, p and t"):
        data.load("dvs-gesture-10", tmp_path)
