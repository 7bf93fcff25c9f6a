"""The fused recurrent CPU kernel: `I[t] = x[t] + s[t−1] Wᵀ` and one step of the neuron, with the time loop in C.

A thread takes a block of samples through all steps. Forward adds to each sample the weight rows of the neurons that
fired (see fuse/products.py), and keeps for the backward pass the currents I, the spikes, 1 bit each, and the states
every `chunk` steps. Backward goes through the chunks from the last to the first: it computes the states of a chunk
again; runs the vector-Jacobian product from the last step to the first, where the gradient of the spikes of step t is
`delta[t+1] W`, a product over the block, delta the gradient of the currents; and adds delta to the rows of the weight's
gradient that belong to neurons that fired. Scratch per thread is one chunk of a block.

With delays, the spikes of neuron j arrive `delay[j]` steps later: bits are picked per group of neurons of equal delay,
and `delta W` of the last steps is held until the step it belongs to.

A share of spikes above `limit` or `weight_limit` (in 1/1024) makes a product dense; both ways give the same bits. A
share of needed entries above `reach_limit` makes `delta W` dense (fuse/recurrent_reach.py).
"""

from __future__ import annotations

import dataclasses

from rheobase.fuse.cprint import body, prelude
from rheobase.fuse.cpu import Variant
from rheobase.fuse.csupport import PHILOX, SUPPORT
from rheobase.fuse.products import products
from rheobase.fuse.program import Program

# What both kernels are handed, in order, as 64-bit integers. `outgoing` is Wᵀ, a row per presynaptic neuron.
# `delay`: every neuron's delay; `late` and `masks`: the different ones, ascending, and the bits of the neurons with
# each. `before`: the spikes of the `history` steps before the first, or nothing. `kept`: the currents.
COMMON = (
    "steps", "batch", "n", "pad", "block", "groups", "threads", "clock", "key", "chunk", "limit", "weight_limit",
    "reach_limit", "history", "kinds",
    "uniform", "outgoing", "before", "bits", "marks", "kept", "late", "masks", "delay",
)  # fmt: skip


STREAM_FROM = 24 << 20  # bytes; larger outputs are written past the caches


def binary(program: Program) -> bool:
    """Whether the step's spikes are 0 or 1 whatever its inputs; only then can they be kept as bits."""
    value = program.forward.output("s")
    return isinstance(value, int) and program.forward.nodes[value].op == "number"


def forward_arguments(program: Program) -> list[str]:
    """Names of the forward kernel's arguments."""
    states = [f"{side}:{name}" for name in program.step.states for side in ("first", "last")]
    return [*COMMON, "x", "s", *_coefficient_arguments(program), *states]


def backward_arguments(program: Program) -> list[str]:
    """Names of the backward kernel's arguments; `incoming` is W, a row per postsynaptic neuron."""
    states = [f"{side}:{name}" for name in program.step.states for side in ("cot", "grad")]
    sums = [f"sum:{name}" for name in program.step.coefficients]
    outputs = ["incoming", "cot:spikes", "grad:x", "grad:outgoing", "grad:before"]
    return [*COMMON, *outputs, *_coefficient_arguments(program), *sums, *states]


def _coefficient_arguments(program: Program) -> list[str]:
    return [f"{part}:{name}" for name in program.step.coefficients for part in ("value", "inner", "size")]


