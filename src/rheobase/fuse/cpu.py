"""The fused CPU kernel: the time loop in C around a neuron's scalar programs.

Neurons are cut into blocks of up to `width` lanes; a block runs through all its steps before the next one starts, so
its states stay in the first cache. The backward pass is in fuse/cpu_backward.py.

How coefficients arrive ("kinds"): a number; a tensor, one entry per channel or neuron, entry `(m / inner) % size` for
element m; either with one entry per step in front. Each kind has its own generated code.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

from rheobase.fuse.cprint import Stages, prelude, staged
from rheobase.fuse.csupport import PHILOX, SUPPORT
from rheobase.fuse.keep import joined, kept
from rheobase.fuse.program import Program

WIDEST = 256
APART = WIDEST + 80  # arrays of lanes: not a page apart, or loads wait for stores to addresses that only look the same


class Kind(NamedTuple):
    """How one coefficient arrives: per channel or neuron, per step, with its gradient wanted."""

    spread: bool = False
    timed: bool = False
    wanted: bool = False


class Variant(NamedTuple):
    """What generated code depends on besides the program."""

    dtype: str
    kinds: tuple[Kind, ...]
    drawn: bool = False


AHEAD = (  # past the last step: of the next block, or of the one after it where a block is one step
    "fetch(t + 2 < steps ? xb + (t + 2) * x_step : "
    "steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);"
)
LANES = "for (int64_t i = 0; i < n; i++)"

# What every kernel is handed, in order, as 64-bit integers; pointers among them. Python packs them by these names.
COMMON = (
    "steps",
    "rows",
    "length",
    "width",
    "stream",
    "threads",
    "clock",
    "key",
    "swap_p",
    "swap_c",
    "x",
    "x_step",
    "x_row",
)


def forward_arguments(program: Program) -> list[str]:
    """Names of the forward kernel's arguments."""
    step = program.step
    states = [f"{side}:{name}" for name in step.states for side in ("first", "last")]
    return [*COMMON, "uniform", "s", *coefficient_arguments(program), *states]


def coefficient_arguments(program: Program) -> list[str]:
    return [f"{part}:{name}" for name in program.step.coefficients for part in ("value", "inner", "size")]


