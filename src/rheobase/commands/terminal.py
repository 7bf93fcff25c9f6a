"""Where commands print."""

from rich.console import Console

console = Console()


def say(text: str) -> None:
    """Print a line as it is: no markup, no colours, no wrapping of paths."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)
