"""Names given by users: an unknown one fails with the nearest known one."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, given: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is not known: says what was given, the nearest name, and all names."""
    known = sorted(known)
    near = difflib.get_close_matches(given.lower(), known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ValueError(f"Unknown {kind} {given!r}.{hint} Known: {', '.join(known)}.")
