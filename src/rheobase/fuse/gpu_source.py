"""The fused GPU kernel: the time loop in Triton around a neuron's scalar programs.

One program of the grid takes BLOCK neurons through all steps, their states in registers. The forward kernel reads the
inputs of four steps at once, so that loads overlap. The backward kernel keeps nothing but x and the initial states: it
first runs through the chunks of CHUNK steps and writes the states before them to scratch, then walks them backwards; of
each it recomputes the states into registers (the loop over its steps is unrolled) and runs the vector-Jacobian product.
Where there are several chunks (MANY), what is read or written for the last time (ONCE) leaves the cache before the x
that is read again; some kernels (`holds`) keep x of the last chunk but one in registers.

WHOLE says that the steps fill the groups (the chunks, in the backward pass), so that none lies outside of the call.
Random numbers come four steps at a time, so drawn steps are counted from the last multiple of four of the clock, `lead`
steps before the first; steps before the first and after the last change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rheobase.fuse.cpu import Variant as CpuVariant
from rheobase.fuse.program import Program
from rheobase.fuse.tprint import function, prelude

LANES = " + tl.zeros([BLOCK], tl.float32)"  # the interpreter compares single numbers to other types than the compiler
GROUP = 4  # steps whose inputs are read, and whose random numbers are drawn, together
POINTERS = {"float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16"}


class Kind(NamedTuple):
    """How one coefficient arrives: per channel or neuron, per step, with its gradient wanted, held in a tensor."""

    spread: bool = False
    timed: bool = False
    wanted: bool = False
    held: bool = False


class Variant(NamedTuple):
    """What generated code depends on besides the program."""

    dtype: str
    kinds: tuple[Kind, ...]
    drawn: bool = False
    interpreted: bool = False

    @classmethod
    def like(cls, other: CpuVariant) -> Variant:
        """The variant for the same call on the CPU."""
        return cls(other.dtype, tuple(Kind(*kind, held=any(kind)) for kind in other.kinds), other.drawn)


class _Code:
    """Pieces of Triton for one program and variant, shared by both passes."""

    def __init__(self, program: Program, variant: Variant):
        self.program, self.variant, self.states = program, variant, program.step.states
        self.coefficients = list(zip(program.step.coefficients, variant.kinds, strict=True))
        self.random, self.drawn = program.step.random, variant.drawn
        self.inputs = {"x": "x"} | {name: f"state_{name}" for name in self.states}
        self.inputs |= {name: f"c_{name}" for name, _ in self.coefficients}
        self.inputs |= {"uniform": "uniform"} if self.random else {}
        fixed = {"c_" + name for name, kind in self.coefficients if not kind.spread}
        self.lanes = [name for name, variable in self.inputs.items() if variable not in fixed]

    def arguments(self) -> dict[str, str]:
        """Names and types of the arguments that both passes share."""
        store = POINTERS[self.variant.dtype]
        found = {"x_in": store, "steps": "i32", "total": "i32", "length": "i32", "x_step": "i32", "x_row": "i32"}
        if self.drawn:
            found |= {"clock": "i64", "key": "i64", "swap_p": "i32", "swap_c": "i32"}
        elif self.random:
            found["uniform_in"] = "*fp32"
        for name, kind in self.coefficients:
            found |= {f"at_{name}": "*fp32"} if kind.held else {f"c_{name}": "fp32"}
            found |= {f"inner_{name}": "i32", f"size_{name}": "i32"} if kind.spread else {}
        return found

    def step(self) -> str:
        """The forward program as a Triton function."""
        outputs = ["s", *self.program.following]
        return function("step", "One step: spikes, states.", self.program.forward, outputs, self.inputs, self.lanes)

    def start(self) -> list[str]:
        """Where a program's neurons lie, and what does not change over time."""
        lines = [
            "base = tl.program_id(0).to(tl.int64) * BLOCK",
            "lane = tl.arange(0, BLOCK)",
            "left = total - base",
            "m = base + lane",
            "inside = lane < left",
            "place = m if FLAT else m // length * x_row + m % length",
        ]
        if self.drawn or any(kind.spread for _, kind in self.coefficients):
            lines.append("element = m if WIDE else m.to(tl.int32)")
        if self.drawn:
            lines.append("lead = (clock % 4).to(tl.int32)")
            lines.append("row = element // (swap_p * swap_c) * swap_c + element % swap_c")
            lines.append("neuron = row * swap_p + element // swap_c % swap_p")
        for name, kind in self.coefficients:
            if kind.spread:
                lines.append(f"entry_{name} = element // inner_{name} % size_{name}")
            if kind.held and not kind.timed:
                where = f" + entry_{name}, mask=inside, other=0.0" if kind.spread else ""
                lines.append(f"c_{name} = tl.load(at_{name}{where})")
            if self.variant.interpreted and not kind.spread and not kind.timed:
                lines.append(f"c_{name} = c_{name}{LANES}")
        return lines

    def load(self, pointer: str, target: str) -> str:
        """The line that loads one value per lane; zeros where no tensor is given."""
        given = f"tl.load({pointer} + m, mask=inside, other=0.0)"
        return f"{target} = tl.zeros([BLOCK], tl.float32) if {pointer} is None else {given}"

    def time(self, offset: str) -> list[str]:
        """The number of a step, and the lanes that take part in it."""
        within = "(t >= 0) & (t < steps)" if self.drawn else "t < steps"
        step = f"t = {offset}{' - lead' if self.drawn else ''}"
        return [step, f"live = inside if WHOLE else lane < tl.where({within}, left, 0)"]

    def read(self, name: str, first: str, count: str, policy: str = "") -> list[str]:
        """The inputs, or the cotangents, of `count` steps, read together so that none waits for a step's arithmetic."""
        place = "cot_in + t.to(tl.int64) * total + m" if name == "cots" else "x_in + t.to(tl.int64) * x_step + place"
        policy = f", eviction_policy={policy}" if policy else ""
        load = f"tl.load({place}, mask=live, other=0.0{policy})"
        loop = [*self.time(f"{first} + j"), f"{name} = {name} + ({load},)"]
        return [f"{name} = ()", f"for j in tl.static_range({count}):", *_indent(loop)]

    def draw(self, group: str) -> list[str]:
        """The random numbers of four steps."""
        return [f"numbers = draw(key, clock // 4 + {group}, neuron)"] if self.drawn else []

    def at_step(self, word: str) -> list[str]:
        """What changes with t: coefficients per step and random numbers."""
        lines = []
        for name, kind in self.coefficients:
            if kind.spread and kind.timed:
                where = f"t.to(tl.int64) * size_{name} + entry_{name}, mask=live, other=0.0"
                lines.append(f"c_{name} = tl.load(at_{name} + {where})")
            elif kind.timed:
                spread = LANES if self.variant.interpreted else ""
                lines.append(f"c_{name} = tl.load(at_{name} + tl.minimum(tl.maximum(t, 0), steps - 1)){spread}")
        if self.drawn:
            lines.append(f"uniform = numbers[{word}]")
        elif self.random:
            lines.append("uniform = tl.load(uniform_in + t.to(tl.int64) * total + m, mask=live, other=0.0)")
        return lines

    def advance(self, current: str, guarded: bool, spikes: str = "_") -> list[str]:
        """One step of the states; `guarded`: unless t lies outside of the call."""
        values = ", ".join([f"{current}.to(tl.float32)", *list(self.inputs.values())[1:]])
        lines = [f"{', '.join([spikes, *(f'next_{name}' for name in self.states)])} = step({values})"]
        if not self.states:
            lines = [f"{spikes} = step({values})"]
        keep = "next_{0} if WHOLE else tl.where(live, next_{0}, state_{0})" if guarded else "next_{0}"
        return lines + [f"state_{name} = {keep.format(name)}" for name in self.states]


