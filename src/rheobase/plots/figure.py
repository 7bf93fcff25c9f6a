"""Makes figures without a display and without matplotlib's global state."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def figure(width: float, height: float) -> "Figure":
    """A new figure of this size in inches. Errors: ModuleNotFoundError saying how to install matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModuleNotFoundError("plots need matplotlib: `pip install 'rheobase[plots]'`") from error
    return Figure(figsize=(width, height), layout="constrained")


def save(made: "Figure", path: Path) -> Path:
    """Write a figure to a file; the suffix decides the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made.savefig(path, dpi=150)
    return path
