"""PSN: a neuron without a reset, so that all its steps are one matrix product."""

import math

import torch
from torch import Tensor, nn

from rheobase.fuse import operator
from rheobase.neurons.arguments import one_of, whole
from rheobase.neurons.base import Neuron
from rheobase.surrogate import ATan, Surrogate


class PSN(Neuron):
    """Parallel spiking neuron.

    Math: `H = W x` over time, `s = Θ(H + b)`; W [T, T] Kaiming-uniform(a = √5), b = −1, no reset.
    variant "masked": causal, W[t, j] only for t − order < j <= t. variant "sliding": causal and the same at every
    step, `H[t] = Σ_i w[i] x[t − order + 1 + i]`, w starting at 2^(i − order + 1); any T.
    Shapes: `weight` [steps, steps] or [order], `bias` [steps, 1] or (). There is no state to hand in: every step of
    the full variant sees the whole sequence.
    Source: Fang et al. 2023.
    """

    fused = False

    def __init__(
        self,
        *,
        steps: int | None = None,
        variant: str = "full",
        order: int | None = None,
        surrogate: Surrogate = ATan(2.0),  # noqa: B008 (frozen)
    ):
        super().__init__(surrogate)
        self.variant = one_of(self, "variant", variant, ["full", "masked", "sliding"])
        self.steps = self._count("steps", steps, needed=variant != "sliding")
        self.order = self._count("order", order, needed=variant != "full")
        if self.order is None or self.steps is None:
            size: tuple[int, ...] = (self.steps, self.steps) if self.steps is not None else (self.order,)  # type: ignore[assignment]
        else:
            size = (self.steps, self.steps)
        self.weight = nn.Parameter(torch.empty(size))
        self.bias = nn.Parameter(torch.full(() if variant == "sliding" else (size[0], 1), -1.0))
        if variant == "sliding":
            with torch.no_grad():
                self.weight.copy_(2.0 ** torch.arange(1 - size[0], 1))
        else:
            nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def _count(self, name: str, value: int | None, needed: bool) -> int | None:
        if value is None and not needed:
            return None
        if not needed:
            raise ValueError(f"PSN: variant {self.variant!r} takes no {name}; got {value}.")
        return whole(self, name, value, 1, f" for variant {self.variant!r}")  # type: ignore[arg-type]

    def matrix(self, steps: int) -> Tensor:
        """W [steps, steps] as this variant uses it."""
        if self.variant == "full":
            return self.weight
        rows = torch.arange(steps, device=self.weight.device)
        lag = rows[:, None] - rows
        inside = (lag >= 0) & (lag < self.order)  # type: ignore[operator]
        if self.variant == "masked":
            return self.weight * inside
        return torch.where(inside, self.weight[(self.order - 1 - lag).clamp(0, self.order - 1)], 0.0)  # type: ignore[operator]

    def scan(self, x: Tensor, state=None, *, uniform=None):
        """`(spikes, {})`: all steps at once. Errors: ValueError for a state, or for T other than `steps`."""
        if not torch.compiler.is_compiling():
            operator.choose(None, x, "PSN")
            operator.note_backend("eager")
        s = self.trace(x, state, uniform=uniform)["s"]
        return s.to(x.dtype), {}

    def forward(self, x: Tensor, *, uniform=None) -> Tensor:
        return self.scan(x, uniform=uniform)[0]

    def step(self, x: Tensor, state=None, *, uniform=None):
        raise TypeError("PSN: has no single step, because it sees the whole sequence; call it on x [T, ...].")

    def trace(self, x: Tensor, state=None, *, uniform=None):
        self._check(x, uniform)
        if state:
            raise ValueError("PSN: keeps no state between calls; call it on the whole sequence.")
        if self.steps is not None and x.shape[0] != self.steps:
            raise ValueError(f"PSN: made for steps={self.steps}; got T={x.shape[0]}.")
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        with torch.autocast(x.device.type, enabled=False):
            h = (self.matrix(x.shape[0]).to(dtype) @ x.to(dtype).reshape(x.shape[0], x.shape[1:].numel())).view(x.shape)
        threshold = -self.bias.to(dtype).view(-1, *[1] * (x.dim() - 1))
        return {"u": h, "threshold": threshold.expand_as(h), "s": self.surrogate(h - threshold)}
