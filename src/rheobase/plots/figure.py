"""Makes figures without a display and without matplotlib's global state."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for all common kinds of colour blindness and in grey; without yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


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


def data_uri(made: "Figure", kind: str = "svg") -> str:
    """The whole figure as a `data:` address, for pages that load nothing: "svg" for lines, "png" for many marks.

    The same figure gives the same bytes.
    """
    written = io.BytesIO()
    made.savefig(written, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(written.getvalue()).decode()}"
