"""`rheobase bench`: a neuron's kernels timed."""

from dataclasses import dataclass, fields
from typing import Literal

from rich.table import Table

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase bench` measures."""

    neuron: str = "lif"
    """A neuron's name, or FILE.py:CLASS, and its options: `lif:tau=4`."""
    steps: tuple[int, ...] = (4, 16, 784)
    """Time steps of each case."""
    elements: int = 2**22
    """Elements of x, steps times neurons."""
    rounds: int = 9
    """Turns that every side takes; the median counts."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of x and the spikes."""


def run(arguments: list[str]) -> int:
    """Time a neuron's kernels beside a copy and the eager loop: `rheobase bench [--neuron clif | my.py:MyNeuron]`."""
    from rheobase import bench

    options = flags.parse(Options, arguments, "bench")
    settings = {field.name: getattr(options, field.name) for field in fields(options) if field.name != "neuron"}
    title = f"{options.neuron}, {options.dtype}"
    table = Table("T", "neurons", "passes", "kernel ms", "eager ms", "faster", "copy ms", "ran on", title=title)
    for row in bench.bench(options.neuron, **settings):
        cells = [row.steps, row.size, row.direction, f"{row.kernel:.3g}", f"{row.eager:.3g}", f"{row.speedup:.1f}x"]
        table.add_row(*map(str, cells), f"{row.copy:.3g}", row.backend)
    terminal.console.print(table)
    terminal.say("medians. Against torch.compile and other libraries: benchmarks/README.md in the repository.")
    return 0
