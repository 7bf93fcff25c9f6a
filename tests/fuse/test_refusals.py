"""Steps that cannot become kernels are refused when the neuron is made, with what to write instead."""

import random
import types

import numpy as np
import pytest
import torch

import rheobase as rb
from rheobase.fuse.trace import TraceError


class Written(rb.Neuron):
    """A LIF neuron whose potential comes from `charge`, to be written wrongly."""

    states = ("v",)

    def __init__(self):
        super().__init__(rb.surrogate.Rectangle())
        self.w = torch.nn.Parameter(torch.tensor(0.5))
        self.options, self.settings = {"gain": 0.5}, types.SimpleNamespace(gain=0.5)
        self.gains, self.part = torch.nn.ParameterList([torch.tensor(0.5)]), torch.nn.Dropout()

    def coefficients(self):
        return {"decay": 0.5, "threshold": 1.0}

    def dynamics(self, x, v, *, decay, threshold):
        u = self.charge(x, v, decay)
        s = self.fire(u, threshold)
        return s, u - threshold * s


class OldStyle(torch.autograd.Function):
    @staticmethod
    def forward(ctx, u):
        return u * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def remember(self, x, v, decay):
    self.seen = x
    return decay * v + x


def assigned(self, x, v, decay):
    u = decay * v + x
    u[u > 1] = 0.0
    return u


WRONG = {
    "if": (lambda self, x, v, d: x if v > 0 else v, "torch.where"),
    "float": (lambda self, x, v, d: v + float(x), "torch.where"),
    "item": (lambda self, x, v, d: v + x.item(), "torch.where"),
    "masked assignment": (assigned, "torch.where"),
    "mean": (lambda self, x, v, d: v + x - x.mean(), "uses mean.*Reductions"),
    "sum": (lambda self, x, v, d: v + x.sum(), "uses sum.*Reductions"),
    "matrix product": (lambda self, x, v, d: v + x @ x, "elementwise.*fused = False"),
    "any": (lambda self, x, v, d: v + x * (x > 0).any(), "uses any.*Reductions"),
    "softmax": (lambda self, x, v, d: v + torch.softmax(x, -1), "softmax.*fused = False"),
    "roll": (lambda self, x, v, d: v + x.roll(1), "roll.*fused = False"),
    "in place": (lambda self, x, v, d: v.mul_(d) + x, "in place.*new tensor"),
    "in place, masked": (lambda self, x, v, d: (d * v).masked_fill_(x > 0, 0.0), "in place.*new tensor"),
    "in place, own": (lambda self, x, v, d: (d * v).add_(x), "in place.*new tensor"),
    "old function": (lambda self, x, v, d: d * v + OldStyle.apply(x), "setup_context.*inject"),
    "parameter of self": (lambda self, x, v, d: self.w * v + x, r"without gradient.*coefficients\(\)"),
    "value of a parameter": (lambda self, x, v, d: self.w.item() * v + x, r"without gradient.*coefficients\(\)"),
    "branch on a parameter": (lambda self, x, v, d: v if self.w > 0 else x, "torch.where"),
    "training": (lambda self, x, v, d: d * v + x if self.training else x, r"self.training.*coefficients\(\)"),
    "tensor from outside": (
        lambda self, x, v, d: torch.tensor(0.5) * v + x,
        r"outside its arguments.*coefficients\(\)",
    ),
    "numpy": (lambda self, x, v, d: v + torch.from_numpy(np.asarray(x.detach().numpy())), "outside its arguments"),
    "shape": (lambda self, x, v, d: v + x * x.numel(), "shape of its input"),
    "dimensions": (lambda self, x, v, d: v + x * (2.0 if x.dim() > 2 else 1.0), "shape of its input"),
    "random": (lambda self, x, v, d: v + x + torch.rand_like(x), "random = True.*uniform"),
    "Python's random": (lambda self, x, v, d: v + x * random.random(), "chance.*uniform"),
    "type": (lambda self, x, v, d: v + x * (2.0 if x.dtype == torch.float64 else 1.0), "shape of its input, its type"),
    "remembered": (remember, "self.seen.*state"),
    "double": (lambda self, x, v, d: v + x.double(), r"\.to\(x\.dtype\)"),
    "float32": (lambda self, x, v, d: (v + x).float(), r"\.to\(x\.dtype\)"),
    "float32 of truth": (
        lambda self, x, v, d: v + x * ((x > 0) * 0.1),
        r"computes mul in torch.float32.*\.to\(x\.dtype\)",
    ),
    "bits of integers": (lambda self, x, v, d: v + x * ~((x > 0) * 1), "bitwise_not"),
    "large integers": (lambda self, x, v, d: v + x * ((x > 0) * (2**25 + 1) - 2**25), "whole numbers above 2.24"),
    "integers": (lambda self, x, v, d: v + x.long(), r"\.to\(x\.dtype\)"),
    "computed power": (lambda self, x, v, d: v + x**d, "computed exponent.*exp and log"),
    "fractional power": (lambda self, x, v, d: v + x**1.5, "exponent 1.5.*exp and log"),
    "rounded division": (lambda self, x, v, d: v + torch.div(x, d, rounding_mode="floor"), "div"),
    "unknown operation": (lambda self, x, v, d: v + torch.round(x), "uses round.*Known: abs"),
    "rounded number": (lambda self, x, v, d: v + x * torch.where(v > 0, 0.1, 0.3), "makes 0.[13] in torch.float32"),
    "contents of a dict": (lambda self, x, v, d: v + x * self.options["gain"], "self.options, a dict.*of their own"),
    "an object": (lambda self, x, v, d: v + x * self.settings.gain, "self.settings, a SimpleNamespace.*of their own"),
    "a list of parameters": (lambda self, x, v, d: v + x * self.gains[0].item(), r"without gradient.*coefficients\(\)"),
    "training of a part": (lambda self, x, v, d: v + x if self.part.training else x, r"reads self.training"),
    "unknown name": (lambda self, x, v, d: v + self.nothing, "nothing"),
}


