"""The image networks at a size for tests."""

import torch

import rheobase as rb

NETWORKS = [name for name in rb.models.names() if name not in ("recurrent", "exact")]
STEPS = 3
FAST = {"problif": {"tau": 2.0, "seed": 1}, "probplif": {"tau": 2.0, "seed": 1}, "alif": {"tau": 2.0}}


def network(name: str, neuron="clif", **options) -> rb.models.Network:
    """A network at 1/32 width for 32 x 32 images with 2 channels and 5 classes; the same weights every time."""
    if isinstance(neuron, str) and neuron in FAST:
        options.setdefault("neuron_options", FAST[neuron])
    torch.manual_seed(0)
    settings = {"num_classes": 5, "in_channels": 2, "steps": STEPS, "width": 1 / 32, "weight_seed": 0}
    return rb.models.create(name, neuron, **{**settings, **options})


def images(batch: int = 4, size: int = 32) -> torch.Tensor:
    """Images [B, 2, size, size] that make neurons fire."""
    return torch.randn(batch, 2, size, size, generator=torch.Generator().manual_seed(1)) * 2
