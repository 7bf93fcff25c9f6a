"""From one step in PyTorch to two scalar programs: the step, and its vector-Jacobian product.

The function is traced on tensors without dimensions, so that every operation is one on numbers. It is traced a second
time on tensors of shape [3, 5, 2, 7] in float64; both programs must be equal, which catches whatever depends on a shape
or a type. Only the elementwise operations listed here pass, and only results in x's type, truth values, and whole
numbers made of truth values, which are exact in x's type too.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import os
import re
import threading
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from rheobase.fuse.program import Graph, Node, Program, Value
from rheobase.fuse.step import Step, StepError
from rheobase.surrogate import slopes_at_once

Kind = tuple[tuple[int, ...], torch.dtype]

KINDS: tuple[Kind, ...] = (((), torch.float32), ((3, 5, 2, 7), torch.float64))  # of the tensors a step is traced on
EXACT = 1 << 24  # whole numbers up to here are exact in float32

_tracing: contextvars.ContextVar[bool] = contextvars.ContextVar("rheobase_tracing", default=False)


def is_tracing() -> bool:
    """Whether a step is being traced just now."""
    return _tracing.get()


class TraceError(TypeError):
    """A step that cannot become a kernel; the message says which operation, and what to write instead."""


_SAME = {
    "aten.detach", "aten.alias", "aten.clone", "aten.view", "aten.lift_fresh_copy", "aten._unsafe_view", "aten.expand",
}  # fmt: skip
_ARITHMETIC = {
    "aten.add": "add", "aten.sub": "sub", "aten.mul": "mul", "aten.div": "div", "aten.neg": "neg", "aten.abs": "abs",
    "aten.exp": "exp", "aten.log": "log", "aten.sqrt": "sqrt", "aten.sigmoid": "sigmoid", "aten.tanh": "tanh",
    "aten.relu": "relu", "aten.maximum": "maximum", "aten.minimum": "minimum", "aten.reciprocal": "reciprocal",
    "aten.sgn": "sgn", "aten.sign": "sgn", "aten.sin": "sin", "aten.cos": "cos", "aten.atan": "atan",
    "aten.erf": "erf", "aten.log1p": "log1p", "aten.expm1": "expm1",
}  # fmt: skip
_COMPARE = {"aten.ge": "ge", "aten.gt": "gt", "aten.le": "le", "aten.lt": "lt", "aten.eq": "eq", "aten.ne": "ne"}
_LOGIC = {
    "aten.logical_and": "and", "aten.bitwise_and": "and", "aten.logical_or": "or", "aten.bitwise_or": "or",
    "aten.logical_not": "not", "aten.bitwise_not": "not", "aten.mul": "and", "aten.add": "or",
}  # fmt: skip
_FILL = {
    "aten.zeros_like": 0.0, "aten.new_zeros": 0.0, "aten.zeros": 0.0, "aten._efficientzerotensor": 0.0,
    "aten.ones_like": 1.0, "aten.ones": 1.0,
}  # fmt: skip
# In place on autograd's own temporaries, in its formulas for maximum, minimum and clamp: fine in a backward program,
# where the trace names their result anew; in a step they are the user's writes, and refused.
_BACKWARD = {"aten.masked_fill_": "aten.masked_fill", "aten.logical_and_": "aten.logical_and"}
OPERATIONS = sorted({*_ARITHMETIC.values(), *_COMPARE.values(), *_LOGIC.values(), "where", "number"})


class _Builder:
    """Turns an fx graph into a Graph: fixed names for operations, no copies, equal nodes once."""

    def __init__(self, name: str, tidy: bool, dtype: torch.dtype):
        self.name, self.tidy, self.dtype = name, tidy, dtype
        self.nodes: list[Node] = []
        self.known: dict[str, int] = {}

    def add(self, op: str, *args: Value | str, truth: bool = False) -> Value:
        neutral = {"mul": 1.0, "add": 0.0}.get(op) if op == "mul" or self.tidy else None
        for place, arg in enumerate(args):
            if isinstance(arg, float) and arg == neutral:
                return args[1 - place]  # type: ignore[return-value]
        node = Node(op, args, truth)
        if (text := repr(node)) not in self.known:
            self.known[text] = len(self.nodes)
            self.nodes.append(node)
        return self.known[text]

    def number(self, value: Value) -> Value:
        """A truth value as 0 or 1, anything else as it is."""
        return self.add("number", value) if self._is_truth(value) else value

    def truth(self, value: Value) -> Value:
        """Whether a value is not 0, a truth value as it is."""
        return value if self._is_truth(value) else self.add("ne", value, 0.0, truth=True)

    def _is_truth(self, value: Value) -> bool:
        return isinstance(value, int) and self.nodes[value].truth

    def call(self, target: str, args: list, kwargs: dict, dtype: torch.dtype) -> Value:
        """The value of one operation of the trace, whose result there has the type `dtype`."""
        target = _BACKWARD.get(target, target) if self.tidy else target
        if target in _SAME:
            return args[0]
        if target in _FILL:
            return _FILL[target]
        if target in ("aten.full_like", "aten.full", "aten.scalar_tensor"):
            return self._constant(float(args[0] if target == "aten.scalar_tensor" else args[1]), dtype)
        if target == "aten._to_copy":
            return self._cast(args[0], dtype)
        if target == "aten.masked_fill":
            target, args = "aten.where", [args[1], args[2], args[0]]
        if dtype == torch.bool and target not in _COMPARE:
            return self._logic(target, args)
        if target == "aten.where":
            args = [args[0], *(self._constant(a, dtype) if isinstance(a, float) else a for a in args[1:])]
            return self.add("where", self.truth(args[0]), *map(self.number, args[1:]))
        return self._arithmetic(target, [self.number(a) if a is not None else None for a in args], kwargs, dtype)

    def _constant(self, value: float, dtype: torch.dtype) -> float:
        """A number that the step makes in the type `dtype`: in another than x's it is rounded there and not in C."""
        if not dtype.is_floating_point:
            return float(torch.tensor(value, dtype=dtype))
        if dtype != self.dtype and float(torch.tensor(value, dtype=dtype)) != value:
            raise TraceError(
                f"{self.name}: dynamics makes {value:g} in {dtype} where x has {self.dtype}; use x's type, as in "
                "`torch.where(u > 1, 0.1 * torch.ones_like(u), u)`, or make it a coefficient."
            )
        return value

    def _cast(self, value: Value, dtype: torch.dtype) -> Value:
        if isinstance(value, float):
            return self._constant(value, dtype)
        if dtype == torch.bool:
            return self.truth(value)
        if dtype == self.dtype or (dtype == torch.float32 and self._is_truth(value)):
            return self.number(value)
        raise TraceError(f"{self.name}: dynamics casts to {dtype}; use x's type, as in `.to(x.dtype)`.")

    def _logic(self, target: str, args: list) -> Value:
        if target not in _LOGIC and target != "aten.where":
            raise TraceError(_refusal(self.name, target.removeprefix("aten.")))
        return self.add(_LOGIC.get(target, "where"), *map(self.truth, args), truth=True)

    def _arithmetic(self, target: str, args: list, kwargs: dict, dtype: torch.dtype) -> Value:
        if dtype not in (self.dtype, torch.int64) and target not in _COMPARE:
            raise TraceError(
                f"{self.name}: dynamics computes {target.removeprefix('aten.')} in {dtype} where x has {self.dtype}; "
                "use x's type, as in `(u > 1).to(x.dtype) * 0.1`."
            )
        if dtype == torch.int64 and any(isinstance(a, float) and abs(a) > EXACT for a in args):
            raise TraceError(
                f"{self.name}: dynamics computes with whole numbers above 2^24, which float32 rounds; use "
                "x's type, as in `(u > 1).to(x.dtype)`."
            )
        if kwargs.get("alpha", 1) != 1:
            scaled = 0 if target == "aten.rsub" else 1
            args[scaled] = self.add("mul", args[scaled], float(kwargs["alpha"]))
        if target in _COMPARE:
            return self.add(_COMPARE[target], *args, truth=True)
        if target in _ARITHMETIC and kwargs.get("rounding_mode") is None:
            return self.add(_ARITHMETIC[target], *args)
        rule = _RULES.get(target)
        if rule is None:
            raise TraceError(_refusal(self.name, target.removeprefix("aten.")))
        return rule(self, *args)


