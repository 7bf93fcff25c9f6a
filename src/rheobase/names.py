"""Names given by users: an unknown one fails with the nearest known one, and runs are told apart by their shortest."""

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about a name: the nearest known one, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(known)}."


def unknown(kind: str, given: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is not known: says what was given, the nearest name, and all names."""
    known = sorted(known)
    lowered = {name.lower(): name for name in known}
    near = difflib.get_close_matches(given.lower(), lowered, n=1, cutoff=0.4)
    hint = f" Did you mean {lowered[near[0]]!r}?" if near else ""
    all_of_them = f"Known: {', '.join(known)}." if known else "There is none."
    return ValueError(f"Unknown {kind} {given!r}.{hint} {all_of_them}")


def apart(runs: Sequence[Path]) -> list[str]:
    """The shortest names that tell runs apart: of folder or file, and the whole path where two are called the same.

    Errors: ValueError for a run that is named twice.
    """
    twice = next((run for run in runs if list(runs).count(run) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice; name every run once.")
    names = [run.stem if run.is_file() else run.resolve().name for run in runs]
    return [name if names.count(name) == 1 else str(run) for name, run in zip(names, runs, strict=True)]
