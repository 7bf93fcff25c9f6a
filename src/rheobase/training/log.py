"""The log of a run: one JSON line per some steps and per epoch, and on request the same for TensorBoard."""

import json
import math
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from rheobase.atomic import write_atomically

LOG = "log.jsonl"


class Log:
    """Writes `log.jsonl` in the run's folder, and TensorBoard's files under `tensorboard/` where asked to.

    A resumed run cuts off what was written after its checkpoint, so that every step stands in the log once.
    Errors: ModuleNotFoundError naming the extra `log` where TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path | None, step: int = 0, tensorboard: bool = False):
        self._file, self._board = None, None
        if folder is None:
            return
        path = folder / LOG
        kept = [line for line in lines(path) if line["step"] <= step and line["kind"] != "test"]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        self._file = path.open("a", buffering=1)
        if tensorboard:
            self._board = _board(folder / "tensorboard", step)

    def write(self, kind: str, step: int, values: dict[str, Any]) -> None:
        """Add one line; numbers also go to TensorBoard under `kind/name`."""
        if self._file is not None:
            finite = {k: v for k, v in values.items() if not isinstance(v, float) or math.isfinite(v)}
            self._file.write(json.dumps({"kind": kind, "step": step, **finite}) + "\n")
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what is buffered and close the files."""
        for sink in (self._file, self._board):
            if sink is not None:
                sink.close()


def peak_memory(device: torch.device) -> int:
    """The most memory in bytes so far: of tensors on a GPU, of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; none without one. A last one that a crash has cut off is left out.

    Errors: ValueError naming the file and its first line that is none of a log.
    """
    *whole, last = path.read_bytes().split(b"\n") if path.exists() else [b""]
    found = []
    for number, line in enumerate(whole, 1):
        row = _row(line)
        if row is None and line.strip():
            fix = "Remove it, or move the whole log away: a run goes on without."
            raise ValueError(f"{path}, line {number}, is damaged: it is no line of a log. {fix}")
        found.append(row)
    return [row for row in (*found, _row(last)) if row is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    told = isinstance(found, dict) and isinstance(found.get("step"), int) and "kind" in found
    return found if told else None


def _board(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModuleNotFoundError("TensorBoard is not installed: pip install 'rheobase[log]'.") from error
    return SummaryWriter(str(folder), purge_step=step + 1)
