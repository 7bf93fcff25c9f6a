"""ProbLIF and ProbPLIF: spikes drawn with a probability given by the membrane."""

import math

import torch

from rheobase.neurons.arguments import above, whole
from rheobase.neurons.base import Neuron
from rheobase.surrogate import DoubleGaussian, Surrogate, inject, is_smooth


class ProbLIF(Neuron):
    """Probabilistic LIF.

    Math: `u = α u + (1 − α) x − θ z⁻ ; z ~ Bernoulli(p(u)), p(u) = exp(min(0, (u − θ)/(σθ)))`, α = exp(−dt/τ), z⁻ the
    last spike (its threshold is not decayed). Gradient `∂z/∂u = g(u − θ) + mix · dp/du`, g the surrogate and
    `dp/du = p/(σθ)` below θ, 0 above. sigma = 0 is the deterministic neuron z = Θ(u − θ) with g alone.
    A spike is drawn iff r < p(u), with r from Philox4x32-10 (see fuse/philox.py) or handed in as `uniform`.
    `seed=None` takes a new key from torch's CPU generator at every fresh call; a number gives the same draws each call.
    Units: tau and dt in the same unit of time (default steps), above 0; sigma in units of the threshold.
    Source: Higuchi et al., AIROV 2026. The sign in its equation 1 is a slip; the mixture weight is not given there.
    """

    states = ("u", "z")

    def __init__(
        self,
        tau: float = 20.0,
        threshold: float = 1.0,
        *,
        sigma: float = 1.0,
        mix: float = 1.0,
        dt: float = 1.0,
        seed: int | None = None,
        surrogate: Surrogate = DoubleGaussian(),  # noqa: B008 (frozen)
    ):
        super().__init__(surrogate)
        self.tau: float | torch.nn.Parameter = above(self, "tau", tau, 0.0)
        self.threshold = above(self, "threshold", threshold, 0.0)
        self.mix, self.dt = above(self, "mix", mix, float("-inf")), above(self, "dt", dt, 0.0)
        self.sigma = 0.0 if sigma == 0 else above(self, "sigma", sigma, 0.0, " (or 0, the deterministic neuron)")
        self.seed = None if seed is None else whole(self, "seed", seed, 0, " below 2^64, or None")
        if self.seed is not None and self.seed >= 2**64:
            raise ValueError(f"{type(self).__name__}: seed must be below 2^64; got {seed}.")
        self.random = self.sigma > 0

    def decay(self):
        """α, the share of the potential kept per step."""
        return math.exp(-self.dt / self.tau)  # type: ignore[operator]

    def coefficients(self):
        alpha = self.decay()
        drawn = {"slope": 1 / (self.sigma * self.threshold), "mix": self.mix} if self.random else {}
        return {"alpha": alpha, "gain": 1 - alpha, "threshold": self.threshold, **drawn}

    def dynamics(self, x, u, z, *, alpha, gain, threshold, slope=None, mix=None, uniform=None):
        u = alpha * u + gain * x - threshold * z
        if slope is not None:
            z = self.draw(u, threshold, slope, mix, uniform)
        else:
            z = self.fire(u, threshold)
            self.note(p=z)
        return z, u, z

    def draw(self, u, threshold, slope, mix, uniform):
        """z = 1 where uniform < p(u), with the mixed gradient; inside `smooth()` the mixture's primitive."""
        d = u - threshold
        p = torch.exp((d * slope).clamp(max=0.0))
        self.note(u=u, threshold=threshold, p=p)
        if is_smooth():
            return self.surrogate.primitive(d) + mix * p
        below = torch.where(d < 0, p * slope, torch.zeros_like(p))
        return inject((uniform < p).to(u.dtype), u, self.surrogate.derivative(d) + mix * below)


class ProbPLIF(ProbLIF):
    """ProbLIF that learns its time constants: parameter `tau`, per neuron (`features=n` or a shape) or per layer.

    Math: as ProbLIF with α = exp(−dt/|τ|). `tau_std` spreads the start, τ ~ N(tau, tau_std) (the lab's code: 5);
    `tau_log_std` spreads it over orders of magnitude instead, ln τ ~ N(ln tau, tau_log_std).
    Units: tau in units of dt. Source: Higuchi et al., AIROV 2026.
    """

    tau: torch.nn.Parameter

    def __init__(
        self,
        tau: float = 20.0,
        threshold: float = 1.0,
        *,
        sigma: float = 1.0,
        mix: float = 1.0,
        dt: float = 1.0,
        seed: int | None = None,
        surrogate: Surrogate = DoubleGaussian(),  # noqa: B008 (frozen)
        features: int | tuple[int, ...] | None = None,
        tau_std: float = 0.0,
        tau_log_std: float = 0.0,
    ):
        super().__init__(tau, threshold, sigma=sigma, mix=mix, dt=dt, seed=seed, surrogate=surrogate)
        spread = 0.0 if tau_std == 0 else above(self, "tau_std", tau_std, 0.0)
        log_spread = 0.0 if tau_log_std == 0 else above(self, "tau_log_std", tau_log_std, 0.0)
        if spread and log_spread:
            raise ValueError(f"{type(self).__name__}: give tau_std or tau_log_std, not both.")
        del self.tau
        self.tau = self.parameter(tau, features)
        if spread:
            torch.nn.init.normal_(self.tau, tau, spread)
        if log_spread:
            torch.nn.init.normal_(self.tau, math.log(tau), log_spread).data.exp_()

    def decay(self):
        return torch.exp(-self.dt / self.tau.abs().clamp(min=self.dt / 1024))  # below, α is 0 and a gradient 0/0
