"""Parts: what the layers of an image network are made of, the same in every architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import nn

from rheobase.layers import BatchNorm2d, ReLU, TDBatchNorm2d
from rheobase.models.choice import neuron_for
from rheobase.models.options import check
from rheobase.names import unknown
from rheobase.neurons import Neuron

NORMS = ("batch", "td")


@dataclass(frozen=True)
class Parts:
    """The choices that all image networks share.

    Errors: ValueError for an unknown norm, or a width or number of steps that is not above 0.
    """

    neuron: str | Callable[..., Neuron] = "lif"
    """A neuron's name, "relu" for the twin without time, or a factory: called for every layer, with those of
    `channels`, `features` and `steps` that it takes."""
    neuron_options: Mapping[str, Any] | None = None
    """Options of a neuron given by name."""
    steps: int | None = None
    """T: how often an image [B, C, H, W] is shown; neurons with parameters per step are made for it."""
    per_channel: bool | None = None
    """Learnable parameters of a neuron given by name: one per channel, or one per layer; none: as it was published."""
    norm: Literal["batch", "td"] = "batch"
    """Batch normalisation, or the threshold-dependent one."""
    width: float = 1.0
    """Factor on every number of channels but those of input and output."""
    weight_seed: int | None = None
    """Fixes the initial weights whatever the neuron draws for itself; none: torch's generator."""

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise unknown("norm", str(self.norm), NORMS)
        check("Parts", {"width": self.width, "steps": self.steps, "weight_seed": self.weight_seed})

    def size(self, channels: int) -> int:
        """A number of channels of the published network at this width, at least 1."""
        return max(1, round(channels * self.width))

    def spiking(self, channels: int, **wanted: Any) -> nn.Module:
        """A new neuron, or ReLU, for a layer of so many channels. `wanted`: settings that this place asks for."""
        if self.neuron != "relu":
            return neuron_for(self.neuron, channels, self.steps, self.neuron_options, self.per_channel, **wanted)
        if self.neuron_options or self.per_channel:
            raise ValueError(f"neuron 'relu' has no options; got {dict(self.neuron_options or {})}.")
        return ReLU()

    def normalise(self, channels: int, scale: float = 1.0) -> BatchNorm2d:
        """A new norm. `scale`: 1/√2 on branches that are added, which only the threshold-dependent one heeds."""
        if self.norm == "batch":
            return BatchNorm2d(channels)
        return TDBatchNorm2d(channels, self.threshold, scale)

    @cached_property
    def threshold(self) -> float:
        """The neuron's threshold, at its start where it is learnable; 1 where it has none."""
        with torch.random.fork_rng(devices=[]):
            found = getattr(self.spiking(1), "threshold", 1.0)
        return found.item() if isinstance(found, torch.Tensor) else found
