"""TDBatchNorm2d: batch normalisation that knows the threshold."""

import torch.nn.functional as F
from torch import Tensor, nn

from rheobase.neurons.base import above


class TDBatchNorm2d(nn.BatchNorm2d):
    """Threshold-dependent batch normalisation over time, batch, height and width.

    Math: `y = λ (a θ (x − μ)/√(var + ε)) + β`, λ and β learnable per channel; a = `scale`, 1/√2 on branches that are
    added. Running statistics as in BatchNorm2d, over T·B·H·W.
    Shapes: x [T, B, C, H, W].
    Source: Zheng et al. 2021.
    """

    def __init__(self, channels: int, threshold: float = 1.0, scale: float = 1.0, eps=1e-5, momentum: float = 0.1):
        super().__init__(channels, eps=eps, momentum=momentum)
        self.threshold, self.scale = above(self, "threshold", threshold, 0.0), above(self, "scale", scale, 0.0)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 5:
            raise ValueError(f"TDBatchNorm2d: x must be [T, B, C, H, W]; got shape {tuple(input.shape)}.")
        flat = input.flatten(0, 1)
        if self.training:
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        weight = self.weight * (self.scale * self.threshold)
        mean, var, momentum = self.running_mean, self.running_var, self.momentum or 0.0
        y = F.batch_norm(flat, mean, var, weight, self.bias, self.training, momentum, self.eps)
        return y.unflatten(0, input.shape[:2])