def _refusal(name: str, op: str) -> str:
    """What to write instead of an operation that is not known."""
    if op.endswith("_"):
        return f"{name}: dynamics writes in place ({op}); build a new tensor instead (v = v + x, not v += x)."
    if op.startswith(("rand", "bernoulli", "normal")):
        return f"{name}: dynamics draws random numbers ({op}); set `random = True` and take `uniform` as an argument."
    return (
        f"{name}: dynamics uses {op}, which is not elementwise or not known to the compiler. Known: "
        f"{', '.join(OPERATIONS)}, clamp, pow with 2. Reductions over neurons and indexing cannot be fused; a neuron "
        "that needs them sets `fused = False`."
    )


def _clamp(b: _Builder, x: Value, low: float | None = None, high: float | None = None) -> Value:
    x = x if low is None else b.add("maximum", x, low)
    return x if high is None else b.add("minimum", x, high)


def _power(b: _Builder, x: Value, exponent: float) -> Value:
    if exponent == 0.0 and b.tidy:  # in the gradient of pow with 1
        return 1.0
    if isinstance(exponent, int) or exponent not in (1, 2, 3):  # an int is the number of a node: a computed exponent
        given = "a computed exponent" if isinstance(exponent, int) else f"exponent {exponent:g}"
        raise TraceError(f"{b.name}: dynamics uses pow with {given}; only 1, 2 and 3, or write exp and log.")
    return functools.reduce(lambda y, _: b.add("mul", y, x), range(int(exponent) - 1), x)


