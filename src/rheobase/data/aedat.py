"""AEDAT files, the original form of event recordings: version 2.0 (CIFAR10-DVS) and 3.1 (DVS128 Gesture).

Source: the format descriptions of inivation (jAER's 2.0, libcaer's 3.1).
"""

from pathlib import Path

import numpy as np

from rheobase.data.frames import PixelEvents

WORDS = ("size", "offset", "overflow", "capacity", "number", "valid")
PACKET = np.dtype([("type", "<i2"), ("source", "<i2"), *((word, "<i4") for word in WORDS)])
POLARITY = 1


def read_aedat2(path: Path) -> PixelEvents:
    """A DVS128 recording: after lines of `#`, pairs of big-endian 32-bit words, address and microseconds.

    Address bits: 0 polarity (1 is off), 1 to 7 and 8 to 14 the two coordinates. They are turned so that pictures stand
    upright, and on events have polarity 1, as SpikingJelly's reader does.
    """
    content = path.read_bytes()
    start = _after_comments(content)
    if not content.startswith(b"#!AER-DAT2"):
        raise ValueError(f"{path} is not an AEDAT 2 file: it starts with {content[:10]!r}. {_fix(path)}")
    if (len(content) - start) % 8 or len(content) == start:
        size = f"{len(content) - start} bytes are no whole number of events of 8 bytes"
        raise ValueError(f"{path} is truncated: {size}. {_fix(path)}")
    address, time = np.frombuffer(content, ">u4", offset=start).astype(np.int64).reshape(-1, 2).T
    first, second = (address >> 1) & 0x7F, (address >> 8) & 0x7F
    return PixelEvents(127 - second, 127 - first, 1 - (address & 1), time)


def read_aedat3(path: Path) -> PixelEvents:
    """A recording in packets: after `#!END-HEADER`, headers of 28 bytes, each followed by its events.

    Polarity events have 8 bytes: bit 0 valid, bit 1 polarity, 2 to 16 the row, 17 to 31 the column; then microseconds.
    Packets of other kinds and events marked invalid are left out.
    """
    content = path.read_bytes()
    if not content.startswith(b"#!AER-DAT3"):
        raise ValueError(f"{path} is not an AEDAT 3 file: it starts with {content[:10]!r}. {_fix(path)}")
    end = content.find(b"#!END-HEADER")
    place = content.find(b"\n", end) + 1
    if end < 0 or place == 0:
        raise ValueError(f"{path} is truncated: its header does not end. {_fix(path)}")
    words, time = [], []
    while place < len(content):
        header, place = _packet(path, content, place)
        length = int(header["capacity"]) * int(header["size"])
        if header["type"] == POLARITY:
            pairs = np.frombuffer(content, "<u4", length // 4, place).reshape(-1, 2)[: int(header["number"])]
            words.append(pairs[:, 0])
            time.append(pairs[:, 1].astype(np.int64) + (int(header["overflow"]) << 31))
        place += length
    word, times = (np.concatenate(parts) if parts else np.empty(0, np.int64) for parts in (words, time))
    word, times = word[word & 1 == 1], times[word & 1 == 1]
    column, row, polarity = ((word >> shift) & mask for shift, mask in ((17, 0x7FFF), (2, 0x7FFF), (1, 1)))
    return PixelEvents(column.astype(np.int64), row.astype(np.int64), polarity.astype(np.int64), times)


def _packet(path: Path, content: bytes, place: int):
    """The header at `place`, and where its events begin."""
    after = place + PACKET.itemsize
    if after > len(content):
        raise ValueError(f"{path} is truncated: it ends inside the header of a packet. {_fix(path)}")
    header = np.frombuffer(content, PACKET, 1, place)[0]
    size, capacity = int(header["size"]), int(header["capacity"])
    if size <= 0 or capacity < 0 or (header["type"] == POLARITY and size != 8):
        what = f"its packet at byte {place} says {capacity} events of {size} bytes"
        raise ValueError(f"{path} is corrupt: {what}. {_fix(path)}")
    if after + size * capacity > len(content):
        raise ValueError(f"{path} is truncated: it ends inside a packet. {_fix(path)}")
    return header, after


def _after_comments(content: bytes) -> int:
    """Where the lines that begin with # end."""
    place = 0
    while content[place : place + 1] == b"#":
        line = content.find(b"\n", place)
        if line < 0:
            return len(content)
        place = line + 1
    return place


def _fix(path: Path) -> str:
    return f"Delete {path.name} and take it from the original archive again."
