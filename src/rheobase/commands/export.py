"""`rheobase export`: a trained network for other programs."""

import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from rheobase.atomic import write_atomically
from rheobase.commands import evaluate, flags, terminal
from rheobase.names import apart

if TYPE_CHECKING:
    from torch import Tensor, nn

ENDINGS = {"nir": ".nir", "torch": ".pt2", "safetensors": ".safetensors"}


@dataclass(frozen=True)
class Options:
    """What `rheobase export` reads and writes."""

    source: tyro.conf.Positional[Path]
    """Folder of a run, record (.json), weights (.safetensors), or a file of rb.models.save."""
    format: Literal["nir", "torch", "safetensors"] = "nir"
    """nir: a graph for simulators and chips. torch: a program that runs without Rheobase. safetensors: weights with the
    model's config, for rb.models.load, which needs no data."""
    out: Path | None = None
    """File to write; default: the source's name with the ending of the format, here."""
    deterministic: bool = False
    """Probabilistic neurons fire at the threshold instead of drawing their spikes (sigma 0), which NIR can express."""
    seed: int | None = None
    """torch: of the noise of probabilistic neurons, which then draw the same at every call of the program."""
    dt: float = 1e-4
    """nir: seconds per time step, for time constants; SpikingJelly and snnTorch read graphs with 1e-4."""
    steps: int | None = None
    """torch: time steps of the program; none: those of the first test sample, or of the model."""


def run(arguments: list[str]) -> int:
    """Write a trained network for other programs: `rheobase export RESULT --format nir|torch|safetensors`."""
    import torch

    from rheobase import models

    options = flags.parse(Options, arguments, "export")
    place = options.out or Path(apart([options.source])[0] + ENDINGS[options.format])
    if place.suffix != ENDINGS[options.format]:
        raise ValueError(f"export: a file of {options.format} ends in {ENDINGS[options.format]}; got --out {place}.")
    if options.seed is not None and (options.format != "torch" or options.deterministic):
        raise ValueError("export: --seed is for --format torch, without --deterministic. Leave it out.")
    if options.steps is not None and options.format != "torch":
        raise ValueError("export: --steps is for --format torch. Leave it out.")
    if options.steps is not None and options.steps < 1:
        raise ValueError(f"export: --steps must be 1 or more; got {options.steps}.")
    model, x = _network(options)
    content = io.BytesIO()
    if options.format == "safetensors":
        if place.resolve() == options.source.resolve():
            raise ValueError(f"{place} is the source itself; choose another --out.")
        models.save(model, place)
        terminal.say(f"model          {place}, for rheobase.models.load")
    elif options.format == "nir":
        from rheobase.export import nir_graph

        graph = nir_graph(model, x, options.dt)
        importlib.import_module("nir").write(content, graph)
        write_atomically(place, content.getvalue())
        terminal.say(f"NIR graph      {place}: {len(graph.nodes)} nodes, {len(graph.edges)} edges, dt {options.dt:g} s")
    else:
        from rheobase.export import torch_program

        if options.seed is not None:
            _seed(model, options.seed)
        program = torch_program(model, x)
        torch.export.save(program, content)
        write_atomically(place, content.getvalue())
        size = "any" if program.range_constraints else str(x.shape[1])
        terminal.say(f"torch program  {place}: x [{x.shape[0]}, batch, ...], batch size {size}")
    return 0


def _seed(model: "nn.Module", seed: int) -> None:
    """Give every neuron that draws its spikes a seed of its own. Errors: ValueError where none does."""
    from rheobase.neurons import Neuron

    drawing = [neuron for neuron in model.modules() if isinstance(neuron, Neuron) and neuron.random]
    if not drawing:
        raise ValueError("export: --seed: no neuron of this network draws its spikes. Leave it out.")
    for number, neuron in enumerate(drawing):
        neuron.seed = seed + number  # pyright: ignore[reportArgumentType]


def _network(options: Options) -> "tuple[nn.Module, Tensor]":
    """The network and an example of what it sees, [T, B, ...]."""
    import torch

    from rheobase import data, models, training

    if _is_model(options.source):
        if options.deterministic:
            raise ValueError("export: --deterministic is for results of runs; load a model with sigma=0 instead.")
        model = models.load(options.source)
        return model, _example(model, options)
    change = evaluate.Options(options.source, deterministic=options.deterministic).changed
    task = training.restore_task(options.source, change)
    if task.config.exchange is not None and options.format == "safetensors":
        raise ValueError("export: the network's neurons were exchanged, which the config of a model cannot say.")
    if task.config.model == "exact" and options.format != "safetensors":
        raise ValueError(f"export: an event-driven network has no time steps, which {options.format} needs.")
    first = next(data.batches(task.test[torch.arange(2)], task.encode, 2)).sequence()
    if options.steps is not None and options.steps > len(first):
        raise ValueError(f"export: --steps is at most {len(first)}, as long as the first test sample.")
    return task.model.cpu(), first[: options.steps]


def _is_model(source: Path) -> bool:
    """Whether the file is one of rb.models.save, and not the weights of a run."""
    import safetensors

    from rheobase.models.saved import FORMAT

    if source.suffix != ".safetensors" or not source.exists():
        return False
    try:
        with safetensors.safe_open(source, "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except safetensors.SafetensorError:
        return False  # restore_task says what is wrong


def _example(model: "nn.Module", options: Options) -> "Tensor":
    """Zeros of the shape that a saved model sees."""
    import torch

    from rheobase.models import Network
    from rheobase.models.recurrent import RecurrentNetwork

    steps = options.steps or getattr(model, "steps", None) or (1 if options.format != "torch" else None)
    if steps is None:
        raise ValueError("export: this model does not say how many time steps it runs; add --steps.")
    if isinstance(model, Network):
        return torch.zeros(steps, 2, model.in_channels, *model.image_size)
    if isinstance(model, RecurrentNetwork):
        return torch.zeros(steps, 2, model.layers[0].in_features)  # type: ignore[arg-type]
    raise ValueError(f"export: {type(model).__name__} has no time steps to write.")
