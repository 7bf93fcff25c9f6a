"""`rheobase bench`: a neuron's kernels timed."""

from dataclasses import dataclass

from rich.table import Table

from rheobase.commands import flags, terminal


@dataclass(frozen=True)
class Options:
    """What `rheobase bench` measures."""

    neuron: str = "lif"
    """A neuron's name, or FILE.py:CLASS."""
    steps: tuple[int, ...] = (4, 16, 784)
    """Time steps of each case."""
    elements: int = 2**22
    """Elements of x, steps times neurons."""
    rounds: int = 9
    """Turns that every side takes; the median counts."""


def run(arguments: list[str]) -> int:
    """Time a neuron's kernels beside a copy and the eager loop: `rheobase bench [--neuron clif | my.py:MyNeuron]`."""
    from rheobase import bench

    options = flags.parse(Options, arguments, "bench")
    table = Table(
        "T", "neurons", "passes", "kernel ms", "eager ms", "faster", "copy ms", "ran on", title=options.neuron
    )
    for row in bench.bench(options.neuron, options.steps, options.elements, options.rounds):
        cells = [row.steps, row.size, row.direction, f"{row.kernel:.2f}", f"{row.eager:.2f}", f"{row.speedup:.1f}x"]
        table.add_row(*map(str, cells), f"{row.copy:.2f}", row.backend)
    terminal.console.print(table)
    terminal.say("medians; float32. Against torch.compile and other libraries: benchmarks/README.md in the repository.")
    return 0