@dataclasses.dataclass
class Code:
    """Pieces of C for one program and variant, shared by both passes."""

    program: Program
    variant: Variant

    def __post_init__(self):
        step = self.program.step
        self.coefficients = list(zip(step.coefficients, self.variant.kinds, strict=True))
        self.states = step.states
        self.place = {name: i for i, name in enumerate(forward_arguments(self.program))}

    def arg(self, name: str) -> str:
        return f"a[{self.place[name]}]"

    def common(self) -> list[str]:
        """Declarations of the arguments that both passes share."""
        lines = [f"const int64_t {name} = {self.arg(name)};" for name in COMMON if name != "x"]
        lines.append(f"const S *x = (const S *){self.arg('x')};")
        lines += [
            "const int64_t total = rows * length, per_row = (length + width - 1) / width, blocks = rows * per_row;"
        ]
        if self.program.step.random:
            lines.append(f"const F *uniform = (const F *){self.arg('uniform')};")
        for k, (name, kind) in enumerate(self.coefficients):
            if kind.spread or kind.timed:
                lines.append(f"const F *value_{k} = (const F *){self.arg(f'value:{name}')};")
            else:
                lines.append(f"const F c_{k} = (F)(*(const double *){self.arg(f'value:{name}')});")
            if kind.spread:
                lines.append(
                    f"const int64_t inner_{k} = {self.arg(f'inner:{name}')}, size_{k} = {self.arg(f'size:{name}')};"
                )
        return lines

    def block(self) -> list[str]:
        """Where a block lies: its row, first element, lane count; its coefficients per lane."""
        lines = [
            "const int64_t row = b / per_row, from = (b % per_row) * width, m = row * length + from;",
            "const int64_t n = length - from < width ? length - from : width;",
            "const S *xb = x + row * x_row + from;",
        ]
        for k, (_, kind) in enumerate(self.coefficients):
            if kind.spread and not kind.timed:
                lines.append(f"spread(lane_{k}, value_{k}, m, n, inner_{k}, size_{k});")
        if self.variant.drawn:
            lines.append("int64_t group = -1;")
        return lines

    def lanes(self) -> list[str]:
        """Per-thread arrays of lanes."""
        spread = [f"lane_{k}" for k, (_, kind) in enumerate(self.coefficients) if kind.spread]
        lines = [f"F {name}[{APART}] __attribute__((aligned(64)));" for name in spread]
        lines.append(f"S out[{APART}] __attribute__((aligned(64)));")
        return lines + ([f"F r4[4 * {APART}] __attribute__((aligned(64)));"] if self.variant.drawn else [])

    def at_step(self, draws: bool = True) -> list[str]:
        """What changes with t before the lanes run: timed coefficients and, if it `draws`, random numbers."""
        lines = []
        for k, (_, kind) in enumerate(self.coefficients):
            if kind.spread and kind.timed:
                lines.append(f"spread(lane_{k}, value_{k} + t * size_{k}, m, n, inner_{k}, size_{k});")
            elif kind.timed:
                lines.append(f"const F c_{k} = value_{k}[t];")
        if draws and self.variant.drawn:
            lines.append(
                f"if ((clock + t) / 4 != group) {{ group = (clock + t) / 4; "
                f"philox(r4, {APART}, m, n, group, (uint64_t)key, swap_p, swap_c); }}"
            )
            lines.append(f"const F *RESTRICT rt = r4 + ((clock + t) % 4) * {APART};")
        elif draws and self.program.step.random:
            lines.append("const F *RESTRICT rt = uniform + t * total + m;")
        return lines

    def inputs(self, states: dict[str, str]) -> dict[str, str]:
        """The expression of every input of the scalar programs."""
        coefficients = {
            name: f"lane_{k}[i]" if kind.spread else f"c_{k}" for k, (name, kind) in enumerate(self.coefficients)
        }
        return {"x": "LOAD(xt[i])", **states, **coefficients, "uniform": "rt[i]"}

    @functools.cached_property
    def kept(self) -> dict[int, str]:
        """What recomputing a step hands to the way back: nodes of the backward program, and where each value lies.

        Numbers lie in `held`, truth values in `flags`, a byte each; x is read again.
        """
        program, gradients = self.program, backward_outputs(self.program, self.variant)
        graph = program.backward
        found = kept((program.forward, ["s", *program.following]), (graph, gradients), ["x", *self.states])
        found = [n for n in found if graph.nodes[n].args != ("x",)]
        flags = [n for n in found if graph.nodes[n].truth]
        numbers = [n for n in found if not graph.nodes[n].truth]
        places = {n: f"held[{k} * pitch + i]" for k, n in enumerate(numbers)}
        return places | {n: f"flag[{k} * pitch + i]" for k, n in enumerate(flags)}

    @property
    def rows(self) -> tuple[int, int]:
        """How many numbers and how many truth values are kept of a step."""
        flags = sum(place.startswith("flag") for place in self.kept.values())
        return len(self.kept) - flags, flags

    @property
    def chunk(self) -> int:
        """Steps whose kept values are held at once: 256 KiB a thread, 1024 steps at most, 32 at least."""
        numbers, flags = self.rows
        return min(max(32, 1 << (1024 // max(4 * numbers + flags, 1)).bit_length() - 1), 1024)

    def run_step(self, keep: bool) -> list[str]:
        """One step of the states v_k without its spikes; if `keep`, with what the way back needs of it."""
        inputs = self.inputs({name: f"v_{k}[i]" for k, name in enumerate(self.states)})
        stores = {f"next:{name}": f"v_{k}[i] = {{}};" for k, name in enumerate(self.states)}
        graph, early = self.program.forward, [f"kept:{k}" for k in range(len(self.kept) if keep else 0)]
        if keep:
            graph = joined(graph, self.program.backward, list(self.kept))
            stores |= {name: f"{place} = {{}};" for name, place in zip(early, self.kept.values(), strict=True)}
        return self.loops(staged(graph, [*self.program.following, *early], inputs, stores, early=early))

    @staticmethod
    def loops(stages: Stages) -> list[str]:
        """One loop over the lanes per stage."""
        lines = [f"{array}[{APART}] __attribute__((aligned(64)));" for array in stages.arrays]
        for stage in stages.loops:
            lines += ["#pragma omp simd", f"{LANES} {{", *indent(stage), "}"]
        return lines


def forward_source(program: Program, variant: Variant) -> str:
    """C of the forward kernel."""
    code = Code(program, variant)
    states = list(enumerate(program.step.states))
    inputs = code.inputs({name: f"v_{k}[i]" for k, name in states})
    stores = {"s": "st[i] = STORE({});"} | {f"next:{name}": f"v_{k}[i] = {{}};" for k, name in states}
    step = [
        "const S *RESTRICT xt = xb + t * x_step;",
        "S *RESTRICT st = stream ? out : s + t * total + m;",
        AHEAD,
        "if (!stream && steps >= 16 && t + 2 < steps) fetch_to_write(st + 2 * total, n);",
        *code.at_step(),
        *code.loops(staged(program.forward, ["s", *program.following], inputs, stores)),
        "if (stream) stream_out(s + t * total + m, out, (size_t)n * sizeof(S));",
    ]
    load = [load_lanes(f"v_{k}", f"first_{k}") for k, _ in states]
    keep = [f"if (last_{k}) memcpy(last_{k} + m, v_{k}, (size_t)n * sizeof(F));" for k, _ in states]
    pointers = [f"S *s = (S *){code.arg('s')};"] + [
        line
        for k, name in states
        for line in (
            f"const F *first_{k} = (const F *){code.arg(f'first:{name}')};",
            f"F *last_{k} = (F *){code.arg(f'last:{name}')};",
        )
    ]
    arrays = [f"F v_{k}[{APART}] __attribute__((aligned(64)));" for k, _ in states] + code.lanes()
    inner = [*code.block(), *load, "for (int64_t t = 0; t < steps; t++) {", *indent(step), "}", *keep]
    return kernel_text("forward", code, "s", [*code.common(), *pointers], arrays, inner)


def backward_outputs(program: Program, variant: Variant) -> list[str]:
    """Gradients that the backward kernel computes: x, the states, and the coefficients asked for."""
    asked = [f"grad:{n}" for n, kind in zip(program.step.coefficients, variant.kinds, strict=True) if kind.wanted]
    return ["grad:x", *(f"grad:{name}" for name in program.step.states), *asked]


def kernel_text(
    name: str,
    code: Code,
    output: str,
    before: list,
    arrays: list,
    block: list,
    after: Sequence = (),
    end: Sequence = (),
) -> str:
    """The frame of both kernels: what one thread does, and threads to do it.

    Every thread has a share of the blocks and takes pieces of it; then it takes what is left of the others' shares, so
    that none waits for a thread that the system holds up. One thread goes without OpenMP, whose start takes .7 µs,
    longer than the work of a small call.
    """
    program, variant = code.program, code.variant
    lines = [
        *before,
        "const uint64_t mode = flush_on();",
        *arrays,
        "const int64_t piece = blocks / (PIECES * threads) + 1;",
        "for (int64_t turn = 0; turn < threads; turn++) {",
        "  const int64_t share = (me + turn) % threads, end = share_of(blocks, share + 1, threads);",
        "  for (int64_t b0; (b0 = take(next + LINE * share, piece)) < end;)",
        "    for (int64_t b = b0; b < end && b < b0 + piece; b++) {",
        *indent(indent(indent(block))),
        "    }",
        "}",
        *after,
        "flush_back(mode);",
    ]
    steps, rows, length, width, threads = (code.arg(part) for part in ("steps", "rows", "length", "width", "threads"))
    frame = [
        f"const int64_t threads = {threads}, blocks = {rows} * (({length} + {width} - 1) / {width});",
        "int64_t next[LINE * threads];",
        "for (int64_t k = 0; k < threads; k++) next[LINE * k] = share_of(blocks, k, threads);",
        f"huge((void *){code.arg(output)}, {steps} * {rows} * {length} * (int64_t)sizeof(S));",
        "if (threads > 1) {",
        "  #pragma omp parallel num_threads(threads)",
        f"  {name}_blocks(a, next, omp_get_thread_num());",
        f"}} else {name}_blocks(a, next, 0);",
        *end,
    ]
    draws = PHILOX if variant.drawn else ""
    title = f"/* {program.step.name}, {name}, {variant.dtype} */\n"
    head = title + prelude(variant.dtype) + SUPPORT + draws
    one = f"static void {name}_blocks(const int64_t *a, int64_t *next, int64_t me)"
    parts = [one, *lines], [f"void {name}(const int64_t *a)", *frame]
    return head + "".join(f"\n{first} {{\n" + "\n".join(indent(rest)) + "\n}\n" for first, *rest in parts)


def load_lanes(lanes: str, pointer: str) -> str:
    """Lanes from an optional tensor, else zeros."""
    size = "(size_t)n * sizeof(F)"
    return f"if ({pointer}) memcpy({lanes}, {pointer} + m, {size}); else memset({lanes}, 0, {size});"


def indent(lines: list[str]) -> list[str]:
    return ["  " + line for line in lines]
