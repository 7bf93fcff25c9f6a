"""The example that tells an exporter what a network sees."""

from __future__ import annotations

from torch import Tensor, nn

from rheobase.models import Network
from rheobase.models.recurrent import RecurrentNetwork


def sequence(model: nn.Module, x: Tensor) -> Tensor:
    """The example as a sequence [T, B, ...], every step with memory of its own: what repeats here need not elsewhere.

    Errors: those of the model, for an x that it does not take; ValueError for one without time and batch.
    """
    if isinstance(model, (Network, RecurrentNetwork)):
        x = model.sequence(x)
    if x.dim() < 2:
        raise ValueError(f"export: x must be [T, B, ...]; got shape {tuple(x.shape)}.")
    return x.contiguous()
