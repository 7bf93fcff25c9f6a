"""Random geometry of whole batches: crop, flip, erasing, roll, rotation, shear. One gather moves all pixels of a batch.

Every transform takes stored values [B, ..., H, W], images or event frames, in any type and on any device, and the
samples' draws; all channels and time steps of a sample move together.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rheobase.data.draws import Draws

Number = float | Tensor


@dataclass(frozen=True)
class Crop:
    """Pad with zeros on every side and cut the original size out at a random place."""

    padding: int = 4

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        down, right = (draws.integers(-self.padding, self.padding + 1) for _ in range(2))
        rows, columns = _grid(values)
        return gather(values, rows + _each(down, values), columns + _each(right, values))


@dataclass(frozen=True)
class Flip:
    """Mirror left and right with this probability."""

    probability: float = 0.5

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        mirrored = draws.chance(self.probability).to(values.device)
        return torch.where(mirrored.view(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)


@dataclass(frozen=True)
class Roll:
    """Shift by up to `most` pixels in both directions; what leaves on one side enters on the other."""

    most: int = 5

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        down, right = (draws.integers(-self.most, self.most + 1) for _ in range(2))
        rows, columns = _grid(values)
        height, width = values.shape[-2:]
        return gather(values, (rows - _each(down, values)) % height, (columns - _each(right, values)) % width)


@dataclass(frozen=True)
class Rotate:
    """Turn around the centre by up to `degrees` either way, nearest pixel, zeros from outside."""

    degrees: float = 15.0

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        return affine(values, rotation((draws.uniform() * 2 - 1) * self.degrees))


@dataclass(frozen=True)
class Shear:
    """Shear along the rows by up to `degrees` either way around the centre, nearest pixel, zeros from outside."""

    degrees: float = 30.0

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        slope = ((draws.uniform() * 2 - 1) * math.radians(self.degrees)).tan()
        return affine(values, matrices(len(slope), xy=slope))


@dataclass(frozen=True)
class Affine:
    """Turn and shear by up to so many degrees, stretch either axis by up to a share, shift by up to so many pixels.

    Bilinear, zeros from outside: for handwriting.
    """

    degrees: float = 10.0
    shear: float = 10.0
    stretch: float = 0.1
    shift: float = 1.5

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        turn, slope, wide, tall, right, down = (draws.uniform() * 2 - 1 for _ in range(6))
        sheared = (slope * math.radians(self.shear)).tan()
        stretched = matrices(len(turn), xx=1 + wide * self.stretch, xy=sheared, yy=1 + tall * self.stretch)
        turned = rotation(turn * self.degrees)[:, :, :2] @ stretched[:, :, :2]
        shift = torch.stack((right, down), 1).to(turned) * self.shift
        return affine(values, torch.cat((turned, shift.unsqueeze(2)), 2), smooth=True)


@dataclass(frozen=True)
class Erase:
    """Random erasing, or cutout: with this probability a box is overwritten. The box lies inside the image.

    `area` is its share of the image, `aspect` its height over its width, drawn evenly or (`log_aspect`) in logarithm.
    `fill` gives one stored value per channel; none: a grey drawn in 0 to 255.
    Source: Zhong et al. 2017; the grey and the even aspect as in torchtoolbox's Cutout, which CLIF and ILIF use.
    """

    probability: float = 0.5
    area: tuple[float, float] = (0.02, 0.4)
    aspect: tuple[float, float] = (0.4, 2.5)
    log_aspect: bool = False
    fill: tuple[float, ...] | None = None

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        height, width = values.shape[-2:]
        chosen, area = draws.chance(self.probability), _between(self.area, draws.uniform()) * height * width
        aspect = self._aspect(draws.uniform())
        tall, wide = (area * aspect).sqrt().floor().clamp(max=height), (area / aspect).sqrt().floor().clamp(max=width)
        top, left = ((draws.uniform() * (room + 1)).floor() for room in (height - tall, width - wide))
        rows, columns = _grid(values)
        inside = _between_edges(rows, top, tall) & _between_edges(columns, left, wide)
        erased = (inside & _each(chosen, values)).expand(len(values), height, width)
        if self.fill is None:
            paint = _over_channels(_each(draws.integers(0, 256).to(values.dtype), values), values)
        else:
            paint = values.new_tensor(self.fill).view(-1, 1, 1)
        return torch.where(_over_channels(erased, values), paint, values)

    def _aspect(self, unit: Tensor) -> Tensor:
        if not self.log_aspect:
            return _between(self.aspect, unit)
        low, high = (math.log(edge) for edge in self.aspect)
        return _between((low, high), unit).exp()


@dataclass(frozen=True)
class OneOf:
    """Each sample goes through one of the transforms, drawn evenly."""

    transforms: tuple[Callable[[Tensor, Draws], Tensor], ...]

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        choice, result = draws.integers(0, len(self.transforms)), values.clone()
        for number, transform in enumerate(self.transforms):
            chosen = (choice == number).nonzero().flatten()
            if len(chosen):
                index = chosen.to(values.device)
                result[index] = transform(values[index], draws.branch(number, chosen))
        return result


def matrices(
    count: int, xx: Number = 1, xy: Number = 0, yx: Number = 0, yy: Number = 1, x: Number = 0, y: Number = 0
) -> Tensor:
    """[count, 2, 3]: where output pixels come from, x_in = xx·x + xy·y + x, y_in = yx·x + yy·y + y, from the centre."""
    entries = [torch.as_tensor(entry, dtype=torch.float64).expand(count) for entry in (xx, xy, x, yx, yy, y)]
    return torch.stack(entries, 1).view(count, 2, 3)


def rotation(degrees: Tensor) -> Tensor:
    """The matrices that turn images counter-clockwise by these angles: [B, 2, 3]."""
    angle = degrees * (math.pi / 180)
    return matrices(len(angle), angle.cos(), -angle.sin(), angle.sin(), angle.cos())


def affine(values: Tensor, matrix: Tensor, smooth: bool = False) -> Tensor:
    """Each output pixel from where its sample's matrix points, the nearest pixel or (`smooth`) bilinear; 0 outside."""
    height, width = values.shape[-2:]
    rows, columns = _grid(values)
    down, right = rows.to(torch.float64) + 0.5 - height / 2, columns.to(torch.float64) + 0.5 - width / 2
    (xx, xy, x), (yx, yy, y) = (row.to(values.device).view(3, -1, 1, 1) for row in matrix.permute(1, 2, 0))
    across, along = xx * right + xy * down + x + width / 2, yx * right + yy * down + y + height / 2
    if not smooth:
        return gather(values, along.floor().long(), across.floor().long())
    return _bilinear(values, along, across)


