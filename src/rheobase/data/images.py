"""Images that stay in their files until a batch needs them, decoded by Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rheobase.data.draws import Draws

if TYPE_CHECKING:
    from PIL import Image

TRIES = 10  # to place a random crop, before the centre is taken


@dataclass(frozen=True)
class ImageFiles:
    """Image files; read, they are bytes [N, 3, size, size].

    For training (with draws) a random part of `area` of the image and `aspect` is cut out and resized; else the shorter
    side becomes `shorter` and the centre is cut out. `shorter` none: images already are size x size, and are only read.
    `names` [N] are paths relative to `root`, as bytes: a million of them take little memory, and workers share it.
    Source: the crop of Szegedy et al. 2015, with the usual constants.
    """

    root: Path
    names: np.ndarray
    size: int
    shorter: int | None = None
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Tensor) -> ImageFiles:
        return replace(self, names=self.names[index.numpy()])

    def read(self, draws: Draws | None = None) -> Tensor:
        """Decode all. Errors: ValueError naming a damaged file; ModuleNotFoundError without Pillow."""
        tries = None if draws is None or self.shorter is None else draws.uniform(TRIES, 4).tolist()
        pictures = torch.empty(len(self), 3, self.size, self.size, dtype=torch.uint8)
        for place, name in enumerate(self.names):
            image = decode(self.root / name.decode())
            if self.shorter is not None:
                box = self._centre(image) if tries is None else self._part(image, tries[place])
                image = image.resize((self.size, self.size), resample=2, box=box)
            elif image.size != (self.size, self.size):
                raise ValueError(f"{self.root / name.decode()} is {image.size}, not {self.size}x{self.size} pixels.")
            pictures[place] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        return pictures

    def _centre(self, image: Image.Image) -> tuple[float, float, float, float]:
        """The part that is left when the shorter side is `shorter` and the centre of `size` is kept."""
        side = min(image.size) * self.size / (self.shorter or self.size)
        left, top = ((length - side) / 2 for length in image.size)
        return left, top, left + side, top + side

    def _part(self, image: Image.Image, tries: list[list[float]]) -> tuple[float, float, float, float]:
        """A random part that lies inside the image; the centre where no try does."""
        width, height = image.size
        for area, aspect, x, y in tries:
            pixels = width * height * (self.area[0] + (self.area[1] - self.area[0]) * area)
            low, high = (math.log(edge) for edge in self.aspect)
            ratio = math.exp(low + (high - low) * aspect)
            wide, tall = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if 0 < wide <= width and 0 < tall <= height:
                left, top = int(x * (width - wide + 1)), int(y * (height - tall + 1))
                return left, top, left + wide, top + tall
        return self._centre(image)


def decode(path: Path) -> Image.Image:
    """One image in RGB. Errors: ValueError naming the file, where it is truncated or no image."""
    try:
        from PIL import Image, UnidentifiedImageError
        from PIL.Image import DecompressionBombError
    except ImportError as error:
        fix = "image folders need Pillow, which decodes the files. `pip install 'rheobase[vision]'`"
        raise ModuleNotFoundError(fix) from error
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (UnidentifiedImageError, DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        fix = "Take it from its archive again, or remove it."
        raise ValueError(f"{path} is truncated, corrupt, or no image ({error}). {fix}") from error