def forward_arguments(program: Program, variant: Variant) -> dict[str, str]:
    """Names of the forward kernel's arguments, and their types as Triton spells them."""
    code = _Code(program, variant)
    states = {f"{side}_{name}": "*fp32" for name in code.states for side in ("first", "last")}
    constants = dict.fromkeys(("BLOCK", "FLAT", "WIDE", "WHOLE"), "constexpr")
    return code.arguments() | {"spikes_out": POINTERS[variant.dtype]} | states | constants


def forward_source(program: Program, variant: Variant) -> str:
    """The module that holds the forward kernel."""
    code = _Code(program, variant)
    store = "tl.store(spikes_out + t.to(tl.int64) * total + m, spikes, mask=live)"
    group = [
        *code.read("currents", "group * GROUP", "GROUP"),
        *code.draw("group"),
        "for j in tl.static_range(GROUP):",
        *_indent([*code.time("group * GROUP + j"), *code.at_step("j"), *code.advance("currents[j]", True, "spikes")]),
        f"    {store}",
    ]
    lines = [
        *code.start(),
        *(code.load(f"first_{name}", f"state_{name}") for name in code.states),
        f"for group in range(tl.cdiv(steps{' + lead' if code.drawn else ''}, GROUP)):",
        *_indent(group),
    ]
    for name in code.states:
        lines += [f"if last_{name} is not None:", f"    tl.store(last_{name} + m, state_{name}, mask=inside)"]
    return _module("forward", program, variant, [code.step()], forward_arguments(program, variant), lines)