_RULES: dict[str, Callable[..., Value]] = {
    "aten.rsub": lambda b, x, y: b.add("sub", y, x),
    "aten.square": lambda b, x: b.add("mul", x, x),
    "aten.pow": _power,
    "aten.clamp": _clamp,
    "aten.clamp_min": _clamp,
    "aten.clamp_max": lambda b, x, high: _clamp(b, x, None, high),
    "aten.sigmoid_backward": lambda b, g, y: b.add("mul", b.add("mul", g, b.add("sub", 1.0, y)), y),
    "aten.tanh_backward": lambda b, g, y: b.add("mul", g, b.add("sub", 1.0, b.add("mul", y, y))),
    "aten.threshold_backward": lambda b, g, x, at: b.add("where", b.add("le", x, at, truth=True), 0.0, g),
}


def _program(step: Step, function: Callable, inputs: list[str], outputs: list[str], kind: Kind, tidy: bool) -> Graph:
    token = _tracing.set(True)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False), _unhooked():
            example = [torch.full(kind[0], 0.25, dtype=kind[1], device="cpu") for _ in inputs]
            traced = make_fx(function, tracing_mode="real")(*example)
    except (StepError, TraceError) as error:
        raise TraceError(str(error)) from None
    except Exception as error:
        raise TraceError(_explain(step.name, error)) from error
    finally:
        _tracing.reset(token)
    if not tidy:
        traced.graph.eliminate_dead_code()  # slopes, looked at for writes in place, which stay
    build = _Builder(step.name, tidy, kind[1])
    values: dict[torch.fx.Node, object] = {}
    names = iter(inputs)
    result: list = []
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            values[node] = build.add("input", next(names))
        elif node.op == "get_attr":
            raise TraceError(_outside(step.name))
        elif node.op == "call_function":
            args = [
                _literal(values[a] if isinstance(a, torch.fx.Node) else a, isinstance(a, torch.fx.Node))
                for a in node.args
            ]
            target = str(node.target.overloadpacket)  # type: ignore[union-attr]
            if target.startswith("prims.") and not node.users:  # how torch finds the shape of a sum with no gradient
                continue
            values[node] = build.call(target, args, dict(node.kwargs), getattr(node.meta["val"], "dtype", kind[1]))
        elif node.op == "output":
            result = [values[a] if isinstance(a, torch.fx.Node) else 0.0 for a in node.args[0]]  # type: ignore[union-attr]
    return Graph(tuple(build.nodes), tuple(zip(outputs, map(build.number, result), strict=True)))


