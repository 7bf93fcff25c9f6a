"""Every operation of the compiler against torch, on ordinary and special values: the value, its gradient, NaN rules."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse import trace

NAN, INF = float("nan"), float("inf")
VALUES = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e30, -1e30, INF, -INF, NAN, 7e-3, 0.99])
PAIRS = torch.cartesian_prod(VALUES, VALUES)
# Within 2 ulp of the truth both here and in torch; the others are bit-equal.
INEXACT = {"exp", "log", "sigmoid", "tanh", "sin", "cos", "atan", "erf", "log1p", "expm1"}
HUGE = {"sin", "cos"}  # of 1e30: the vector libraries of torch and C reduce the argument differently

OPERATIONS = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - 2 * y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y,
    "rsub": lambda x, y: 1 - x, "alpha": lambda x, y: torch.add(x, y, alpha=0.5), "neg": lambda x, y: -x,
    "abs": lambda x, y: x.abs(), "exp": lambda x, y: torch.exp(x), "log": lambda x, y: torch.log(x),
    "sqrt": lambda x, y: torch.sqrt(x), "sigmoid": lambda x, y: torch.sigmoid(x), "tanh": lambda x, y: torch.tanh(x),
    "relu": lambda x, y: torch.relu(x), "maximum": torch.maximum, "minimum": torch.minimum,
    "reciprocal": lambda x, y: torch.reciprocal(x), "sgn": lambda x, y: torch.sgn(x),
    "sign": lambda x, y: torch.sign(x),
    "sin": lambda x, y: torch.sin(x), "cos": lambda x, y: torch.cos(x), "atan": lambda x, y: torch.atan(x),
    "erf": lambda x, y: torch.erf(x), "log1p": lambda x, y: torch.log1p(x), "expm1": lambda x, y: torch.expm1(x),
    "ge": lambda x, y: (x >= y) * x, "gt": lambda x, y: (x > y) * x, "le": lambda x, y: (x <= y) * x,
    "lt": lambda x, y: (x < y) * x, "eq": lambda x, y: (x == y) * x, "ne": lambda x, y: (x != y) * x,
    "and": lambda x, y: ((x > 0) & (y > 0)).to(x.dtype), "or": lambda x, y: ((x > 0) | (y > 0)).to(x.dtype),
    "not": lambda x, y: (~(x > y)).to(x.dtype), "logical": lambda x, y: torch.logical_and(x > 0, y > 0).to(x.dtype),
    "where": lambda x, y: torch.where(x > y, x, y), "where number": lambda x, y: torch.where(x > y, x, 0.25),
    "clamp": lambda x, y: x.clamp(-1.0, 1.0), "clamp below": lambda x, y: x.clamp(min=0.0),
    "clamp above": lambda x, y: x.clamp(max=0.5), "clamp by tensor": lambda x, y: x.clamp(min=y),
    "square": lambda x, y: x.square(), "cube": lambda x, y: x**3, "ones": lambda x, y: x + torch.ones_like(y),
    "full": lambda x, y: x * torch.full_like(x, 0.5), "cast": lambda x, y: (x > 0).to(x.dtype) - y,
    "detach": lambda x, y: x * y.detach(), "absent": lambda x, y: torch.zeros_like(x),
    "ones times ones": lambda x, y: x * (torch.ones_like(x) * torch.ones_like(y)), "to the first": lambda x, y: x**1,
    # x and y are nodes 0 and 1 of the program: not the numbers 0.0 and 1.0
    "nodes, then numbers": lambda x, y: (x * y + (y - x)) + (x * 0.0 + (y - 0.0)) + (y + 1.0) * (x - 1.0),
    "numbers, then nodes": lambda x, y: (x * 0.0 + (y - 0.0)) + (y + 1.0) * (x - 1.0) + (x * y + (y - x)),
    "signs of zero": lambda x, y: torch.where(x > 0, 1 / torch.full_like(y, 0.0), 1 / torch.full_like(y, -0.0)),
    "where NaN": lambda x, y: torch.where(x > y, NAN, x),
    # what torch means by arithmetic on truth values: + is or, * is and
    "truth + truth": lambda x, y: ((x > 0) + (y > 0)) * x,
    "truth * truth": lambda x, y: (((x > 0) * (y > 0)) | (x < y)) * y,
    "where of truths": lambda x, y: (torch.where(x > y, x > 0, y > 0) & (x < 2)) * x,
    "logic of numbers": lambda x, y: (torch.logical_and(x, y) | torch.logical_not(y)) * x,
    "no truth": lambda x, y: (torch.zeros_like(x, dtype=torch.bool) | (x > y)) * x,
    "whole numbers": lambda x, y: ((x > 0) * 2 - 1 + (y > 0) * 1) * x,
    "float of truth": lambda x, y: (x > y).float() * y,
    "number as truth": lambda x, y: torch.full_like(x, 5, dtype=torch.bool) * y,
    "number as whole": lambda x, y: torch.full_like(x, 2.7, dtype=torch.int64) * y,
    # gradients that torch knows to be 0, of x's type or float64, added and multiplied
    "no gradient, and one": lambda x, y: torch.sgn(x) + x * torch.sgn(x / 3.0) + torch.sgn(x * y) * y,
}  # fmt: skip


def neuron_of(function) -> rb.Neuron:
    """A 'neuron' that gives out function(x, y) of its input and its state."""

    class Computes(rb.Neuron):
        states = ("y",)

        def __init__(self):
            super().__init__(None)

        def dynamics(self, x, y):
            return function(x, y), y

    return Computes()


def results(neuron, backend: str) -> dict[str, torch.Tensor]:
    x, y = (PAIRS[:, k].clone().requires_grad_() for k in (0, 1))
    with rb.backend(backend):
        z, _ = neuron.scan(x[None], {"y": y})
    if z.requires_grad:
        z.backward(torch.full_like(z, 0.75))
    slopes = [torch.zeros_like(v) if v.grad is None else v.grad for v in (x, y)]
    return dict(zip(("value", "gradient to x", "gradient to y"), [z.detach()[0], *slopes], strict=True))


@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_torch_s(name):
    neuron = neuron_of(OPERATIONS[name])
    mine, torchs = results(neuron, "cpu"), results(neuron, "eager")
    compared = PAIRS[:, 0].abs() < 1e20 if name in HUGE else torch.ones(len(PAIRS), dtype=torch.bool)
    for what, wanted in torchs.items():
        got, wanted = mine[what][compared], wanted[compared]
        if name in INEXACT:  # gradients such as 1 − tanh² lose the leading digits of tanh
            near = 1e-37 if what == "value" else 3e-7
            torch.testing.assert_close(got, wanted, rtol=5e-7, atol=near, equal_nan=True, msg=f"{name}, {what}")
            continue
        same = (got == wanted) | (got.isnan() & wanted.isnan())
        at = PAIRS[compared][~same][:3].tolist()
        assert same.all(), f"{name}, {what}, at {at}: {got[~same][:3].tolist()}, torch {wanted[~same][:3].tolist()}"


def test_every_operation_is_tried():
    tried = set()
    for function in OPERATIONS.values():
        program = neuron_of(function).program()
        for graph in (program.forward, program.backward):
            tried |= {node.op for node in graph.nodes}
    assert set(trace.OPERATIONS) <= tried