def wanted(program: Program, variant: Variant) -> list[tuple[str, Kind]]:
    """The coefficients whose gradient is asked for."""
    return [(n, kind) for n, kind in zip(program.step.coefficients, variant.kinds, strict=True) if kind.wanted]


def backward_arguments(program: Program, variant: Variant) -> dict[str, str]:
    """Names of the backward kernel's arguments, and their types as Triton spells them."""
    code, store = _Code(program, variant), POINTERS[variant.dtype]
    outputs = {"cot_in": store, "to_x_out": store, "marks": "*fp32", "partial": "*fp64"}
    sums = {f"sums_{name}": "*fp32" for name, kind in wanted(program, variant) if kind.spread}
    states = {f"{side}_{name}": "*fp32" for name in code.states for side in ("first", "cot", "grad")}
    constants = dict.fromkeys(("BLOCK", "FLAT", "WIDE", "WHOLE", "CHUNK", "MANY", "ONCE"), "constexpr")
    return code.arguments() | outputs | sums | states | constants


def backward_source(program: Program, variant: Variant) -> str:
    """The module that holds the backward kernel."""
    code, asked = _Code(program, variant), wanted(program, variant)
    inputs = code.inputs | {"cot:spikes": "cot_spikes"} | {f"cot:{name}": f"cot_{name}" for name in code.states}
    outputs = ["grad:x", *(f"grad:{name}" for name in code.states), *(f"grad:{name}" for name, _ in asked)]
    lanes = [*code.lanes, "cot:spikes", *(f"cot:{name}" for name in code.states)]
    quick = not variant.interpreted
    pull = function("pull", "Gradients of one step.", program.backward, outputs, inputs, lanes, quick)
    summed = [name for name, kind in asked if not kind.timed]
    again = [*_recompute(code), *_pull_chunk(code, asked, list(inputs.values()))]
    lines = [
        *code.start(),
        f"chunks = tl.cdiv(steps{' + lead' if code.drawn else ''}, CHUNK)",
        *(code.load(f"first_{name}", f"state_{name}") for name in code.states),
        *(code.load(f"cot_{name}", f"now_{name}") for name in code.states),
        *(f"sum_{name} = tl.zeros([BLOCK], tl.float32)" for name in summed),
        *(_holding if holds(program, bool(asked)) else _marking)(code, again),
        *_finish(code, asked),
    ]
    return _module("backward", program, variant, [code.step(), pull], backward_arguments(program, variant), lines)


def holds(program: Program, summed: bool) -> bool:
    """Whether the backward kernel keeps x of the last chunk but one in registers: it has room with one state, and where
    no gradients of coefficients are `summed`."""
    return len(program.step.states) < 2 and not summed


