"""Scalar programs as C: one expression per node, and the functions that C's library lacks or does too slowly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from rheobase.fuse.program import Graph, Node, Value

EXPRESSIONS = {
    "add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "div": "{0} / {1}", "neg": "-{0}",
    "reciprocal": "(F)1 / {0}", "abs": "ABS({0})", "sqrt": "SQRT({0})", "exp": "rb_exp({0})", "log": "rb_log({0})",
    "sigmoid": "rb_sigmoid({0})", "tanh": "rb_tanh({0})", "sin": "LIBM(sin)({0})", "cos": "LIBM(cos)({0})",
    "atan": "LIBM(atan)({0})", "erf": "LIBM(erf)({0})", "log1p": "LIBM(log1p)({0})", "expm1": "LIBM(expm1)({0})",
    "relu": "({0} < 0 ? (F)0 : {0})", "maximum": "({0} > {1} || {0} != {0} ? {0} : {1})",
    "minimum": "({0} < {1} || {0} != {0} ? {0} : {1})", "sgn": "(F)(({0} > 0) - ({0} < 0))",
    "ge": "{0} >= {1}", "gt": "{0} > {1}", "le": "{0} <= {1}", "lt": "{0} < {1}", "eq": "{0} == {1}",
    "ne": "{0} != {1}", "and": "{0} & {1}", "or": "{0} | {1}", "not": "!{0}", "where": "{0} ? {1} : {2}",
    "number": "{0} ? (F)1 : (F)0",
}  # fmt: skip

# Branch-free, at most 2 ulp from the true value in float32 (tests/fuse/test_functions.py), NaN passes through.
# exp: x = n ln2 + r, a polynomial on |r| <= ln2/2, then a shift of the exponent in two halves; n is rounded, and read
# as an integer, by adding 1.5 · 2²³. Explicit fused multiply-adds: the contraction that the flags forbid elsewhere.
FLOAT_FUNCTIONS = r"""
static inline float rb_bits(int32_t i) { float f; memcpy(&f, &i, 4); return f; }
static inline int32_t rb_word(float f) { int32_t i; memcpy(&i, &f, 4); return i; }
static inline float rb_clamp(float x, float most) { /* to [-most, most]; NaN passes */
  const float a = __builtin_fabsf(x), m = most < a ? most : a;
  return rb_bits(rb_word(m) | (rb_word(x) & INT32_MIN));
}
static inline float rb_series(float r) { /* (exp(r) - 1 - r) / r^2, in pairs: a chain of three, not five */
  const float z = r * r, low = FMA(1.6666520631709497e-1f, r, 4.9999993447796487e-1f);
  return FMA(FMA(1.3814598646664034e-3f, z, FMA(8.3687168796998281e-3f, r, 4.1668388045313996e-2f)), z, low);
}
static inline float rb_exp(float x) {
  const float c = rb_clamp(x, 104.0f);
  const float shifted = FMA(c, 1.44269504089f, 12582912.0f), n = shifted - 12582912.0f;
  const float r = FMA(n, 2.12194440e-4f, FMA(n, -0.693359375f, c));
  const float p = FMA(rb_series(r), r * r, r) + 1.0f;
  const int32_t k = rb_word(shifted) - 0x4b400000, half = k >> 1;
  return p * rb_bits((half + 127) << 23) * rb_bits((k - half + 127) << 23);
}
static inline float rb_sigmoid(float x) { /* 1 / (1 + exp(-x)), exp(-x) = h + h (exp(r) - 1), h = 2^n in range */
  const float c = rb_clamp(-x, 88.3f);
  const float shifted = FMA(c, 1.44269504089f, 12582912.0f), n = shifted - 12582912.0f;
  const float r = FMA(n, 2.12194440e-4f, FMA(n, -0.693359375f, c));
  const float h = rb_bits((int32_t)((uint32_t)rb_word(shifted) << 23) + (127 << 23));
  return 1.0f / (FMA(FMA(rb_series(r), r * r, r), h, 1.0f) + h);
}
static inline float rb_tanh(float x) {
  const float a = __builtin_fabsf(x), z = x * x;
  const float far = 1.0f - 2.0f / (rb_exp(2.0f * a) + 1.0f);
  float p = -5.70498872745e-3f;
  p = FMA(p, z, 2.06390887954e-2f); p = FMA(p, z, -5.37397155531e-2f); p = FMA(p, z, 1.33314422036e-1f);
  p = FMA(p, z, -3.33332819422e-1f);
  const float near = FMA(x, z * p, x);
  return a < 0.625f ? near : (x < 0.0f ? -far : far);
}
static inline float rb_log(float x) {
  const int32_t i = rb_word(x), e = ((i - 0x3f3504f3) >> 23);
  const float m = rb_bits(i - (e << 23)) - 1.0f, n = (float)e, z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f; p = p * m + 1.1676998740e-1f; p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f; p = p * m - 1.6668057665e-1f; p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f; p = p * m + 3.3333331174e-1f;
  float y = m * z * p + n * -2.12194440e-4f;
  y = (m + (y - 0.5f * z)) + n * 0.693359375f;
  y = x == 0.0f ? -__builtin_inff() : (x < 0.0f ? __builtin_nanf("") : y);
  return x != x || x == __builtin_inff() ? x : y;
}
"""

DOUBLE_FUNCTIONS = r"""
static inline double rb_exp(double x) { return exp(x); }
static inline double rb_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static inline double rb_tanh(double x) { return tanh(x); }
static inline double rb_log(double x) { return x == 0.0 ? -INFINITY : log(x); } /* denormals are 0 here */
"""

_FLOAT = """typedef float F;
#define LIBM(name) name##f
#define ABS __builtin_fabsf
#define FMA __builtin_fmaf
#define SQRT __builtin_sqrtf
"""
_DOUBLE = """typedef double F;
#define LIBM(name) name
#define ABS __builtin_fabs
#define SQRT __builtin_sqrt
"""

# How inputs and spikes lie in memory; arithmetic is in F. Rounding to nearest even, NaN stays NaN.
STORAGE = {
    "float32": "typedef float S;\n#define LOAD(v) (v)\n#define STORE(v) (v)\n",
    "float64": "typedef double S;\n#define LOAD(v) (v)\n#define STORE(v) (v)\n",
    "float16": "typedef _Float16 S;\n#define LOAD(v) ((F)(v))\n#define STORE(v) ((S)(v))\n",
    "bfloat16": r"""typedef uint16_t S;