@contextlib.contextmanager
def _unhooked() -> Iterator[None]:
    """Inside, the caller's saved_tensors_hooks do not hold: torch.func refuses to differentiate under them."""
    held = []
    while (pair := torch._C._autograd._top_saved_tensors_default_hooks(True)) is not None:  # type: ignore[attr-defined]
        torch._C._autograd._pop_saved_tensors_default_hooks()  # type: ignore[attr-defined]
        held.append(pair)
    try:
        yield
    finally:
        for pair in reversed(held):
            torch._C._autograd._push_saved_tensors_default_hooks(*pair)  # type: ignore[attr-defined]


def _literal(value, is_node: bool):
    """Numbers given as Python scalars become floats; node numbers stay ints."""
    return value if is_node or not isinstance(value, (int, bool)) else float(value)


def _outside(name: str) -> str:
    return (
        f"{name}: dynamics reads a tensor from outside its arguments; it would be a constant without gradient. Return "
        "it from coefficients() and take it as an argument."
    )


def _explain(name: str, error: Exception) -> str:
    text = str(error)
    if re.search(r"\bmeta\b", text):  # where the neuron's own tensors lie while it is traced
        return _outside(name)
    if "setup_context" in text or "autograd.Function" in text:
        return f"{name}: an autograd.Function in dynamics needs `setup_context`; or use rb.surrogate.inject. ({text})"
    if any(word in text for word in ("_local_scalar_dense", "data-dependent", "is_nonzero", "vmap: It looks like")):
        return f"{name}: dynamics uses the value of a tensor in Python (an `if`, float(), u[mask]); use torch.where."
    if "in-place" in text or "inplace" in text:
        return f"{name}: dynamics writes in place; build a new tensor instead (v = v + x, not v += x). ({text})"
    return (
        f"{name}: dynamics could not be traced: {type(error).__name__}: {text}. Only elementwise operations can be "
        "fused; a neuron that needs others sets `fused = False`."
    )


def trace(step: Step) -> Program:
    """Trace a step. Errors: `TraceError` with what to write instead."""
    uniform = ["uniform"] if step.random else []
    inputs = ["x", *step.states, *step.coefficients, *uniform]
    n = len(step.states)
    if len(set(inputs)) < len(inputs):
        twice = next(name for name in inputs if inputs.count(name) > 1)
        raise TraceError(f"{step.name}: dynamics takes {twice!r} twice, as x, state or coefficient; rename one.")

    def forward(*args: Tensor):
        with slopes_at_once():  # writes in place are the user's here: see _BACKWARD
            return stepped(*args)

    def stepped(*args: Tensor):
        return tuple(step.call(args[0], args[1 : n + 1], args[n + 1 : n + 1 + len(step.coefficients)], args[-1]))

    def backward(*args: Tensor):
        values, cotangents = args[: len(inputs)], args[len(inputs) :]
        last = values[len(inputs) - len(uniform) :]
        pulled = torch.func.vjp(lambda *a: stepped(*a, *last), *values[: len(inputs) - len(uniform)])
        return pulled[1](cotangents)

    following = ["s", *(f"next:{name}" for name in step.states)]
    cotangents = ["cot:spikes", *(f"cot:{name}" for name in step.states)]
    gradients = [f"grad:{name}" for name in inputs if name != "uniform"]
    graphs = [
        (
            _program(step, forward, inputs, following, kind, False),
            _program(step, backward, inputs + cotangents, gradients, kind, True),
        )
        for kind in KINDS
    ]
    if repr(graphs[0]) != repr(graphs[1]):
        raise TraceError(
            f"{step.name}: dynamics depends on the shape of its input, its type or chance; it must treat every neuron "
            "alike at every step. Random numbers: set `random = True` and take `uniform` as an argument."
        )
    return Program(dataclasses.replace(step, function=_traced), *graphs[0])


def _traced(*_):
    raise AssertionError("a traced step keeps no hold of the neuron it came from")


_programs: dict[tuple, Program] = {}
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # in the child: another thread may have held it
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


def cached(step: Step, settings: tuple | None) -> Program:
    """`trace`, once for equal settings; None stands for settings that cannot be compared.

    In an empty context, so that being inside `smooth()` or `trace` at that moment changes nothing.
    """
    if settings is None:
        return contextvars.Context().run(trace, step)
    key = (settings, step.states, step.coefficients, step.timed, step.random)
    with _lock:
        if key not in _programs:
            _programs[key] = contextvars.Context().run(trace, step)
        return _programs[key]
