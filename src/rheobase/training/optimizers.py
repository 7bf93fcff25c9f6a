"""Optimisers by name, and the learning rate of every step."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from rheobase.exact.adabelief import AdaBelief
from rheobase.training.config import Config


class LAMB(torch.optim.Optimizer):
    """Adam's step with decoupled weight decay, scaled per tensor to the norm of the weights.

    Math: `r = m̂ / (√v̂ + ε) + λ w ; w −= η · ‖w‖/‖r‖ · r`, the ratio 1 where either norm is 0.
    Source: You et al. 2020, with the bias corrections of Adam.
    """

    def __init__(self, params, lr: float, weight_decay: float = 0.0, betas=(0.9, 0.999), eps: float = 1e-6):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable | None = None):  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step; `closure` is for torch's interface and evaluates the loss again."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)
        return loss

    def _update(self, weight: nn.Parameter, group: dict) -> None:
        state = self.state[weight]
        if not state:
            state.update(step=0, mean=torch.zeros_like(weight), square=torch.zeros_like(weight))
        state["step"] += 1
        first, second = group["betas"]
        mean = state["mean"].lerp_(weight.grad, 1 - first)
        square = state["square"].mul_(second).addcmul_(weight.grad, weight.grad, value=1 - second)
        corrected = square / (1 - second ** state["step"])
        change = mean / (1 - first ** state["step"]) / corrected.sqrt().add_(group["eps"])
        change.add_(weight, alpha=group["weight_decay"])
        size, length = weight.norm(), change.norm()
        ratio = torch.where((size > 0) & (length > 0), size / length, torch.ones_like(size))
        weight.sub_(change * (group["lr"] * ratio))


def optimizer(config: Config, parameters: Iterable[tuple[str, nn.Parameter]]) -> torch.optim.Optimizer:
    """The config's optimiser over these named parameters.

    Time constants, named `tau`, are a group of their own where they have a learning rate of their own; `pace` of a
    group is its rate in units of the config's.
    """
    rate, decay = config.learning_rate, config.weight_decay
    groups = _groups(config, list(parameters))
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, rate, momentum=config.momentum, weight_decay=decay)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "lamb": LAMB, "adabelief": AdaBelief}
    options = {} if config.optimizer == "adabelief" else {"weight_decay": decay}
    if config.optimizer == "adabelief" and decay:
        raise ValueError(f"adabelief has no weight decay here; got {decay}. Choose adamw, or leave it out.")
    return kinds[config.optimizer](groups, lr=rate, **options)


def _groups(config: Config, named: list[tuple[str, nn.Parameter]]) -> list[dict]:
    own = config.tau_learning_rate
    if own is None:
        return [{"params": [parameter for _, parameter in named], "pace": 1.0}]
    slow = [parameter for name, parameter in named if name.rpartition(".")[2] == "tau"]
    if not slow:
        raise ValueError("tau_learning_rate: the network learns no time constant `tau`. Leave it out.")
    rest = [parameter for name, parameter in named if name.rpartition(".")[2] != "tau"]
    return [{"params": rest, "pace": 1.0}, {"params": slow, "pace": own / config.learning_rate}]


def learning_rate(config: Config, step: int, steps_per_epoch: int) -> float:
    """The learning rate at one step of the optimiser: a function of the step alone, so there is nothing to restore.

    Rises linearly over the epochs of warm-up, then falls over those that are left.
    """
    rising, steps = round(config.warmup * steps_per_epoch), config.epochs * steps_per_epoch
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    done = (step - rising) / max(steps - rising, 1)
    left = {"linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2, "constant": 1.0}
    return config.learning_rate * left[config.schedule]
