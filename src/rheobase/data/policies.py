"""TrivialAugment and AutoAugment: one or two operations per image, drawn with their strengths."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rheobase.data import colour
from rheobase.data.draws import Draws
from rheobase.data.transforms import affine, matrices, rotation
from rheobase.names import unknown

# An operation takes images, one strength per image, and whether to interpolate.
Operation = Callable[[Tensor, Tensor, bool], Tensor]
GEOMETRY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    # Sheared from the top left corner, as the authors of AutoAugment did; matrices count from the centre.
    "shear_x": lambda images, level: matrices(len(level), xy=level, x=level * images.shape[-2] / 2),
    "shear_y": lambda images, level: matrices(len(level), yx=level, y=level * images.shape[-1] / 2),
    "translate_x": lambda images, level: matrices(len(level), x=-level.trunc()),
    "translate_y": lambda images, level: matrices(len(level), y=-level.trunc()),
    "rotate": lambda images, level: rotation(level),
}
COLOUR: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": lambda images, level: colour.brightness(images, 1 + level),
    "color": lambda images, level: colour.saturation(images, 1 + level),
    "contrast": lambda images, level: colour.contrast(images, 1 + level),
    "sharpness": lambda images, level: colour.sharpness(images, 1 + level),
    "posterize": colour.posterize,
    "solarize": colour.solarize,
    "autocontrast": lambda images, level: colour.autocontrast(images),
    "equalize": lambda images, level: colour.equalize(images),
    "invert": lambda images, level: colour.invert(images),
}
PLAIN = ("autocontrast", "equalize", "invert", "identity")  # without strength
SIGNED = (*GEOMETRY, "brightness", "color", "contrast", "sharpness")


def apply(name: str, images: Tensor, level: Tensor, smooth: bool) -> Tensor:
    """One operation with one strength per image."""
    if name in GEOMETRY:
        return affine(images, GEOMETRY[name](images, level), smooth)
    return images if name == "identity" else COLOUR[name](images, level)


@dataclass(frozen=True)
class TrivialAugmentWide:
    """One of 14 operations per image, with one of 31 strengths of a wide range.

    `smooth` interpolates moved images (else the nearest pixel). Source: Müller and Hutter 2021, the "wide" space.
    """

    smooth: bool = True

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        space = wide_space()
        names = list(space)
        choice, bin_, sign = draws.integers(0, len(names)), draws.integers(0, 31), draws.chance(0.5)
        result = values.clone()
        for number, name in enumerate(names):
            chosen = (choice == number).nonzero().flatten()
            if len(chosen):
                level = _signed(name, space[name][bin_[chosen]], sign[chosen])
                index = chosen.to(values.device)
                result[index] = apply(name, values[index], level, self.smooth)
        return result


def wide_space() -> dict[str, Tensor]:
    """The 31 strengths of each operation."""
    deltas = {name: torch.linspace(0, 0.99, 31) for name in ("brightness", "color", "contrast", "sharpness")}
    shears = {name: torch.linspace(0, 0.99, 31) for name in ("shear_x", "shear_y")}
    moves = {name: torch.linspace(0, 32, 31) for name in ("translate_x", "translate_y")}
    plain = {name: torch.zeros(31) for name in ("identity", "autocontrast", "equalize")}
    posterize = 8 - (torch.arange(31) / (30 / 6)).round()
    special = {"rotate": torch.linspace(0, 135, 31), "posterize": posterize, "solarize": torch.linspace(255, 0, 31)}
    return {**plain, **shears, **moves, **deltas, **special}


# Source: Cubuk et al. 2019. Two operations each: name, probability in tenths, strength 0 to 9.
POLICIES = {
    "cifar": """
        invert 1 - contrast 2 6, rotate 7 2 translate_x 3 9, sharpness 8 1 sharpness 9 3, shear_y 5 8 translate_y 7 9,
        autocontrast 5 - equalize 9 -, shear_y 2 7 posterize 3 7, color 4 3 brightness 6 7,
        sharpness 3 9 brightness 7 9, equalize 6 - equalize 5 -, contrast 6 7 sharpness 6 5,
        color 7 7 translate_x 5 8, equalize 3 - autocontrast 4 -,
        translate_y 4 3 sharpness 2 6, brightness 9 6 color 2 8, solarize 5 2 invert 0 -, equalize 2 - autocontrast 6 -,
        equalize 2 - equalize 6 -, color 9 9 equalize 6 -, autocontrast 8 - solarize 2 8, brightness 1 3 color 7 0,
        solarize 4 5 autocontrast 9 -, translate_y 9 9 translate_y 7 9, autocontrast 9 - solarize 8 3,
        equalize 8 - invert 1 -, translate_y 7 9 autocontrast 9 -""",
    "imagenet": """
        posterize 4 8 rotate 6 9, solarize 6 5 autocontrast 6 -, equalize 8 - equalize 6 -, posterize 6 7 posterize 6 6,
        equalize 4 - solarize 2 4, equalize 4 - rotate 8 8, solarize 6 3 equalize 6 -, posterize 8 5 equalize 10 -,
        rotate 2 3 solarize 6 8, equalize 6 - posterize 4 6, rotate 8 8 color 4 0, rotate 4 9 equalize 6 -,
        equalize 0 - equalize 8 -, invert 6 - equalize 10 -, color 6 4 contrast 10 8, rotate 8 8 color 10 2,
        color 8 8 solarize 8 7, sharpness 4 7 invert 6 -, shear_x 6 5 equalize 10 -, color 4 0 equalize 6 -,
        equalize 4 - solarize 2 4, solarize 6 5 autocontrast 6 -, invert 6 - equalize 10 -, color 6 4 contrast 10 8,
        equalize 8 - equalize 6 -""",
}


@dataclass(frozen=True)
class AutoAugment:
    """One of 25 pairs of operations per image, each of the two with its probability and strength.

    `policy` is "cifar" or "imagenet". Moved images take the nearest pixel. Source: Cubuk et al. 2019.
    """

    policy: str = "cifar"

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise unknown("AutoAugment policy", self.policy, POLICIES)

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        pairs, levels = _pairs(self.policy), learned_space(values.shape[-1], values.shape[-2])
        choice, result = draws.integers(0, len(pairs)), values.clone()
        for place in (0, 1):
            luck, sign = draws.uniform(), draws.chance(0.5)
            for name, probability, bin_ in sorted({pair[place] for pair in pairs}):
                here = torch.tensor([pair[place] == (name, probability, bin_) for pair in pairs])[choice]
                chosen = (here & (luck < probability)).nonzero().flatten()
                if len(chosen):
                    level = _signed(name, levels[name][bin_].expand(len(chosen)), sign[chosen])
                    index = chosen.to(values.device)
                    result[index] = apply(name, result[index], level, smooth=False)
        return result


def learned_space(width: int, height: int) -> dict[str, Tensor]:
    """The 10 strengths of each operation, for images of this size."""
    deltas = {name: torch.linspace(0, 0.9, 10) for name in ("brightness", "color", "contrast", "sharpness")}
    moves = {
        f"translate_{axis}": torch.linspace(0, 150 / 331 * size, 10) for axis, size in (("x", width), ("y", height))
    }
    plain = {name: torch.zeros(10) for name in PLAIN}
    shears = {name: torch.linspace(0, 0.3, 10) for name in ("shear_x", "shear_y")}
    posterize = 8 - (torch.arange(10) / (9 / 4)).round()
    special = {"rotate": torch.linspace(0, 30, 10), "posterize": posterize, "solarize": torch.linspace(255, 0, 10)}
    return {**plain, **shears, **moves, **deltas, **special}


def _pairs(policy: str) -> list[tuple[tuple[str, float, int], ...]]:
    """[((name, probability, strength), (name, probability, strength)), ...] of the table above."""
    found = []
    for line in POLICIES[policy].split(","):
        words = line.split()
        both = (words[:3], words[3:])
        found.append(tuple((name, int(p) / 10, 0 if level == "-" else int(level)) for name, p, level in both))
    return found


def _signed(name: str, level: Tensor, negative: Tensor) -> Tensor:
    """Either direction, where an operation has two."""
    return torch.where(negative, -level, level) if name in SIGNED else level
