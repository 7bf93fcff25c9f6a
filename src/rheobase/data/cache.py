"""Arrays that are slow to make, kept on disk: whole or not there, checked when read, made again when damaged or stale.

A file is a JSON line (key, shape, type, SHA-256 of the rest), padded to 4,096 bytes, then the array.
"""

import errno
import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rheobase.atomic import FULL

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

HEADER = 4096


def folder() -> Path:
    """`$RHEOBASE_CACHE/frames`, else `~/.cache/rheobase/frames`."""
    given = os.environ.get("RHEOBASE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "rheobase"
    return (Path(given).expanduser() if given else home) / "frames"


def key_of(files: Iterable[Path], **parameters) -> str:
    """A key for what is made of these files with these parameters: it changes when a file or a parameter does."""
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True, default=str).encode())
    for path in files:
        state = path.stat()
        digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def cached(file: Path, key: str, shape: tuple[int, ...], dtype: np.dtype, rows: Iterator[np.ndarray]) -> Tensor:
    """The array of this key from `file`, or made of `rows` [*shape[1:]] and kept there; memory-mapped, private.

    A damaged file is made again with a warning, one of another key without. Of several processes one makes it, and the
    others wait. Errors: OSError on a full disk, which leaves no file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _alone(file.parent) as alone:
        for left in file.parent.glob(f"{file.name}.*.writing") if alone else ():
            left.unlink()  # of a process that was killed
        found = _read(file, key, shape, dtype) if file.exists() else None
        if found is None:
            _write(file, key, shape, dtype, rows)
            found = _mapped(file, shape, dtype)
        return found


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Hold the folder's lock; without one (Windows, some network disks) two may make the same file, each whole."""
    handle, alone = os.open(folder, os.O_RDONLY) if fcntl else None, False
    try:
        if fcntl and handle is not None:
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
                alone = True
        yield alone
    finally:
        if handle is not None:
            os.close(handle)


def _read(file: Path, key: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor | None:
    expected = {"key": key, "shape": list(shape), "dtype": dtype.str}
    try:
        with file.open("rb") as opened:
            header = json.loads(opened.read(HEADER))
            if header["key"] != key:
                return None
            whole = hashlib.file_digest(_Rest(opened), "sha256").hexdigest() == header["sha256"]
        if whole and {name: header[name] for name in expected} == expected:
            return _mapped(file, shape, dtype)
    except (ValueError, KeyError, TypeError):
        pass
    warnings.warn(f"{file} is truncated or corrupt; it is made again.", stacklevel=5)
    return None


class _Rest:
    """What is left of an open file, for hashlib.file_digest, which else would rewind it."""

    def __init__(self, opened):
        self.readinto, self.readable = opened.readinto, opened.readable


def _write(file: Path, key: str, shape: tuple[int, ...], dtype: np.dtype, rows: Iterator[np.ndarray]) -> None:
    writing = file.with_name(f"{file.name}.{os.getpid()}.writing")
    digest, count = hashlib.sha256(), 0
    try:
        with writing.open("wb") as opened:
            opened.write(b" " * HEADER)
            for row in rows:
                if row.shape != shape[1:] or row.dtype != dtype:
                    raise AssertionError(f"row {count} is {row.shape} {row.dtype}, not {shape[1:]} {dtype}")
                content = np.ascontiguousarray(row).tobytes()
                digest.update(content)
                opened.write(content)
                count += 1
            if count != shape[0]:
                raise AssertionError(f"{count} rows instead of {shape[0]}")
            header = {"key": key, "shape": shape, "dtype": dtype.str, "sha256": digest.hexdigest()}
            opened.seek(0)
            opened.write(json.dumps(header).encode().ljust(HEADER))
            opened.flush()
            os.fsync(opened.fileno())
        writing.replace(file)
    except OSError as error:
        if error.errno not in FULL:
            raise
        needed = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize / 1e6
        fix = f"it needs {needed:.0f} MB. Make room, set RHEOBASE_CACHE to another disk, or load with cache=False"
        raise OSError(errno.ENOSPC, f"disk full while writing {file}: {fix}") from error
    finally:
        writing.unlink(missing_ok=True)


def _mapped(file: Path, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    if 0 in shape:
        return torch.from_numpy(np.zeros(shape, dtype))
    return torch.from_numpy(np.memmap(file, dtype, "c", HEADER, shape))
