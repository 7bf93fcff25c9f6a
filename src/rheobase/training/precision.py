"""Mixed precision: activations in a shorter type, weights and what the optimiser keeps in float32."""

from contextlib import AbstractContextManager

import torch

from rheobase.training.config import Config


def autocast(config: Config, device: torch.device) -> AbstractContextManager:
    """The context of a forward pass and its loss."""
    kind = getattr(torch, config.precision)
    return torch.autocast(device.type, kind, enabled=kind != torch.float32)


def scaler(config: Config, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss for float16, whose gradients would vanish; does nothing for the other types."""
    return torch.amp.GradScaler(device.type, enabled=config.precision == "float16")


def widened(readout: torch.Tensor) -> torch.Tensor:
    """The readout in float32 at least: a loss is not computed in a short type."""
    return readout.float() if readout.dtype in (torch.bfloat16, torch.float16) else readout