static inline float rb_widen(uint16_t h) { const uint32_t w = (uint32_t)h << 16; float f; memcpy(&f, &w, 4); return f; }
static inline uint16_t rb_narrow(float f) {
  uint32_t w; memcpy(&w, &f, 4);
  const uint32_t rounded = (w + 0x7fffu + ((w >> 16) & 1u)) >> 16;
  return (uint16_t)(f != f ? 0x7fc0u : rounded);
}
#define LOAD(v) rb_widen(v)
#define STORE(v) rb_narrow(v)
""",
}

HEADER = "#include <math.h>\n#include <stdint.h>\n#include <stdlib.h>\n#include <string.h>\n"


def prelude(dtype: str) -> str:
    """Types, loads, stores and functions for inputs of a torch type ("float32", "bfloat16", ...)."""
    wide = dtype == "float64"
    functions = DOUBLE_FUNCTIONS if wide else FLOAT_FUNCTIONS
    return HEADER + (_DOUBLE if wide else _FLOAT) + STORAGE[dtype] + functions


def literal(value: float) -> str:
    """A number as C prints it in the type of the arithmetic."""
    if value != value:
        return "(F)NAN"
    return f"(F)({value!r})" if abs(value) != float("inf") else ("(F)INFINITY" if value > 0 else "(F)(-INFINITY)")


def body(
    graph: Graph,
    outputs: Sequence[str],
    inputs: Mapping[str, str],
    stores: Mapping[str, str],
    given: Mapping[int, str] | None = None,
) -> list[str]:
    """Statements of a scalar program: `inputs` gives an expression per input, `stores` a format per output.

    `given` names expressions for nodes that are known already.
    """
    known = given or {}
    lines = [_statement(graph, n, inputs, known) for n in graph.needed(outputs, known)]
    return lines + [stores[name].format(argument(graph.output(name))) for name in outputs]


class Stages(NamedTuple):
    """A scalar program cut between slow functions that wait for each other: lines of each loop, arrays between them."""

    loops: list[list[str]]
    arrays: list[str]


# Chains of some twenty dependent operations: a loop with two of them, one after the other, fills the processor's window
# with what waits; a loop for each runs a third faster.
SLOW = {"exp", "log", "sigmoid", "tanh", "sin", "cos", "atan", "erf", "log1p", "expm1"}


def staged(
    graph: Graph,
    outputs: Sequence[str],
    inputs: Mapping[str, str],
    stores: Mapping[str, str],
    given: Mapping[int, str] | None = None,
    early: Collection[str] = (),
) -> Stages:
    """`body` as several loops over i. Inputs are read where they are needed; outputs are stored in the last loop, since
    they may overwrite inputs, if they have a format. Those named in `early` overwrite none: each in its own loop.
    """
    known = given or {}
    needed = graph.needed(outputs, known)
    read = {n for n in needed if n in known or graph.nodes[n].op == "input"}
    args = {n: [] if n in read else [v for v in graph.nodes[n].args if isinstance(v, int)] for n in needed}
    level, after = {}, {}  # the loop of a node, and of a slow function that needs it
    for n in needed:
        slow = n not in read and graph.nodes[n].op in SLOW
        level[n] = max(((after if slow else level)[v] for v in args[n]), default=0)
        after[n] = level[n] + 1 if slow else max((after[v] for v in args[n]), default=0)
    last = max(level.values(), default=0)
    place = {name: level[graph.output(name)] if name in early else last for name in outputs}  # type: ignore[index]
    used = {v: {level[n] for n in needed if v in args[n]} for v in needed}
    for name, value in graph.outputs:
        if name in place and isinstance(value, int):
            used[value].add(place[name])
    carried = [n for n in needed if n not in read and max(used[n]) > level[n]]
    loops: list[list[str]] = [[] for _ in range(last + 1)]
    for stage, lines in enumerate(loops):
        for n in needed:
            if stage in used[n] and n in carried and level[n] < stage:
                lines.append(f"const {_kind(graph, n)} n{n} = k{n}[i];")
            elif (stage in used[n]) if n in read else level[n] == stage:
                lines.append(_statement(graph, n, inputs, known))
        lines += [f"k{n}[i] = n{n};" for n in carried if level[n] == stage]
    for name in (name for name in outputs if name in stores):
        loops[place[name]].append(stores[name].format(argument(graph.output(name))))
    return Stages(loops, [f"{_kind(graph, n)} k{n}" for n in carried])


def _statement(graph: Graph, number: int, inputs: Mapping[str, str], known: Mapping[int, str]) -> str:
    node = graph.nodes[number]
    text = known.get(number) or (inputs[str(node.args[0])] if node.op == "input" else expression(node))
    return f"const {_kind(graph, number)} n{number} = {text};"


def _kind(graph: Graph, number: int) -> str:
    return "int" if graph.nodes[number].truth else "F"


def expression(node: Node) -> str:
    """The C expression of one node."""
    return EXPRESSIONS[node.op].format(*(argument(arg) for arg in node.args))  # type: ignore[arg-type]


def argument(value: Value) -> str:
    """A node's variable, or a literal."""
    return f"n{value}" if isinstance(value, int) else literal(value)