@dataclasses.dataclass
class Code:
    """Pieces of C for one program and variant, shared by both passes."""

    program: Program
    variant: Variant
    names: list[str]

    def __post_init__(self):
        self.kinds = list(zip(self.program.step.coefficients, self.variant.kinds, strict=True))
        self.states = list(enumerate(self.program.step.states))
        self.place = {name: i for i, name in enumerate(self.names)}

    def arg(self, name: str) -> str:
        return f"a[{self.place[name]}]"

    def common(self) -> list[str]:
        """Declarations of the arguments that both passes share."""
        plain = COMMON[: COMMON.index("uniform")]
        lines = [f"const int64_t {name} = {self.arg(name)};" for name in plain]
        lines.append("const int64_t words = (n + 63) / 64, blocks = (batch + block - 1) / block;")
        lines.append(f"const int stream = steps * batch * n * (int64_t)sizeof(S) >= {STREAM_FROM};")
        lines += [f"const F *{name} = (const F *){self.arg(name)};" for name in ("uniform", "outgoing", "before")]
        lines += [f"F *{name} = (F *){self.arg(name)};" for name in ("marks", "kept")]
        lines += [f"const int64_t *{name} = (const int64_t *){self.arg(name)};" for name in ("late", "delay")]
        lines.append(f"const uint64_t *masks = (const uint64_t *){self.arg('masks')};")
        lines.append(f"uint64_t *bits = (uint64_t *){self.arg('bits')};")
        for k, (name, kind) in enumerate(self.kinds):
            if kind.spread or kind.timed:
                lines.append(f"const F *value_{k} = (const F *){self.arg(f'value:{name}')};")
            else:
                lines.append(f"const F c_{k} = (F)(*(const double *){self.arg(f'value:{name}')});")
        return lines

    def arrays(self) -> list[str]:
        """Scratch of one thread that both passes need."""
        lines = ["F *ones = numbers(block * pad > 64 * RUN ? block * pad : 64 * RUN);"]
        if self.variant.drawn:
            lines += ["F *drawn = numbers(4 * block * pad);"]
        return lines

    def free(self, *more: str) -> list[str]:
        return [f"free({name});" for name in ("ones", *(("drawn",) if self.variant.drawn else ()), *more)]

    def at_step(self, random: bool) -> list[str]:
        """What changes with t: timed coefficients and random numbers."""
        lines = []
        for k, (_, kind) in enumerate(self.kinds):
            if kind.timed:
                what = f"*RESTRICT at_{k} = value_{k} + t * n" if kind.spread else f"c_{k} = value_{k}[t]"
                lines.append(f"const F {what};")
        if random and self.variant.drawn:
            lines += [
                "if ((clock + t) / 4 != group) {",
                "  group = (clock + t) / 4;",
                "  for (int64_t b = 0; b < rows; b++)",
                "    philox(drawn + b * pad, block * pad, (b0 + b) * n, n, group, (uint64_t)key, 1, 1);",
                "}",
            ]
        return lines

    def each_row(self, lines: list[str], random: bool) -> list[str]:
        """A loop over the samples of the block around `lines`."""
        draw = []
        if random and self.variant.drawn:
            draw = ["const F *RESTRICT rt = drawn + (((clock + t) % 4) * block + b) * pad;"]
        elif random:
            draw = ["const F *RESTRICT rt = uniform + (t * batch + b0 + b) * n;"]
        return ["for (int64_t b = 0; b < rows; b++) {", *indent([*draw, *lines]), "}"]

    def inputs(self, x: str, states: dict[str, str]) -> dict[str, str]:
        """The expression of every input of the scalar programs."""
        values = {}
        for k, (name, kind) in enumerate(self.kinds):
            values[name] = (f"at_{k}[i]" if kind.timed else f"value_{k}[i]") if kind.spread else f"c_{k}"
        return {"x": x, **states, **values, "uniform": "rt[i]"}

    def row(self, name: str, base: str, const: bool = False) -> list[str]:
        """Pointers name_k to this sample's row of every state at `base`."""
        kind = "const F" if const else "F"
        return [f"{kind} *RESTRICT {name}_{k} = {base} + ({k} * block + b) * pad;" for k, _ in self.states]

    def loop(self, lines: list[str]) -> list[str]:
        return ["#pragma omp simd", "for (int64_t i = 0; i < n; i++) {", *indent(lines), "}"]


def forward_source(program: Program, variant: Variant) -> str:
    """C of the forward kernel."""
    code = Code(program, variant, forward_arguments(program))
    count = len(code.states)
    pointers = [f"const S *x = (const S *){code.arg('x')};", f"S *s = (S *){code.arg('s')};"]
    for k, name in code.states:
        pointers.append(f"const F *first_{k} = (const F *){code.arg(f'first:{name}')};")
        pointers.append(f"F *last_{k} = (F *){code.arg(f'last:{name}')};")
    arrays = [
        *code.arrays(),
        f"F *cur = numbers(block * pad), *state = numbers({max(count, 1)} * block * pad);",
        "uint64_t *sent = (uint64_t *)malloc((size_t)(block * words) * 8);",
        "uint8_t *fired = (uint8_t *)calloc((size_t)(64 * words), 1);",
        "uint16_t *list = (uint16_t *)malloc((size_t)(64 * words) * 2);",
        "S *out = (S *)numbers(pad);",
    ]
    block = [
        *block_head("part", code),
        *load_rows("state", "first", code),
        "for (int64_t t = 0; t < steps; t++) {",
        *indent(_step(code)),
        "}",
        *store_rows("last", "state", code),
    ]
    before = [*code.common(), *pointers, "huge(s, steps * batch * n * (int64_t)sizeof(S));"]
    before += ["huge(kept, steps * batch * n * (int64_t)sizeof(F));"]
    free = code.free("cur", "state", "sent", "fired", "list", "out")
    return kernel("forward", program, variant, before, arrays, block, free)