def _marking(code: _Code, again: list[str]) -> list[str]:
    """Writes the states before every chunk but the first to scratch; then walks all chunks, last to first."""
    fresh = code.read("currents", "c * CHUNK", "CHUNK", "ONCE")
    first_pass = ["for c in range(chunks - 1):", *_indent(_mark(code)), "if MANY:", "    tl.debug_barrier()"]
    return [
        *(first_pass if code.states else []),
        "for turn in range(chunks):",
        *_indent(["c = chunks - 1 - turn", *_restore(code), *fresh, *again]),
    ]


def _holding(code: _Code, again: list[str]) -> list[str]:
    """The same but for the last two chunks: x of the first of them, and the states before both, stay in registers."""
    fresh = code.read("currents", "c * CHUNK", "CHUNK", "ONCE")
    first_pass = ["c = chunks - 2", *code.read("held", "c * CHUNK", "CHUNK", "ONCE")]
    if code.states:
        step = _advanced(code, "c * CHUNK + g * GROUP", "held[g * GROUP + j]")
        first_pass = ["for c in range(chunks - 2):", *_indent(_mark(code)), *first_pass]
        first_pass += [f"start_{name} = state_{name}" for name in code.states]
        first_pass += ["for g in tl.static_range(CHUNK // GROUP):", *_indent([*_drawn(code), *step])]
        first_pass.append("tl.debug_barrier()")
    return [
        "if MANY:",
        *_indent(first_pass),
        "c = chunks - 1",
        *fresh,
        *again,
        "if MANY:",
        "    c = chunks - 2",
        *(f"    state_{name} = start_{name}" for name in code.states),
        "    currents = held",
        *_indent(again),
        "    for turn in range(2, chunks):",
        *_indent(_indent(["c = chunks - 1 - turn", *_restore(code), *fresh, *again])),
    ]


def _mark(code: _Code) -> list[str]:
    """Chunk c of the first pass: the states after it to scratch."""
    groups = code.read("currents", "c * CHUNK + g * GROUP", "GROUP", '"evict_last"')
    groups += [*_drawn(code), *_advanced(code, "c * CHUNK + g * GROUP", "currents[j]")]
    marks = [f"tl.store({_marked(code, k)}, state_{name}, mask=inside)" for k, name in enumerate(code.states)]
    return ["for g in range(CHUNK // GROUP):", *_indent(groups), "mark = c", *marks]


def _drawn(code: _Code) -> list[str]:
    return code.draw("c * (CHUNK // GROUP) + g")


def _advanced(code: _Code, first: str, current: str) -> list[str]:
    """The states over one group of steps."""
    step = [*code.time(f"{first} + j"), *code.at_step("j"), *code.advance(current, code.drawn)]
    return ["for j in tl.static_range(GROUP):", *_indent(step)]


def _marked(code: _Code, place: int) -> str:
    return f"marks + (mark.to(tl.int64) * {len(code.states)} + {place}) * total + m"


def _restore(code: _Code) -> list[str]:
    """The states before chunk c."""
    if not code.states:
        return []
    lines = ["if c == 0:", *_indent([code.load(f"first_{name}", f"state_{name}") for name in code.states])]
    lines += ["else:", "    mark = c - 1"]
    for k, name in enumerate(code.states):
        lines.append(f"    state_{name} = tl.load({_marked(code, k)}, mask=inside, other=0.0)")
    return lines


def _recompute(code: _Code) -> list[str]:
    """Cotangents of chunk c, all read at once, and its states, kept in registers."""
    step = [
        *code.time("c * CHUNK + g * GROUP + j"),
        *code.at_step("j"),
        *(f"kept_{name} = kept_{name} + (state_{name},)" for name in code.states),
        *(["uniforms = uniforms + (uniform,)"] if code.random else []),
        *code.advance("currents[g * GROUP + j]", code.drawn),
    ]
    names = [*(f"kept_{name}" for name in code.states), *(["uniforms"] if code.random else [])]
    lines = [*code.read("cots", "c * CHUNK", "CHUNK", "ONCE"), *(f"{name} = ()" for name in names)]
    groups = [*_drawn(code), "for j in tl.static_range(GROUP):", *_indent(step)]
    return [*lines, "for g in tl.static_range(CHUNK // GROUP):", *_indent(groups)]


