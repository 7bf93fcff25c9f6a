"""The cache of arrays: whole or not there; stale or damaged ones are made again; failures leave nothing."""

import errno
import multiprocessing
import os
import time
import warnings

import numpy as np
import pytest
import torch

from rheobase.data import cache

SHAPE, BYTES = (3, 4, 5), np.dtype(np.uint8)
ROWS = np.arange(60, dtype=np.uint8).reshape(SHAPE)


def get(folder, key="a", made=None) -> torch.Tensor:
    """From the cache; `made` notes each row that had to be made."""
    made = [] if made is None else made

    def rows():
        for number, row in enumerate(ROWS):
            made.append(number)
            yield row

    return cache.cached(folder / "x.frames", key, SHAPE, BYTES, rows())


def test_it_is_made_once_and_read_afterwards(tmp_path):
    made: list[int] = []
    for _ in range(3):
        assert torch.equal(get(tmp_path, made=made), torch.from_numpy(ROWS))
    assert made == [0, 1, 2]


def test_another_key_makes_it_again_without_a_word(tmp_path):
    get(tmp_path)
    made: list[int] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        get(tmp_path, "b", made)
    assert made == [0, 1, 2] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-1],
        lambda raw: raw[:100],
        lambda raw: b"",
        lambda raw: raw[:-7] + bytes([raw[-7] ^ 1]) + raw[-6:],
        lambda raw: raw.replace(b"[3, 4, 5]", b"[5, 4, 3]"),
        lambda raw: raw + b"x",
    ],
)
def test_a_damaged_file_is_made_again_aloud(tmp_path, damage):
    get(tmp_path)
    path, made = tmp_path / "x.frames", []
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"x\.frames is truncated or corrupt; it is made again"):
        assert torch.equal(get(tmp_path, made=made), torch.from_numpy(ROWS))
    assert made == [0, 1, 2]
    get(tmp_path, made=made)
    assert made == [0, 1, 2]


def test_writing_to_what_was_read_does_not_reach_the_file(tmp_path):
    get(tmp_path)[:] = 9
    assert torch.equal(get(tmp_path), torch.from_numpy(ROWS))


def test_a_full_disk_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"disk full while writing .*x\.frames.*RHEOBASE_CACHE.*cache=False"):
        get(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / "x.frames.123456.writing"
    left.write_bytes(b"half")
    get(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.frames"]


def test_a_source_that_changes_changes_the_key(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"one")
    first = cache.key_of([path], steps=4)
    assert cache.key_of([path], steps=4) == first != cache.key_of([path], steps=5)
    path.write_bytes(b"other")
    longer = cache.key_of([path], steps=4)
    path.write_bytes(b"third")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert len({first, longer, cache.key_of([path], steps=4)}) == 3, "size and time of the last change both count"


def make_slowly(folder) -> None:
    """Note every row that is made in a file that all processes see."""

    def rows():
        for row in ROWS:
            with (folder / "made").open("a") as noted:
                noted.write("x")
            time.sleep(0.02)
            yield row

    cache.cached(folder / "cache/x.frames", "a", SHAPE, BYTES, rows())


def test_of_several_processes_one_makes_it(tmp_path):
    several = [multiprocessing.get_context("fork").Process(target=make_slowly, args=(tmp_path,)) for _ in range(3)]
    for process in several:
        process.start()
    for process in several:
        process.join(60)
    assert [process.exitcode for process in several] == [0, 0, 0]
    assert (tmp_path / "made").read_text() == "xxx" and torch.equal(get(tmp_path / "cache"), torch.from_numpy(ROWS))
