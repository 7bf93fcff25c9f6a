"""`rheobase landscape`: loss and gradient landscapes of trained networks."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro

from rheobase.commands import flags, terminal
from rheobase.names import apart


@dataclass(frozen=True)
class Options:
    """What `rheobase landscape` looks at."""

    sources: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, records (.json) or weights (.safetensors): one row of the figure each."""
    points: int = 201
    """Points of a line."""
    plane: int = 0
    """Points per side of a plane over two directions; 0: no plane."""
    reach: float = 1.0
    """The line runs from -reach to reach, in norms of the weights' rows."""
    samples: int = 64
    """Validation samples in the batch."""
    single: int = 2
    """Validation samples that get a line of their own."""
    all_weights: bool = False
    """Also move the weights of the readout."""
    seed: int = 0
    """Seed of the directions and of the choice of samples."""
    out: Path | None = None
    """Folder of figures and numbers; default: beside the first source."""


def run(arguments: list[str]) -> int:
    """Draw loss and gradient landscapes: `rheobase landscape SOURCE [SOURCE ...] [--plane 25]`, with measures."""
    from rheobase import plots
    from rheobase.plots.figure import save
    from rheobase.training import record

    options = flags.parse(Options, arguments, "landscape")
    _check(options)
    folder = options.out or _beside(options.sources[0])
    names = zip(apart(options.sources), options.sources, strict=True)
    found = {name: Network(source, options) for name, source in names}
    lines = {name: dict(network.lines()) for name, network in found.items()}
    planes = {name: network.plane() for name, network in found.items()} if options.plane else {}
    content = {
        **record.circumstances(flags.line("landscape", arguments)),
        "sources": {name: str(network.source) for name, network in found.items()},
        "lines": {name: {samples: _numbers(*one) for samples, one in row.items()} for name, row in lines.items()},
        "planes": {name: _numbers(plane, None) for name, plane in planes.items()},
    }
    record.write(folder / "landscape.json", content)
    _print(content)
    terminal.say(f"numbers        {folder / 'landscape.json'}")
    try:
        drawn = [("lines.png", plots.landscape_lines(lines, "loss along a random direction"))]
        if planes:
            drawn.append(("planes.png", plots.landscape_planes(planes, "landscapes over two random directions")))
        for name, made in drawn:
            terminal.say(f"picture        {save(made, folder / name)}")
    except ModuleNotFoundError as error:
        terminal.say(f"no picture: {error}")
    return 0


class Network:
    """A trained network at its weights, ready to be moved along directions."""

    def __init__(self, source: Path, options: Options):
        import torch

        from rheobase import training
        from rheobase.analysis import landscapes

        self.source, self.options = source, options
        self.task = training.restore_task(source)
        self.task.model.eval()
        self.parameters = _moved(self.task.model, options.all_weights)
        generator = torch.Generator().manual_seed(options.seed)
        dtype = _precise(self.task.model)
        self.directions = [
            [part.to(dtype) for part in landscapes.direction(self.parameters, generator)] for _ in range(2)
        ]
        self.task.model.to(dtype)
        order = torch.Generator().manual_seed(options.seed)
        self.order = torch.randperm(len(self.task.validation), generator=order)

    def lines(self) -> Iterator[tuple[str, Any]]:
        """By name of the samples: the line and its jumps."""
        import torch

        from rheobase.analysis import landscapes

        reach, points = self.options.reach, self.options.points
        steps = torch.linspace(-reach, reach, points, dtype=self.parameters[0].dtype)
        for name, evaluate in self.evaluations():
            line = landscapes.scan(evaluate, self.parameters, self.directions[:1], steps)
            least = 0.01 * float(line.loss.max() - line.loss.min())
            jumps = landscapes.jumps(evaluate, self.parameters, self.directions[0], line, least) if least else []
            yield name, (line, jumps)

    def plane(self) -> Any:
        """The plane of the batch."""
        import torch

        from rheobase.analysis import landscapes

        steps = torch.linspace(-self.options.reach, self.options.reach, self.options.plane)
        _, evaluate = next(iter(self.evaluations()))
        return landscapes.scan(evaluate, self.parameters, self.directions, steps)

    def evaluations(self) -> Iterator[tuple[str, Callable]]:
        """By name, the batch first, then single samples: loss and trace at the weights as they stand."""
        chosen = self.order[: self.options.samples]
        yield f"{len(chosen)} samples", self.evaluation(chosen)
        for index in self.order[: self.options.single].tolist():
            yield f"sample {index}", self.evaluation(self.order.new_tensor([index]))

    def evaluation(self, index: Any) -> Callable:
        """The loss on these validation samples, and their spikes in order. Noise is the same at every call."""
        import torch

        from rheobase import data, training
        from rheobase.analysis.traces import traced

        task, config = self.task, self.task.config
        goal = training.objective(config.loss, config.loss_options)
        batch = next(data.batches(task.validation[index], task.encode, len(index))).to(task.device)
        x = batch.sequence().to(self.parameters[0].dtype)
        lengths = batch.lengths if config.mask_padding else None

        def evaluate() -> tuple[Any, Any]:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                readout, trace = traced(task.model, x)
            return goal.loss(readout, batch.labels, lengths), trace

        return evaluate