def _pull_chunk(code: _Code, asked: Sequence[tuple[str, Kind]], inputs: list[str]) -> list[str]:
    """The vector-Jacobian product over one chunk, last step first."""
    results = ["to_x", *(f"next_{name}" for name in code.states), *(f"add_{name}" for name, _ in asked)]
    timed = [line for line in code.at_step("0") if not line.startswith("uniform")]
    kept = {f"state_{name}": f"kept_{name}[CHUNK - 1 - back]" for name in code.states}
    kept |= {"x": "currents[CHUNK - 1 - back].to(tl.float32)", "uniform": "uniforms[CHUNK - 1 - back]"}
    kept |= {"cot_spikes": "cots[CHUNK - 1 - back].to(tl.float32)"} | {f"cot_{n}": f"now_{n}" for n in code.states}
    values = ", ".join(kept.get(name, name) for name in inputs)
    step = [
        *code.time("c * CHUNK + CHUNK - 1 - back"),
        *timed,
        f"{', '.join(results)} = pull({values})",
        "tl.store(to_x_out + t.to(tl.int64) * total + m, to_x, mask=live, eviction_policy=ONCE)",
        *(f"now_{name} = next_{name} if WHOLE else tl.where(live, next_{name}, now_{name})" for name in code.states),
        *(line for k, (name, kind) in enumerate(asked) for line in _collect(k, name, kind)),
    ]
    return ["for back in tl.static_range(CHUNK):", *_indent(step)]


def _collect(place: int, name: str, kind: Kind) -> list[str]:
    """What becomes of one step's gradient of a coefficient."""
    if not kind.timed:
        return [f"sum_{name} += tl.where(live, add_{name}, 0.0)"]
    if kind.spread:
        return [f"tl.store(sums_{name} + t.to(tl.int64) * total + m, add_{name}, mask=live)"]
    where = f"partial + ({place} * steps.to(tl.int64) + t) * tl.num_programs(0) + tl.program_id(0)"
    total = f"tl.sum(tl.where(live, add_{name}, 0.0).to(tl.float64))"
    return [f"tl.store({where}, {total}, mask=(t >= 0) & (t < steps))"]


def _finish(code: _Code, asked: Sequence[tuple[str, Kind]]) -> list[str]:
    """Stores after the last chunk: gradients of the initial states, sums over time."""
    lines = []
    for name in code.states:
        lines += [f"if grad_{name} is not None:", f"    tl.store(grad_{name} + m, now_{name}, mask=inside)"]
    span = "steps.to(tl.int64)" if any(kind.timed for _, kind in asked) else "1"
    for k, (name, kind) in enumerate(asked):
        if kind.spread and not kind.timed:
            lines.append(f"tl.store(sums_{name} + m, sum_{name}, mask=inside)")
        elif not kind.timed:
            where = f"partial + {k} * {span} * tl.num_programs(0) + tl.program_id(0)"
            lines.append(f"tl.store({where}, tl.sum(sum_{name}.to(tl.float64)))")
    return lines


def _module(
    name: str, program: Program, variant: Variant, functions: list[str], arguments: dict[str, str], lines: list[str]
) -> str:
    """The text of a module with one kernel."""
    graphs = [program.forward] if name == "forward" else [program.forward, program.backward]
    operations = {node.op for graph in graphs for node in graph.nodes}
    fixed = [argument for argument in ("steps", "clock", "key") if argument in arguments]
    kinds = {"i64": ": tl.int64", "constexpr": ": tl.constexpr"}
    listed = [f"{a}{': tl.int32' if a == 'steps' else kinds.get(kind, '')}" for a, kind in arguments.items()]
    title = f'"""{program.step.name}, {name}, {variant.dtype}: written by rheobase.fuse.gpu."""\n\n'
    head = f"\n\n@triton.jit(do_not_specialize={fixed!r})\ndef {name}(\n"
    return (
        title
        + prelude(operations, variant.drawn, variant.interpreted)
        + f"\n\nGROUP = tl.constexpr({GROUP})\n"
        + "".join("\n\n" + text for text in functions)
        + head
        + "".join(f"    {argument},\n" for argument in listed)
        + "):\n"
        + "\n".join(_indent(lines))
        + "\n"
    )


def _indent(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]