@pytest.mark.parametrize(("charge", "words"), WRONG.values(), ids=list(WRONG))
def test_refused_at_definition_with_what_to_write(charge, words):
    kind = type("Wrong", (Written,), {"charge": charge})
    with pytest.raises(TraceError, match=f"(?s)dynamics.*{words}|^Wrong: an autograd.*{words}"):
        kind()


RETURNS = {
    "list": (lambda s, v: [s, v], r"tuple \(s, v\); got a list"),
    "tensor": (lambda s, v: s, r"tuple \(s, v\); got a Tensor"),
    "too many": (lambda s, v: (s, v, v), "got a tuple of 3"),
    "number": (lambda s, v: (s, 0.0), "for v; got 0.0"),
    "nothing": (lambda s, v: (s, None), "for v; got None"),
    "truth": (lambda s, v: (s, v > 0), "for v; got torch.bool"),
}


@pytest.mark.parametrize(("returned", "words"), RETURNS.values(), ids=list(RETURNS))
def test_refused_returns(returned, words):
    def dynamics(self, x, v, *, decay, threshold):
        return returned(self.fire(x + v, threshold), v)

    with pytest.raises(TraceError, match=f"^Wrong: dynamics must return .*{words}"):
        type("Wrong", (Written,), {"dynamics": dynamics})()


@pytest.mark.parametrize(
    ("states", "coefficients", "name"), [(("v", "v"), {}, "v"), (("v",), {"v": 0.5}, "v"), (("v",), {"x": 0.5}, "x")]
)
def test_refused_names(states, coefficients, name):
    def dynamics(self, x, *states, **coefficients):
        return self.fire(x + states[0], 1.0), *states

    written = {"states": states, "coefficients": lambda self: coefficients, "dynamics": dynamics}
    with pytest.raises(TraceError, match=f"takes '{name}' twice.*rename"):
        type("Wrong", (Written,), written)()


@pytest.mark.parametrize("name", ["x", "spikes", "uniform", "t", "key"])
def test_names_that_a_state_holds_besides_are_refused(name):
    def dynamics(self, x, v, other, *, decay, threshold):
        return self.fire(x + v, threshold), v, other

    with pytest.raises(TypeError, match=f"Wrong: no state can be called '{name}'"):
        type("Wrong", (Written,), {"states": ("v", name), "dynamics": dynamics})()


def test_an_eager_neuron_may_do_all_this():
    charge = WRONG["mean"][0]
    neuron = type("Eager", (Written,), {"charge": charge, "fused": False})()
    assert neuron(torch.ones(3, 2, 2)).shape == (3, 2, 2)
    assert rb.last_backend() == "eager"
    with rb.backend("cpu"), pytest.raises(RuntimeError, match=r"Eager: backend 'cpu' cannot run.*fused = False"):
        neuron(torch.ones(3, 2, 2))


def test_python_loops_and_numbers_are_fine():
    def charge(self, x, v, decay):
        for _ in range(2):
            x = x * 0.5 + torch.ones(())
        return decay * v + x

    neuron = type("Fine", (Written,), {"charge": charge})()
    x = torch.randn(5, 2, 3)
    with rb.backend("eager"):
        wanted = neuron(x)
    with rb.backend("cpu"):
        assert torch.equal(neuron(x), wanted)


def test_tracing_ends_with_an_error():
    with pytest.raises(TraceError):
        type("Wrong", (Written,), {"charge": WRONG["mean"][0]})()
    neuron = rb.LIF()
    neuron.threshold = 0.5
    assert neuron(torch.full((1, 1), 0.6)).item() == 1


@pytest.mark.parametrize(
    ("name", "fix"), [("\u00b5", "write '\u03bc'"), ("v m", "rename it"), ("in", "rename it"), ("", "rename")]
)
def test_names_that_python_could_not_write_are_refused(name, fix):
    written = {"states": (name,), "dynamics": lambda self, x, v: (self.fire(x + v, 1.0), v)}
    with pytest.raises(TypeError, match=f"is no name for a state or coefficient in Python; {fix}"):
        type("Wrong", (rb.Neuron,), written)()


def test_a_slope_is_not_written_in_place_behind_the_tracer():
    class Box(rb.surrogate.Surrogate):
        def derivative(self, d):
            slope = torch.ones_like(d)
            slope.data.masked_fill_(d.abs() > 0.5, 0.0)
            return slope

    class Boxed(rb.Neuron):
        def __init__(self):
            super().__init__(Box())

        def dynamics(self, x):
            return (self.fire(x, 1.0),)

    with pytest.raises(TraceError, match="writes in place"):
        Boxed()
