"""Checkpoints: whole or not there, verified when read, with everything that a bit-exact continuation needs."""

import hashlib
import io
import os
import random
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rheobase.atomic import write_atomically
from rheobase.training.record import RECORD, WEIGHTS

MAGIC = b"rheobase checkpoint 1\n"
CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint.previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Make `state` the checkpoint of a run; the one before it stays as the previous one."""
    payload = io.BytesIO()
    torch.save(state, payload)
    content = payload.getvalue()
    current, previous = folder / CURRENT, folder / PREVIOUS
    if current.exists():
        link = folder / (PREVIOUS + ".writing")
        link.unlink(missing_ok=True)
        try:
            os.link(current, link)
        except OSError:  # file systems without links, such as exFAT
            shutil.copyfile(current, link)
        link.replace(previous)
    write_atomically(current, MAGIC + hashlib.sha256(content).digest() + content)


def load(folder: Path, previous: bool = False) -> dict[str, Any]:
    """Read the checkpoint of a run, or on request the one before it.

    Errors: FileNotFoundError where there is none; ValueError where it is damaged. Never falls back by itself.
    """
    path = folder / (PREVIOUS if previous else CURRENT)
    if not path.is_file():
        way = _way_out(folder, previous) if holds_run(folder) else "Start the run with `rheobase train`."
        raise FileNotFoundError(f"{folder} has no {path.name}: nothing to resume. {way}")
    raw = path.read_bytes()
    start = len(MAGIC) + 32
    digest, content = raw[len(MAGIC) : start], raw[start:]
    if not raw.startswith(MAGIC) or hashlib.sha256(content).digest() != digest:
        raise ValueError(f"{path} is truncated or corrupt ({len(raw)} bytes). {_way_out(folder, previous)}")
    return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")


def holds_run(folder: Path) -> bool:
    """Whether something of a run is there that a new one would overwrite."""
    return any((folder / name).exists() for name in (CURRENT, PREVIOUS, RECORD, WEIGHTS))


def step_back(folder: Path) -> None:
    """The checkpoint before the last one becomes the last, so that a damaged one does not take its place."""
    (folder / PREVIOUS).replace(folder / CURRENT)


def _way_out(folder: Path, previous: bool) -> str:
    if not previous and (folder / PREVIOUS).is_file():
        return f"The one before it is there: `rheobase train --resume {shlex.quote(str(folder))} --previous`."
    return "There is no other; start the run again in another folder."


def random_state() -> dict[str, Any]:
    """The state of every global random number generator, in types that a safe load accepts."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (kind, keys.tolist(), *rest),  # pyright: ignore[reportAttributeAccessIssue]
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set every global random number generator to what `random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))
