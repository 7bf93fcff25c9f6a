"""A network as a program of torch's own operations, which runs where Rheobase is not."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rheobase.export.example import sequence
from rheobase.fuse.delays import known
from rheobase.fuse.operator import backend
from rheobase.layers import Recurrent
from rheobase.neurons import Neuron


def torch_program(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """The network in evaluation mode for inputs of x's shape [T, B, ...]; T is unrolled.

    Any batch size will do, except where neurons draw their spikes and for PSN: there it stays that of x. Delays are
    constants of the program. Neurons are written out by their eager steps. `torch.export.save(program, path)` writes
    it; `torch.export.load(path).module()(x)` runs it with torch alone.
    Errors: ValueError for neurons that draw their spikes without a seed: a program has no generator to draw a key from;
    and for an x that the model does not take.
    """
    x = sequence(model, x)
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    for name, module in model.named_modules():
        if isinstance(module, Neuron):
            if module.random and getattr(module, "seed", None) is None:
                fix = "give it a seed, or sigma=0 (`--seed 0`, `--deterministic`)"
                raise ValueError(f"torch: {name} draws its spikes; {fix}.")
            vars(module)["_key"] = None  # no custom operator: plain torch instead
        if isinstance(module, Recurrent):
            _fix_delays(module)
    batch = torch.export.Dim.AUTO
    with torch.no_grad(), backend("eager"):
        return torch.export.export(model, (x,), dynamic_shapes=({1: batch},), strict=False)


def _fix_delays(layer: Recurrent) -> None:
    """Make a layer's delays constants with known values: a trace may not look into buffers."""
    for name in ("delays", "axon_delays"):
        delays = getattr(layer, name)
        if delays is not None:
            known(delays)
            delattr(layer, name)
            setattr(layer, name, delays)
