"""What a run shows while it goes: a bar in a terminal, one line per epoch elsewhere."""

import math
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Reporter:
    """Shows batches and epochs on a console; `Reporter(None)` shows nothing."""

    def __init__(self, console: Console | None, title: str = "", total: int = 0, done: int = 0):
        self.console = console
        self._bar: Progress | None = None
        if console is not None and console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task(title, total=total, completed=done)

    def __enter__(self) -> "Reporter":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def batch(self) -> None:
        """One more batch is done."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def epoch(self, row: dict[str, Any], best: bool) -> None:
        """One more epoch is done; `row` is its line in the record."""
        if self.console is not None:
            rate = row["firing_rate"]  # not a number for event-driven networks, which have no steps
            activity = "" if math.isnan(rate) else f"firing rate {rate:.3f}  "
            self.console.print(
                f"epoch {row['epoch']:3d}  train loss {row['train_loss']:8.4f}  "
                f"validation loss {row['validation_loss']:8.4f}  accuracy {row['validation_accuracy']:6.2%}  "
                f"{activity}{row['seconds']:.1f} s  "
                f"{row['samples_per_second']:.0f} samples/s  {row['peak_memory'] / 2**20:.0f} MiB"
                f"{'  best' if best else ''}",
                highlight=False,
                soft_wrap=True,
            )
