"""Scalar programs as Triton: one expression per node, and the functions a kernel needs.

| function                            | here                             | C kernels          | eager on that GPU  |
|-------------------------------------|----------------------------------|--------------------|--------------------|
| + − × sqrt, comparisons, max, min   | IEEE, nothing fused, torch's NaN | the same bits      | the same bits      |
| ÷ of states and spikes              | IEEE                             | the same bits      | the same bits      |
| ÷ of gradients                      | at most 1 ulp, without branches  | IEEE               | IEEE               |
| exp, log, tanh                      | CUDA's libdevice, at most 2 ulp  | their own, 2 ulp   | the same functions |
| sigmoid                             | of libdevice's exp, 3 ulp        | their own, 2 ulp   | of the same exp    |
| sin, cos, erf, atan, log1p, expm1   | CUDA's libdevice, at most 2 ulp  | C's library, 2 ulp | the same functions |
| numbers below 2⁻¹²⁶                 | kept (0 inside libdevice)        | 0                  | kept               |

An IEEE division branches for rare operands, and each branch keeps the compiler from moving loads past it: with one per
step the kernels of σ and of ATan's gradient took two to four times as long. A negation is a product with −1, which the
compiler folds into the next operation; Triton's own is a subtraction from 0, which it cannot fold. Triton's interpreter
has no libdevice: there numpy computes the functions, and atan, which Triton lacks, is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rheobase.fuse.program import Graph, Node, Value

EXPRESSIONS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "tl.div_rn({0}, {1})", "neg": "{0} * -1.0",
    "reciprocal": "tl.div_rn(1.0, {0})", "abs": "tl.abs({0})", "sqrt": "tl.sqrt_rn({0})",
    "relu": "tl.where({0} < 0, 0.0, {0})", "maximum": "tl.where(({0} > {1}) | ({0} != {0}), {0}, {1})",
    "minimum": "tl.where(({0} < {1}) | ({0} != {0}), {0}, {1})",
    "sgn": "tl.where({0} > 0, 1.0, 0.0) - tl.where({0} < 0, 1.0, 0.0)",
    "ge": "{0} >= {1}", "gt": "{0} > {1}", "le": "{0} <= {1}", "lt": "{0} < {1}", "eq": "{0} == {1}",
    "ne": "{0} != {1}", "and": "{0} & {1}", "or": "{0} | {1}", "not": "~{0}", "where": "tl.where({0}, {1}, {2})",
    "number": "tl.where({0}, 1.0, 0.0)",
}  # fmt: skip

DRAW = '''

@triton.jit
def draw(key, group, neuron):
    """Numbers in [0, 1) of steps 4 group ... 4 group + 3: the words of Philox4x32-10 for each neuron."""
    low = neuron.to(tl.uint32)
    high = (neuron.to(tl.int64) >> 32).to(tl.uint32)
    nothing = tl.zeros_like(low)
    a, b, c, d = tl.philox(key, nothing + group.to(tl.uint32), low, high, nothing)
    unit = 5.9604644775390625e-8
    return (
        (a >> 8).to(tl.float32) * unit,
        (b >> 8).to(tl.float32) * unit,
        (c >> 8).to(tl.float32) * unit,
        (d >> 8).to(tl.float32) * unit,
    )
'''

# One Newton step after the hardware's estimate; 0, infinity and NaN are right without it, and it would make them NaN.
QUOTIENT = '''

@triton.jit
def estimate(x):
    """1 / x to 1 ulp; numbers below 2^-126 are 0."""
    return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def inverse(x):
    """1 / x."""
    first = estimate(x)
    rest = tl.fma(x * -1.0, first, 1.0)
    return tl.where(rest == rest, tl.fma(rest, first, first), first)


@triton.jit
def quotient(a, b):
    """a / b."""
    first = estimate(b)
    guess = a * first
    rest = tl.fma(b * -1.0, guess, a)
    return tl.where(rest == rest, tl.fma(rest, first, guess), guess)
'''
QUOTIENTS = {"div": "quotient({0}, {1})", "reciprocal": "inverse({0})"}  # in gradients; the interpreter divides

# Where the functions come from: CUDA's own on a GPU, numpy's in the interpreter, which has no libdevice.
SOURCES = {
    "exp": ("libdevice.exp(x)", "tl.exp(x)"),
    "log": ("libdevice.log(x)", "tl.log(x)"),
    "sigmoid": ("inverse(1.0 + libdevice.exp(x * -1.0))", "tl.div_rn(1.0, 1.0 + tl.exp(-x))"),
    "tanh": ("libdevice.tanh(x)", "(1.0 - 2.0 / (1.0 + tl.exp(2.0 * x.to(tl.float64)))).to(tl.float32)"),
    "sin": ("libdevice.sin(x)", "tl.sin(x)"),
    "cos": ("libdevice.cos(x)", "tl.cos(x)"),
    "erf": ("libdevice.erf(x)", "tl.erf(x)"),
    "atan": ("libdevice.atan(x)", None),
    "log1p": ("libdevice.log1p(x)", "tl.log(1.0 + x.to(tl.float64)).to(tl.float32)"),
    "expm1": ("libdevice.expm1(x)", "(tl.exp(x.to(tl.float64)) - 1.0).to(tl.float32)"),
}
NOT_INTERPRETED = frozenset(name for name, (_, interpreted) in SOURCES.items() if interpreted is None)


def prelude(operations: Iterable[str], drawn: bool, interpreted: bool) -> str:
    """Imports, and the functions that programs of these operations need."""
    used = sorted(SOURCES.keys() & set(operations))
    divided = not interpreted and {"sigmoid", *QUOTIENTS} & set(operations)
    lines = ["import triton", "import triton.language as tl"]
    lines += ["from triton.language.extra import libdevice"] if used and not interpreted else []
    lines += [QUOTIENT.strip("\n")] if divided else []
    for name in used:
        lines += ["", "", "@triton.jit", f"def {name}(x):", f"    return {SOURCES[name][interpreted]}"]
    return "\n".join(lines) + "\n" + (DRAW if drawn else "")


def literal(value: float) -> str:
    """A number as Triton prints it."""
    return repr(value) if abs(value) < float("inf") else f'float("{value!r}")'


def function(
    name: str,
    title: str,
    graph: Graph,
    outputs: list[str],
    inputs: Mapping[str, str],
    lanes: Iterable[str],
    quick: bool = False,
) -> str:
    """A scalar program as a function of all `inputs` (by name: its variable) that returns `outputs`.

    An output that depends on none of the inputs in `lanes` (one number per lane) is spread over the lanes of `x`.
    `quick`: divides without branches.
    """
    lines = ["@triton.jit", f"def {name}({', '.join(inputs.values())}):", f'    """{title}"""']
    variables: dict[int, str] = {}
    for number in graph.needed(outputs):
        node = graph.nodes[number]
        variables[number] = inputs[str(node.args[0])] if node.op == "input" else f"n{number}"
        if node.op != "input":
            lines.append(f"    n{number} = {expression(node, variables, quick)}")
    kept = set(lanes)
    results = []
    for output in outputs:
        text = argument(graph.output(output), variables)
        results.append(text if graph.inputs([output]) & kept else f"tl.zeros_like(x) + {text}")
    return "\n".join([*lines, f"    return {', '.join(results)}"]) + "\n"


def expression(node: Node, variables: Mapping[int, str], quick: bool = False) -> str:
    """The Triton expression of one node."""
    table = EXPRESSIONS | QUOTIENTS if quick else EXPRESSIONS
    text = table.get(node.op, node.op + "({0})")
    arguments = [argument(arg, variables) for arg in node.args]  # type: ignore[arg-type]
    if node.op in SOURCES:  # which take no bare numbers
        arguments = [f"tl.zeros_like(x) + {arg}" if isinstance(node.args[0], float) else arg for arg in arguments]
    return text.format(*arguments)


def argument(value: Value, variables: Mapping[int, str]) -> str:
    """A node's variable, or a literal."""
    return variables[value] if isinstance(value, int) else literal(value)
