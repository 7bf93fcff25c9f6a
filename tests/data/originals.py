"""Small files in the exact original formats of sets that are too large to lie here, or that lie behind forms."""

import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

# Mean and standard deviation per channel as EQUATIONS prints them ("Normalisation"); ImageNet's are torchvision's.
CONSTANTS = {
    "cifar-10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar-100": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    "tiny-imagenet": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


def cifar_binary(path: Path, images: np.ndarray, *labels: np.ndarray) -> None:
    """Records of label bytes (one column in CIFAR-10, coarse and fine in CIFAR-100) and 3,072 bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.concatenate([np.stack(labels, 1).astype(np.uint8), images.reshape(len(images), -1)], 1).tofile(path)


def cifar_pickle(path: Path, images: np.ndarray, key: bytes, labels: np.ndarray) -> None:
    """A dictionary with keys and an array as Python 2 and its numpy wrote them, protocol 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pickle.dumps({b"data": images.reshape(len(images), -1), key: labels.tolist()}, protocol=2)
    path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


def tar_gz(archive: Path, folder: Path, *names: str) -> None:
    with tarfile.open(archive, "w:gz") as opened:
        for name in names:
            opened.add(folder / name, name)


def nmnist(path: Path, events: np.ndarray) -> None:
    """Rows of x, y, polarity, microseconds as 40 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = bytearray()
    for x, y, polarity, time in events.tolist():
        raw += bytes([x, y]) + struct.pack(">I", polarity << 23 | time)[1:]
    path.write_bytes(raw)


def aedat2(path: Path, events: np.ndarray) -> None:
    """Rows of upright x, y, polarity, microseconds as a DVS128 recording of CIFAR10-DVS."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = b"#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n# int32 address, int32 timestamp\r\n"
    raw = bytearray(header)
    for x, y, polarity, time in events.tolist():
        raw += struct.pack(">II", (127 - x) << 8 | (127 - y) << 1 | 1 - polarity, time)
    path.write_bytes(raw)


def aedat3(path: Path, events: np.ndarray, packet: int = 3) -> None:
    """Rows of x, y, polarity, microseconds as packets of polarity events, with a packet of another kind between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = bytearray(b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 0: DVS128\r\n#!END-HEADER\r\n")
    for start in range(0, len(events), packet):
        part = events[start : start + packet].tolist()
        raw += struct.pack("<hhiiiiii", 0, 0, 8, 4, 0, 1, 1, 1) + struct.pack("<Ii", 1, 0)  # a special event
        raw += struct.pack("<hhiiiiii", 1, 0, 8, 4, 0, len(part) + 1, len(part) + 1, len(part))
        for x, y, polarity, time in part:
            raw += struct.pack("<Ii", x << 17 | y << 2 | polarity << 1 | 1, time)
        raw += struct.pack("<Ii", 5 << 17 | 5 << 2, 0)  # an event marked invalid
    path.write_bytes(raw)


def gesture_labels(path: Path, *rows: tuple[int, int, int]) -> None:
    lines = ["class,startTime_usec,endTime_usec", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
