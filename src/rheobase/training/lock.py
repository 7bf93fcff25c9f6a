"""A lock on a file that the operating system releases when its holder dies."""

from __future__ import annotations

from pathlib import Path
from typing import IO


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