def _moved(model: Any, all_weights: bool) -> list[Any]:
    """The weights that a landscape moves: matrices and kernels, without those of the readout unless asked for."""
    from rheobase.exact.classifier import EventClassifier

    weights = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    if isinstance(model, EventClassifier):
        for w in model.recurrent:
            w.detach().fill_diagonal_(0)  # not used, so that it does not count in a row's norm either
        return weights if all_weights else model.hidden_weights()
    return weights if all_weights else weights[:-1]


def _precise(model: Any) -> Any:
    """The dtype to look in. A spike may leave the trial within 1e-10 of a weight; float32 takes that for a jump."""
    import torch

    from rheobase.exact.classifier import EventClassifier

    return torch.float64 if isinstance(model, EventClassifier) else next(model.parameters()).dtype


def _check(options: Options) -> None:
    if not options.sources:
        raise ValueError("landscape: needs at least one run, record or file of weights.")
    if options.points < 3 or options.plane in (1, 2) or options.samples < 1 or not options.reach > 0:
        given = f"{options.points}, {options.plane}, {options.samples}, {options.reach}"
        raise ValueError(f"landscape: needs points and plane of 3 or more, samples and reach above 0; got {given}.")
    if options.plane < 0 or options.single < 0:
        given = f"{options.plane} and {options.single}"
        raise ValueError(f"landscape: needs --plane and --single of 0 (none) or more; got {given}.")


def _beside(source: Path) -> Path:
    return source / "landscape" if source.is_dir() else source.parent / f"{source.stem}-landscape"


def _numbers(landscape: Any, jumps: Any) -> dict[str, Any]:
    from rheobase.analysis import landscapes

    measures = landscapes.fragmentation(landscape)
    if jumps is not None:
        measures |= {"jumps": len(jumps), "largest_jump": max((jump.size for jump in jumps), default=0.0)}
    fields = ("steps", "loss", "gradient_norm", "slope", "cosine")
    arrays = {name: getattr(landscape, name).float().tolist() for name in fields}
    return {"measures": measures, "jumps": [asdict(jump) for jump in jumps or []], **arrays}


def _print(content: dict[str, Any]) -> None:
    from rich.table import Table

    rows = [(f"{name}, {samples}", one) for name, row in content["lines"].items() for samples, one in row.items()]
    rows += [(f"{name}, plane", one) for name, one in content["planes"].items()]
    names = list(dict.fromkeys(measure for _, one in rows for measure in one["measures"]))
    table = Table("landscape", *(name.replace("_", " ") for name in names), box=None)
    for label, one in rows:
        values = [one["measures"].get(name) for name in names]
        table.add_row(label, *("" if value is None else f"{value:.4g}" for value in values))
    terminal.console.print(table)
