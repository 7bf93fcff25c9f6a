"""Augmentation: what happens to training samples before a network sees them. A chain of transforms, and mixing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rheobase.data.draws import Draws

Transform = Callable[[Tensor, Draws], Tensor]


@dataclass(frozen=True)
class Mix:
    """Mixup (Beta(α, α) blends) or CutMix (a box of the other image), one of them per batch by the toss of a coin.

    A sample meets its neighbour in the batch, whose order is random: the second of each pair meets the first, and an
    odd last sample stays. One share λ per batch, from (seed, epoch, number of the batch). An α of 0 leaves a kind out.
    Shapes: x [B, C, H, W], labels [B] -> x, targets [B, classes].
    Source: Zhang et al. 2018, Yun et al. 2019; pairs of neighbours instead of a permutation, so that ranks which hold
    neighbours mix as one process does.
    """

    classes: int
    mixup: float = 0.2
    cutmix: float = 1.0

    def __post_init__(self) -> None:
        if self.mixup < 0 or self.cutmix < 0 or self.mixup + self.cutmix == 0:
            raise ValueError(f"mix: one α must be above 0, none below; got mixup={self.mixup}, cutmix={self.cutmix}.")

    def __call__(self, x: Tensor, labels: Tensor, seed: int, epoch: int, number: int) -> tuple[Tensor, Tensor]:
        generator = np.random.default_rng((seed, epoch, number))
        blend = generator.random() < 0.5 if self.mixup and self.cutmix else bool(self.mixup)
        alpha = self.mixup if blend else self.cutmix
        share = float(generator.beta(alpha, alpha))
        centre = generator.random(2)
        other = torch.arange(len(x), device=x.device) ^ 1
        other = torch.where(other < len(x), other, other - 1)
        if blend:
            mixed = share * x + (1 - share) * x[other]
        else:
            mixed, share = _cut(x, x[other], share, centre)
        targets = torch.nn.functional.one_hot(labels, self.classes).to(x.dtype)
        return mixed, share * targets + (1 - share) * targets[other]


def _cut(x: Tensor, other: Tensor, share: float, centre: np.ndarray) -> tuple[Tensor, float]:
    """x with one box of `other`, and the share of x that is left: the box is cut at the border."""
    height, width = x.shape[-2:]
    half = 0.5 * (1 - share) ** 0.5
    top, bottom = (int(min(max(centre[0] + side, 0), 1) * height) for side in (-half, half))
    left, right = (int(min(max(centre[1] + side, 0), 1) * width) for side in (-half, half))
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = other[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


@dataclass(frozen=True)
class Augmentation:
    """Transforms of stored values (bytes in 0 to 255, or event counts), applied in order; then a mix of whole batches.

    `seed` with the epoch and a sample's id decides everything that is random.
    """

    transforms: tuple[Transform, ...] = ()
    mix: Mix | None = None
    seed: int = 0

    def __call__(self, values: Tensor, draws: Draws) -> Tensor:
        for transform in self.transforms:
            values = transform(values, draws)
        return values
