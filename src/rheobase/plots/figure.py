"""Makes figures without a display and without matplotlib's global state."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for all common kinds of colour blindness and in grey; without yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", "-.", ":")
UNITS = {"tau": "time steps", "T": "time steps", "k": "time steps", "threshold": "units of u", "v_reset": "units of u"}


def style(number: int) -> dict[str, Any]:
    """Colour, line and marker of the line with this number: of 28 lines, those of one colour differ in both others."""
    again = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": STYLES[number % len(STYLES)],
        "marker": MARKERS[(number + again) % len(MARKERS)],
        "markersize": 4,
        "linewidth": 1.4,
    }


def with_unit(quantity: str) -> str:
    """The name of a neuron's parameter or option with its unit, where it has one."""
    return f"{quantity} ({UNITS[quantity]})" if quantity in UNITS else quantity


def legend_above(made: "Figure", axes: "Axes") -> "Figure":
    """Name the lines of these axes above the figure, as many in a row as its width holds."""
    handles, labels = axes.get_legend_handles_labels()
    each = 0.7 + 0.085 * max(map(len, labels), default=0)  # inches, at this size of type
    columns = max(1, min(4, len(labels), int(made.get_figwidth() / each)))
    made.legend(handles, labels, frameon=False, ncols=columns, loc="outside upper center", fontsize=9)
    return made


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