def _step(code: Code) -> list[str]:
    """One step of a block: the currents, then the neuron sample by sample."""
    inputs = code.inputs("ct[i]", {name: f"v_{k}[i]" for k, name in code.states})
    stores = {"s": "st[i] = STORE({0}); fired[i] = (uint8_t)({0} != 0);"}
    stores |= {f"next:{name}": f"v_{k}[i] = {{}};" for k, name in code.states}
    return [
        *_save_marks(code),
        "arrivals(sent, bits, masks, late, kinds, t, batch, b0, rows, words);",
        "const int64_t next = t + 1 < steps ? rows * n * (int64_t)sizeof(S) : 0;",
        "ahead soon[] = {{(const char *)(x + ((t + 1) * batch + b0) * n), next}, {0, 0}};",
        "const int64_t most = t || before ? limit : 0; /* nothing was sent before all steps: no 0 times NaN either */",
        "currents(cur, x + (t * batch + b0) * n, outgoing, sent, rows, n, pad, most, ones, list, soon);",
        "if (before && t < history) {",
        "  arrivals_before(ones, before, delay, history, t, batch, b0, rows, n, pad);",
        "  product(cur, ones, pad, outgoing, rows, n, pad, 0);",
        "}",
        "if (kept) for (int64_t b = 0; b < rows; b++)",
        "  store(kept + (t * batch + b0 + b) * n, cur + b * pad, (size_t)n * sizeof(F), stream);",
        *code.at_step(code.program.step.random),
        *code.each_row(
            [
                "const F *RESTRICT ct = cur + b * pad;",
                "S *RESTRICT st = stream ? out : s + (t * batch + b0 + b) * n;",
                *code.row("v", "state"),
                *code.loop(body(code.program.forward, ["s", *code.program.following], inputs, stores)),
                "if (stream) stream_out(s + (t * batch + b0 + b) * n, out, (size_t)n * sizeof(S));",
                "pack(bits + (t * batch + b0 + b) * words, fired, words);",
            ],
            code.program.step.random,
        ),
    ]


def block_head(number: str, code: Code) -> list[str]:
    lines = [f"const int64_t b0 = {number} * block, rows = batch - b0 < block ? batch - b0 : block;"]
    return lines + (["int64_t group = -1;"] if code.variant.drawn else [])


def load_rows(target: str, source: str, code: Code) -> list[str]:
    """Rows of every state from [batch, n] at source_k, or zeros, into a block."""
    lines = []
    for k, _ in code.states:
        lines += [
            "for (int64_t b = 0; b < rows; b++) {",
            f"  F *to = {target} + ({k} * block + b) * pad;",
            f"  if ({source}_{k}) memcpy(to, {source}_{k} + (b0 + b) * n, (size_t)n * sizeof(F));",
            "  else memset(to, 0, (size_t)n * sizeof(F));",
            "}",
        ]
    return lines


def store_rows(target: str, source: str, code: Code) -> list[str]:
    return [
        f"if ({target}_{k}) for (int64_t b = 0; b < rows; b++) "
        f"memcpy({target}_{k} + (b0 + b) * n, {source} + ({k} * block + b) * pad, (size_t)n * sizeof(F));"
        for k, _ in code.states
    ]


def _save_marks(code: Code) -> list[str]:
    """The states before every `chunk`-th step, for the backward pass."""
    count = len(code.states)
    return [
        f"if (marks && t % chunk == 0) for (int64_t k = 0; k < {count}; k++) for (int64_t b = 0; b < rows; b++)",
        f"  memcpy(marks + (((t / chunk) * {count} + k) * batch + b0 + b) * n, state + (k * block + b) * pad, "
        "(size_t)n * sizeof(F));",
    ]


def kernel(name: str, program: Program, variant: Variant, before: list, arrays: list, part: list, after: list) -> str:
    """The frame of both kernels: arguments, threads, parts of the batch (forward: blocks; backward: groups of them)."""
    lines = [
        *before,
        "#pragma omp parallel num_threads(threads) if (threads > 1)",
        "{",
        *indent(["const uint64_t mode = flush_on();", *arrays, "#pragma omp for schedule(dynamic, 1)"]),
        f"  for (int64_t part = 0; part < {'groups' if name == 'backward' else 'blocks'}; part++) {{",
        *indent(indent(part)),
        "  }",
        *indent([*after, "flush_back(mode);"]),
        "}",
    ]
    parts = [
        f"/* {program.step.name}, recurrent {name}, {variant.dtype} */\n",
        prelude(variant.dtype), SUPPORT, PHILOX if variant.drawn else "", products(),
        f"\nvoid {name}(const int64_t *a) {{\n", "\n".join(indent(lines)), "\n}\n",
    ]  # fmt: skip
    return "".join(parts)


def indent(lines: list[str]) -> list[str]:
    return ["  " + line for line in lines]
