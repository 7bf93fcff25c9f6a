"""TimeFlatten: a stateless module over all time steps at once."""

from torch import Tensor, nn

from rheobase.neurons.base import Neuron


class TimeFlatten(nn.Module):
    """Applies a module for batches [N, ...] to x [T, B, ...] by treating T·B as the batch.

    Errors: TypeError for a module with neurons in it, whose time would be T·B; ValueError for inputs without a time and
    a batch dimension.
    """

    def __init__(self, module: nn.Module):
        super().__init__()
        for name, inner in module.named_modules():
            if isinstance(inner, Neuron):
                raise TypeError(
                    f"TimeFlatten: {name or 'the module'} is {type(inner).__name__}, which needs time as its first "
                    "dimension; wrap the layers between neurons, not the neurons."
                )
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 2:
            raise ValueError(f"TimeFlatten: x must be [T, B, ...]; got shape {tuple(x.shape)}.")
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])
