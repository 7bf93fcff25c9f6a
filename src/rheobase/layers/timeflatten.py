"""TimeFlatten: a stateless module over all time steps at once."""

from torch import Tensor, nn


class TimeFlatten(nn.Module):
    """Applies a module for batches [N, ...] to x [T, B, ...] by treating T·B as the batch.

    Errors: ValueError for inputs without a time and a batch dimension.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 2:
            raise ValueError(f"TimeFlatten: x must be [T, B, ...]; got shape {tuple(x.shape)}.")
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