def _bilinear(values: Tensor, along: Tensor, across: Tensor) -> Tensor:
    height, width = values.shape[-2:]
    inside = (along >= 0) & (along < height) & (across >= 0) & (across < width)
    top, left = (along - 0.5).floor(), (across - 0.5).floor()
    total = torch.zeros(values.shape, dtype=torch.float32, device=values.device)
    for row, weight in ((top, 1 - (along - 0.5 - top)), (top + 1, along - 0.5 - top)):
        for column, other in ((left, 1 - (across - 0.5 - left)), (left + 1, across - 0.5 - left)):
            picked = gather(values, row.long().clamp(0, height - 1), column.long().clamp(0, width - 1))
            total += picked * _over_channels((weight * other * inside).to(torch.float32), values)
    return total.to(values.dtype) if values.is_floating_point() else total.round().to(values.dtype)


def gather(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pick pixel (rows, columns), each broadcast to [B, H, W], for every channel; pixels outside are 0."""
    height, width = values.shape[-2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    index = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
    flat = values.reshape(len(values), math.prod(values.shape[1:-2]), height * width)
    picked = flat.gather(2, index.expand(len(values), height, width).flatten(1).unsqueeze(1).expand_as(flat))
    return picked.view_as(values) * _over_channels(inside.expand(len(values), height, width), values)


def _grid(values: Tensor) -> tuple[Tensor, Tensor]:
    """Row numbers [1, H, 1] and column numbers [1, 1, W]."""
    height, width = values.shape[-2:]
    rows, columns = (torch.arange(size, device=values.device) for size in (height, width))
    return rows.view(1, -1, 1), columns.view(1, 1, -1)


def _each(numbers: Tensor, values: Tensor) -> Tensor:
    """One number per sample, against a grid: [B, 1, 1]."""
    return numbers.to(values.device).view(-1, 1, 1)


def _over_channels(picture: Tensor, values: Tensor) -> Tensor:
    """[B, H, W] against values [B, ..., H, W]."""
    return picture.view(len(picture), *[1] * (values.dim() - 3), *picture.shape[1:])


def _between(edges: tuple[float, float], unit: Tensor) -> Tensor:
    return edges[0] + (edges[1] - edges[0]) * unit


def _between_edges(grid: Tensor, first: Tensor, size: Tensor) -> Tensor:
    start = first.to(grid.device).view(-1, 1, 1)
    return (grid >= start) & (grid < start + size.to(grid.device).view(-1, 1, 1))
