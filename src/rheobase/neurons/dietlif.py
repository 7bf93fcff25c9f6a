"""DietLIF: learnable leak and threshold."""

from rheobase.neurons.arguments import above, flag
from rheobase.neurons.base import Neuron
from rheobase.surrogate import Surrogate, Triangle


class DietLIF(Neuron):
    """Diet-SNN's neuron: `leak` λ and `threshold` θ learnable, per layer or per channel.

    Math: `u = λ v + x ; z = u/θ − 1 ; s = 1[z > 0] ; v = u − θ s`; the surrogate is a function of z, so that
    `∂s/∂u = g(z)/θ` and `∂s/∂θ = −g(z) u/θ²`. The reset's spike carries no gradient unless `detach_reset=False`.
    Source: Rathi and Roy 2020.
    """

    states = ("v",)

    def __init__(
        self,
        leak: float = 1.0,
        threshold: float = 1.0,
        *,
        detach_reset: bool = True,
        surrogate: Surrogate = Triangle(0.3, 1.0),  # noqa: B008 (frozen)
        channels: int | None = None,
    ):
        super().__init__(surrogate)
        self.detach_reset = flag(self, "detach_reset", detach_reset)
        self.leak = self.parameter(above(self, "leak", leak, 0.0), channels)
        self.threshold = self.parameter(above(self, "threshold", threshold, 0.0), channels)

    def coefficients(self):
        return {"leak": self.leak, "threshold": self.threshold, "inverse": 1 / self.threshold}

    def dynamics(self, x, v, *, leak, threshold, inverse):
        u = leak * v + x
        z = u * inverse - 1
        self.note(u=u, threshold=threshold, d=z)
        s = self.surrogate(z, strict=True)
        return s, u - threshold * (s.detach() if self.detach_reset else s)
