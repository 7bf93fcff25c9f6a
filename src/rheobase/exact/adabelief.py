"""AdaBelief: Adam whose second moment is the gradient's distance from its running mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch


class AdaBelief(torch.optim.Optimizer):
    """Optimizer of the theta-neuron experiments.

    Math: m = β1 m + (1 - β1) g; s = β2 s + (1 - β2)(g - m)² + ε; w -= lr m̂ / (√ŝ + ε), hats as in Adam.
    Source: Zhuang et al. 2020; without weight decay and rectification.
    """

    def __init__(
        self, params: Iterable, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-16
    ) -> None:
        if not (lr > 0 and 0 <= betas[0] < 1 and 0 <= betas[1] < 1 and eps > 0):
            raise ValueError(f"AdaBelief: needs lr > 0, betas in [0, 1) and eps > 0; got {lr}, {betas}, {eps}.")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(parameter), spread=torch.zeros_like(parameter))
        state["step"] += 1
        mean, spread = state["mean"], state["spread"]
        mean.lerp_(parameter.grad, 1 - first)
        surprise = parameter.grad - mean
        spread.mul_(second).addcmul_(surprise, surprise, value=1 - second).add_(group["eps"])
        size = (spread / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, size, value=-group["lr"] / (1 - first ** state["step"]))
