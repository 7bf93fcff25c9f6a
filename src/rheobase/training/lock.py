"""Locks that the operating system releases when their holder dies: on a file, and on the folder of a run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_held: set[int] = set()  # descriptors of locked folders, which worker processes must not keep


def _forget() -> None:
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Inside, no other process of this machine is in `alone` with this folder; gives whether that could be had.

    The folder itself is locked, so that no file stays behind. Where a file system has no such locks, everyone may.
    """
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # no POSIX, or no folder
        yield True
        return
    _held.add(descriptor)
    try:
        free = True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            free = False
        except OSError:
            pass
        yield free
    finally:
        if descriptor in _held:  # else this is a child, which has closed it
            _held.remove(descriptor)
            os.close(descriptor)


class Lock:
    """One holder at a time, among processes; `acquire` waits. The interface that Optuna's journal asks for.

    Optuna's own lock is a link that a killed process leaves behind, and whoever comes next waits for ever.
    """

    def __init__(self, path: Path):
        self.path = path
        self._held: IO | None = None

    def acquire(self) -> bool:
        """Wait for the lock and take it."""
        import fcntl

        held = self.path.open("a")
        fcntl.flock(held, fcntl.LOCK_EX)
        self._held = held
        return True

    def release(self) -> None:
        """Give it back."""
        if self._held is not None:
            self._held.close()
            self._held = None
