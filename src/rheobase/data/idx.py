"""The idx format of MNIST: two zero bytes, a type, the number of dimensions, their sizes, the numbers. Plain or .gz."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(path: Path) -> np.ndarray:
    """Read one idx file; `path` without .gz also finds the compressed file beside it.

    Errors: FileNotFoundError where neither exists; ValueError, naming the file and the fix, where it is cut or corrupt.
    """
    found = find(path)
    fix = f"Delete {found} and fetch it again with `rheobase data get {found.parent.name}`."
    try:
        raw = gzip.decompress(found.read_bytes()) if found.suffix == ".gz" else found.read_bytes()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{found} is truncated or corrupt ({error}). {fix}") from error
    return _parse(raw, found, fix)


def find(path: Path) -> Path:
    """The plain file, or else the compressed one beside it."""
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{path}.gz is missing, and so is {path}.")


def _parse(raw: bytes, path: Path, fix: str) -> np.ndarray:
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in TYPES:
        raise ValueError(f"{path} is not an idx file: it starts with {raw[:4].hex(' ') or 'nothing'}. {fix}")
    kind, dimensions = np.dtype(TYPES[raw[2]]), raw[3]
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ValueError(f"{path} is truncated: it ends inside its header. {fix}")
    shape = struct.unpack(f">{dimensions}I", raw[4:start])
    expected = start + kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(raw) != expected:
        raise ValueError(f"{path} is truncated or corrupt: {shape} needs {expected} bytes, it has {len(raw)}. {fix}")
    return np.frombuffer(raw, kind, offset=start).reshape(shape).astype(kind.newbyteorder("="))
