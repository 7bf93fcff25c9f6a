"""Initial weights of image networks."""

import math

import torch
from torch import nn

from rheobase.models.parts import Parts


def initialise(network: nn.Module, parts: Parts, linear_std: float | None = None) -> None:
    """Convolutions Kaiming-normal over fan-out (gain √2), biases 0; linear layers torch's default, or N(0, linear_std).

    Draws from the generator of `parts.weight_seed`, if there is one, and leaves neurons and norms alone.
    """
    seed = parts.weight_seed
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if not isinstance(layer, (nn.Conv2d, nn.Linear)):
            continue
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif linear_std is not None:
            nn.init.normal_(layer.weight, 0.0, linear_std, generator=generator)
        else:
            nn.init.kaiming_uniform_(layer.weight, math.sqrt(5), generator=generator)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
