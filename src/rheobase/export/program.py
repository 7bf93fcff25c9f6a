"""A network as a program of torch's own operations, which runs where Rheobase is not."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rheobase.fuse.operator import backend
from rheobase.neurons import Neuron


def torch_program(model: nn.Module, x: Tensor) -> torch.export.ExportedProgram:
    """The network in evaluation mode for inputs of x's shape [T, B, ...]; T is unrolled.

    Any batch size will do, except where neurons draw their spikes and for PSN: there it stays that of x.
    Neurons are written out by their eager steps. `torch.export.save(program, path)` writes it; `torch.export.load(path)
    .module()(x)` runs it with torch alone.
    Errors: ValueError for neurons that draw their spikes without a seed: a program has no generator to draw a key from.
    """
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    for name, neuron in model.named_modules():
        if isinstance(neuron, Neuron):
            if neuron.random and getattr(neuron, "seed", None) is None:
                fix = "give it a seed, or sigma=0 (`--seed 0`, `--deterministic`)"
                raise ValueError(f"torch: {name} draws its spikes; {fix}.")
            vars(neuron)["_key"] = None  # no custom operator: plain torch instead
    batch = torch.export.Dim.AUTO
    with torch.no_grad(), backend("eager"):
        return torch.export.export(model, (x,), dynamic_shapes=({1: batch},), strict=False)
