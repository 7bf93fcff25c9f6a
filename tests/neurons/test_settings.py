"""Kernels follow everything that a step can read: what may change behind them is part of their key, or refused."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse.trace import TraceError

LEAK = 0.5


class Leaky(rb.Neuron):
    """A LIF neuron that resets at 1; its leak is read from `self.leak()`."""

    states = ("v",)

    def leak(self):
        return 0.5

    def dynamics(self, x, v):
        u = self.leak() * v + x
        s = self.fire(u, 1.0)
        return s, u - s


class OfTheClass(Leaky):
    share = 0.5

    def leak(self):
        return self.share


class OfAGlobal(Leaky):
    def leak(self):
        return LEAK


class OfShapes(Leaky):
    """Its leak depends on which tensors there are, and on their shapes."""

    def __init__(self, size: tuple[int, ...] = (), mode: bool = False):
        super().__init__()
        self.k = torch.nn.Parameter(torch.full(size, 0.5))
        self.register_buffer("mode", torch.ones(()) if mode else None)

    def leak(self):
        return (0.25 if self.k.dim() else 0.5) + (0.0 if self.mode is None else 0.25)


class Outer(Leaky):
    """Its step is that of a neuron inside it."""

    def __init__(self):
        super().__init__()
        self.inner = rb.LIF(tau=4.0)

    def coefficients(self):
        return self.inner.coefficients()

    def dynamics(self, x, v, **coefficients):
        return self.inner.dynamics(x, v, **coefficients)


def assert_kernel_is_eager(neuron: rb.Neuron) -> torch.Tensor:
    x = torch.randn(9, 4, 6, generator=torch.Generator().manual_seed(0)) * 2
    with rb.backend("eager"):
        wanted = neuron(x)
    assert torch.equal(neuron(x), wanted)
    return wanted


def closed(leak: float) -> type[Leaky]:
    return type("Closed", (Leaky,), {"leak": lambda self: leak})


def test_attributes_of_the_class_globals_and_closures(monkeypatch):
    before = assert_kernel_is_eager(OfTheClass())
    monkeypatch.setattr(OfTheClass, "share", 0.875)
    assert not torch.equal(assert_kernel_is_eager(OfTheClass()), before)
    before = assert_kernel_is_eager(OfAGlobal())
    monkeypatch.setitem(globals(), "LEAK", 0.875)
    assert not torch.equal(assert_kernel_is_eager(OfAGlobal()), before)
    kind = closed(0.5)
    before = assert_kernel_is_eager(kind())
    monkeypatch.setattr(kind, "leak", lambda self: 0.875)
    assert not torch.equal(assert_kernel_is_eager(kind()), before)


def test_presence_and_shapes_of_tensors():
    found = [assert_kernel_is_eager(OfShapes(*made)) for made in (((), False), ((6,), False), ((), True))]
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_neurons_inside_a_neuron():
    neuron = Outer()
    before = assert_kernel_is_eager(neuron)
    neuron.inner.reset = "hard"
    assert not torch.equal(assert_kernel_is_eager(neuron), before)
    neuron.inner.surrogate = rb.surrogate.Sigmoid()
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with rb.backend("eager"):
        (wanted,) = torch.autograd.grad(neuron(x).sum(), x)
    torch.testing.assert_close(torch.autograd.grad(neuron(x).sum(), x)[0], wanted)


def test_lists_in_tuples_are_refused():
    class Nested(Leaky):
        def __init__(self):
            super().__init__()
            self.shares = ([0.5], 0.25)

        def leak(self):
            return self.shares[0][0]

    with pytest.raises(TraceError, match=r"reads self\.shares, a list, whose contents may change"):
        Nested()


def test_tuples_of_numbers_are_read():
    class Fixed(Leaky):
        def __init__(self, shares):
            super().__init__()
            self.shares = shares

        def leak(self):
            return self.shares[0][0]

    assert not torch.equal(assert_kernel_is_eager(Fixed(((0.5,), 1))), assert_kernel_is_eager(Fixed(((0.875,), 1))))


class Plain(rb.surrogate.Surrogate):
    """A surrogate that is no dataclass."""

    def __init__(self, slope: float):
        self.slope = slope

    def derivative(self, d):
        return self.slope * torch.ones_like(d)


def test_every_surrogate_in_use_keeps_its_settings():
    class Two(rb.Neuron):
        def __init__(self):
            super().__init__(Plain(1.0))
            self.other = Plain(2.0)

        def dynamics(self, x):
            return (self.fire(x, 1.0) * self.other(x),)

    neuron = Two()
    neuron.surrogate = Plain(1.0)
    for used in (neuron.surrogate, neuron.other):
        with pytest.raises(AttributeError, match="a neuron uses it"):
            used.slope = 3.0


class Gain(rb.Neuron):
    """A gain per step, or per channel."""

    states = ("v",)

    def __init__(self, per_step: bool):
        super().__init__()
        self.timed = ("g",) if per_step else ()
        self.g = torch.nn.Parameter(torch.linspace(0.2, 2.0, 6))

    def coefficients(self):
        return {"g": self.g * 1}

    def dynamics(self, x, v, *, g):
        u = 0.5 * v + g * x
        s = self.fire(u, 1.0)
        return s, u - s


def test_compiled_neurons_of_one_class_keep_apart():
    """Equal programs, but one's gain is per step and the other's per channel, and there are as many of either."""
    torch._dynamo.reset()
    x = torch.randn(6, 4, 6, generator=torch.Generator().manual_seed(0)) * 2
    neuron, other = Gain(True), Gain(False)
    compiled = torch.compile(neuron, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), neuron(x)) and not torch.equal(neuron(x), other(x))
