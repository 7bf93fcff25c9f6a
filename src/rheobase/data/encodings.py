"""Encodings: a batch of samples [B, ...] with values in [0, 1] becomes time steps [T, B, ...].

The random one draws from torch's CPU generator unless it is given another, so that seeds and checkpoints cover it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rheobase.names import unknown


@dataclass(frozen=True)
class Rows:
    """Sequential, one row of the image per step: [B, H, W] -> [H, B, W]."""

    def __call__(self, batch: Tensor) -> Tensor:
        return _images(batch, "rows").transpose(0, 1)


@dataclass(frozen=True)
class Pixels:
    """Sequential, one pixel per step in reading order: [B, H, W] -> [H·W, B, 1]."""

    def __call__(self, batch: Tensor) -> Tensor:
        return _images(batch, "pixels").flatten(1).t().unsqueeze(-1)


@dataclass(frozen=True)
class Events:
    """Samples that already are sequences: [B, T, ...] -> [T, B, ...]."""

    def __call__(self, batch: Tensor) -> Tensor:
        if batch.dim() < 3:
            raise ValueError(f"events: samples must be sequences [B, T, ...]; got {list(batch.shape)}. Use direct.")
        return batch.transpose(0, 1)


@dataclass(frozen=True)
class Direct:
    """The same values at every step, as a current: [B, ...] -> [T, B, ...]."""

    steps: int

    def __post_init__(self) -> None:
        _check_steps("direct", self.steps)

    def __call__(self, batch: Tensor) -> Tensor:
        return batch.expand(self.steps, *batch.shape)


@dataclass(frozen=True)
class Poisson:
    """At every step a spike with the probability that the value names (Bernoulli, the discrete Poisson process)."""

    steps: int
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        _check_steps("poisson", self.steps)

    def __call__(self, batch: Tensor) -> Tensor:
        _check_unit("poisson", batch)
        draws = torch.rand(self.steps, *batch.shape, generator=self.generator).to(batch)
        return (draws < batch).to(batch.dtype)


@dataclass(frozen=True)
class Latency:
    """One spike per value, the brighter the earlier: at step round((1 − value)(T − 1)); a value of 0 stays silent."""

    steps: int

    def __post_init__(self) -> None:
        _check_steps("latency", self.steps)

    def __call__(self, batch: Tensor) -> Tensor:
        _check_unit("latency", batch)
        when = ((1 - batch) * (self.steps - 1)).round().long()
        spikes = torch.zeros(self.steps, *batch.shape, dtype=batch.dtype, device=batch.device)
        return spikes.scatter_(0, when.unsqueeze(0), (batch > 0).to(batch.dtype).unsqueeze(0))


Encoding = Callable[[Tensor], Tensor]
SEQUENTIAL = {"rows": Rows, "pixels": Pixels, "events": Events}
TIMED = {"direct": Direct, "poisson": Poisson, "latency": Latency}


def encoding(name: str, steps: int | None = None) -> Encoding:
    """The encoding of this name; `steps` is needed by direct, poisson and latency, and refused by the others."""
    if name in SEQUENTIAL:
        if steps is not None:
            raise ValueError(f"{name}: the number of steps follows from the sample; got steps={steps}. Leave it out.")
        return SEQUENTIAL[name]()
    if name in TIMED:
        if steps is None:
            raise ValueError(f"{name}: needs a number of time steps; got none. Give for example steps=8.")
        return TIMED[name](steps)
    raise unknown("encoding", name, [*SEQUENTIAL, *TIMED])


def with_steps(encode: Encoding, steps: int | None) -> Encoding:
    """The encoding with another number of steps; none: as it is.

    Errors: ValueError for one whose steps follow from the sample.
    """
    if steps is None:
        return encode
    if isinstance(encode, Direct | Poisson | Latency):
        return replace(encode, steps=steps)
    name, fix = type(encode).__name__.lower(), "Leave it out, or choose encoding direct; event sets take data_options"
    raise ValueError(
        f"{name}: the number of steps follows from the sample; got steps={steps}. {fix} (--data-options steps {steps})."
    )


def _images(batch: Tensor, name: str) -> Tensor:
    if batch.dim() != 3:
        raise ValueError(f"{name}: samples must be images [B, H, W]; got {list(batch.shape)}. Use events or direct.")
    return batch


def _check_steps(name: str, steps: int) -> None:
    if steps < 1:
        raise ValueError(f"{name}: steps must be at least 1; got {steps}.")


def _check_unit(name: str, batch: Tensor) -> None:
    if batch.numel() and not (batch.min() >= 0 and batch.max() <= 1):
        low, high = float(batch.min()), float(batch.max())
        raise ValueError(f"{name}: values must lie in [0, 1]; got {low:g} to {high:g}. Scale the samples first.")
