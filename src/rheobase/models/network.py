"""The base of all image networks: what they take, what they refuse, and their neuron layers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from rheobase.layers import ReLU
from rheobase.models.options import is_whole
from rheobase.models.parts import Parts
from rheobase.neurons import Neuron

LARGEST = 4096  # sides beyond are not listed in messages

Size = int | tuple[int, int]


def pair(image_size: Size) -> tuple[int, int]:
    """(height, width) of an image size given as one side or both."""
    sides = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
    if len(sides) != 2 or not all(is_whole(side, 1) for side in sides):
        raise ValueError(f"image_size must be one side or (height, width) in pixels; got {image_size!r}.")
    return sides


class Network(nn.Module):
    """Images or event frames in, class scores per time step out: `features`, then `classify`.

    Shapes: x [T, B, C, H, W], any T; or images [B, C, H, W], shown `steps` times (of the call, else of the model) ->
    [T, B, classes]. What stands before the first neuron runs once on a repeated image, also on `image.expand(T, ...)`.
    With ReLU nothing depends on time: images are shown once unless `steps` says otherwise.
    Errors: ValueError for another number of channels or a size that is not admitted, naming those that are; TypeError
    for x that is not floating-point.
    """

    features: nn.Module

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, steps: int | None = None) -> Tensor: ...

    def __init__(self, name: str, parts: Parts, in_channels: int, image_size: Size, grid: Callable[[int], int]):
        """`grid`: the side of the last map of features for a side of the image; 0: the image is too small."""
        super().__init__()
        self.name, self.in_channels, self.image_size = name, in_channels, pair(image_size)
        self.steps = 1 if parts.neuron == "relu" and parts.steps is None else parts.steps
        self.free = True
        self._grid = grid
        self._admit(*self.image_size)

    def fix_size(self) -> int:
        """Tie the network to maps of its own image size, for classifiers that see every place; returns H·W of them."""
        self.free = False
        height, width = self.grid(*self.image_size)
        return height * width

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the last map of features."""
        return self._grid(height), self._grid(width)

    def admits(self, height: int, width: int) -> bool:
        """Whether images of this size can be classified."""
        found = self.grid(height, width)
        return min(found) > 0 and (self.free or found == self.grid(*self.image_size))

    def forward(self, x: Tensor, steps: int | None = None) -> Tensor:
        return self.classify(self.features(self.sequence(x, steps)))

    def classify(self, x: Tensor) -> Tensor:
        """Class scores [T, B, classes] for features [T, B, C, H, W]."""
        raise NotImplementedError(f"{type(self).__name__} does not define classify.")

    def sequence(self, x: Tensor, steps: int | None = None) -> Tensor:
        """x as [T, B, C, H, W]; images are repeated without a copy."""
        self._check(x, steps)
        if x.dim() == 5:
            return x
        shown = self.steps if steps is None else steps
        if shown is None:
            raise ValueError(
                f"{self.name}: images [B, C, H, W] need a number of time steps; create the model with steps=T, call "
                f"model(x, steps=T), or hand in [T, B, C, H, W]."
            )
        return x.expand(shown, *x.shape)

    def neuron_layers(self) -> dict[str, nn.Module]:
        """The neurons (ReLUs of the twin) by name, in the order in which they run."""
        return {name: module for name, module in self.named_modules() if isinstance(module, (Neuron, ReLU))}

    def _check(self, x: Tensor, steps: int | None) -> None:
        if not x.is_floating_point():
            raise TypeError(f"{self.name}: x must be a floating-point tensor; got {x.dtype}.")
        if x.dim() not in (4, 5):
            raise ValueError(f"{self.name}: x must be [T, B, C, H, W] or [B, C, H, W]; got shape {tuple(x.shape)}.")
        if steps is not None and (not isinstance(steps, int) or isinstance(steps, bool) or steps < 1):
            raise ValueError(f"{self.name}: steps must be a whole number of time steps >= 1; got {steps!r}.")
        if steps is not None and x.dim() == 5 and steps != x.shape[0]:
            raise ValueError(f"{self.name}: x has {x.shape[0]} time steps; got steps={steps}. Leave steps out.")
        if x.shape[-3] != self.in_channels:
            raise ValueError(f"{self.name}: made for {self.in_channels} channels; got x {tuple(x.shape)}.")
        self._admit(*x.shape[-2:])

    def _admit(self, height: int, width: int) -> None:
        if self.admits(height, width):
            return
        raise ValueError(f"{self.name}: images of {height}x{width} are not admitted; {self._admitted()}.")

    def _admitted(self) -> str:
        if self.free:
            return f"admitted are sides from {_smallest(self._grid)} pixels"
        (low, high), (left, right) = (_alike(self._grid, side) for side in self.image_size)
        return (
            f"made for {self.image_size[0]}x{self.image_size[1]} it admits heights of {low} to {high} and widths of "
            f"{left} to {right}; create it with another image_size, sides from {_smallest(self._grid)}"
        )


def _smallest(grid: Callable[[int], int]) -> int:
    return next(side for side in range(1, LARGEST) if grid(side) > 0)


def _alike(grid: Callable[[int], int], side: int) -> tuple[int, int]:
    """The smallest and the largest side with the same last map as `side`."""
    low = next(s for s in range(1, side + 1) if grid(s) == grid(side))
    return low, next((s for s in range(side, LARGEST) if grid(s + 1) != grid(side)), LARGEST)
