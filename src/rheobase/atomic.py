"""Files that are whole or not there."""

import contextlib
import errno
import os
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the disk, or none left of the user's share


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that at any moment either the old or the new content is there, also after a power cut.

    Errors: OSError naming the file and what is wrong (disk full, no right to write); the old file then stays, and
    nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".writing")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # on a disk that takes nothing, it is not there
            temporary.unlink(missing_ok=True)
        what = "disk full" if error.errno in FULL else error.strerror
        raise OSError(error.errno, f"{what} while writing {path}; what was there before is unchanged") from error
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; not every system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
