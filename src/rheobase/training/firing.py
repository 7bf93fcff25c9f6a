"""Counts spikes while a model runs, without a line of it in the model."""

from types import TracebackType

import torch
from torch import Tensor, nn

from rheobase.data import valid_steps
from rheobase.layers import spiking_layers


class FiringRate:
    """A context in which every spike of a model is counted: `spikes` in `places`, neurons times steps times samples.

    Set `lengths` before a batch with padding: steps after the end of a sequence do not count.
    """

    def __init__(self, model: nn.Module):
        self.lengths: Tensor | None = None
        self._layers = spiking_layers(model)
        self.spikes, self.places = 0.0, 0.0

    def __enter__(self) -> "FiringRate":
        self._hooks = [layer.register_forward_hook(self._count) for layer in self._layers.values()]
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    @property
    def rate(self) -> float:
        """Spikes per neuron and step; not a number where nothing ran."""
        return self.spikes / self.places if self.places else float("nan")

    def _count(self, module: nn.Module, inputs: tuple, spikes: Tensor) -> None:
        steps, batch = spikes.shape[:2]
        valid, counted = spikes.detach().flatten(2), float(steps * batch)
        if self.lengths is not None:
            valid = valid * valid_steps(self.lengths, steps).unsqueeze(-1)
            counted = float(self.lengths.sum())
        self.spikes += float(valid.sum(dtype=torch.float64))
        self.places += counted * valid.shape[2]


@torch.no_grad()
def record_spikes(model: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The spikes [T, B, ...] of every spiking layer for one batch."""
    found: dict[str, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda module, inputs, spikes, name=name: found.update({name: spikes}))
        for name, layer in spiking_layers(model).items()
    ]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found
