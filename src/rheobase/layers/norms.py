"""Batch normalisation over time, batch, height and width; TDBatchNorm2d also knows the threshold."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rheobase.layers.overtime import over_time, repeated
from rheobase.neurons.arguments import above


class BatchNorm2d(nn.BatchNorm2d):
    """torch's BatchNorm2d on x [T, B, C, H, W] or [T·B, C, H, W], statistics over T·B·H·W elements.

    An input that repeats over time is normalised once; its running variance is still that of T·B·H·W elements, whose
    unbiased estimate is smaller.
    """

    gain = 1.0

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1):
        super().__init__(channels, eps=eps, momentum=momentum)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() == 4:  # time and batch are one already, as TimeFlatten makes them
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.dim() != 5:
            wanted = "[T, B, C, H, W], or [T·B, C, H, W]"
            raise ValueError(f"{type(self).__name__}: x must be {wanted}; got shape {tuple(input.shape)}.")
        if self.training:
            self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        mean, var = self.running_mean, self.running_var
        if not (self.training and repeated(input)):
            return over_time(lambda flat: self._normalise(flat, mean, var), input)
        updated = var.clone()  # type: ignore[union-attr]  (autograd holds what batch_norm updates: it must stay)
        y = over_time(lambda flat: self._normalise(flat, mean, updated), input)
        kept, n = var * (1 - (self.momentum or 0.0)), input[0].numel() // input.shape[2]  # type: ignore[operator]
        var.copy_(kept + (updated - kept) * ((n - 1) * input.shape[0] / (n * input.shape[0] - 1)))  # type: ignore[union-attr]
        return y

    def _normalise(self, flat: Tensor, mean: Tensor | None, var: Tensor | None) -> Tensor:
        return F.batch_norm(flat, mean, var, self.scaled(), self.bias, self.training, self.momentum or 0.0, self.eps)

    def scaled(self) -> Tensor:
        """What normalised values are multiplied by, per channel."""
        return self.weight if self.gain == 1.0 else self.weight * self.gain

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of x [T, B, C, H, W] per channel; the running statistics take them in."""
        self.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        running = self.running_mean, self.running_var
        return torch.batch_norm_update_stats(x.detach().flatten(0, 1), *running, self.momentum or 0.0)  # type: ignore[arg-type]


class TDBatchNorm2d(BatchNorm2d):
    """Threshold-dependent batch normalisation over time, batch, height and width.

    Math: `y = λ (a θ (x − μ)/√(var + ε)) + β`, λ and β learnable per channel; a = `scale`, 1/√2 on branches that are
    added. Running statistics as in BatchNorm2d, over T·B·H·W.
    Shapes: x [T, B, C, H, W], or [T·B, C, H, W].
    Source: Zheng et al. 2021.
    """

    def __init__(self, channels: int, threshold: float = 1.0, scale: float = 1.0, eps=1e-5, momentum: float = 0.1):
        super().__init__(channels, eps=eps, momentum=momentum)
        self.threshold, self.scale = above(self, "threshold", threshold, 0.0), above(self, "scale", scale, 0.0)

    @property
    def gain(self) -> float:  # type: ignore[override]
        """a θ."""
        return self.scale * self.threshold
