"""Exponential moving average of the weights."""

from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """A moving average of a model's weights; everything that is not floating point, and buffers, are taken as they are.

    Math: `w̄ = d w̄ + (1 − d) w` after each step with the decay d, which starts at `(1 + n) / (10 + n)` in step n.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay, self.steps = model, decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights after one more step of the optimiser into the average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = dict(self.model.named_parameters())
        for name, kept in self.weights.items():
            kept.lerp_(current[name], 1 - decay)

    @contextmanager
    def applied(self):
        """Within this context the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self.model.named_parameters():
            kept = value.detach().clone()
            value.copy_(self.weights[name])
            self.weights[name].copy_(kept)

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """What a checkpoint keeps."""
        return {"steps": self.steps, "weights": self.weights}

    def load_state_dict(self, state: dict) -> None:
        """Go on from what `state_dict` gave."""
        self.steps = state["steps"]
        for name, value in state["weights"].items():
            self.weights[name].copy_(value)
