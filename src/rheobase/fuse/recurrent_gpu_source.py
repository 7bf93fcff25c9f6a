"""The fused recurrent GPU kernel: `I[t] = x[t] + s[t−1] Wᵀ` and one step of the neuron, with the time loop in Triton.

One program of the grid takes BLOCK samples, with all n neurons of each, through all steps; WIDTH is n rounded up to a
power of two. The products run on tensor cores without losing bits of float32: a number of float32 is the sum of three
of bfloat16. Spikes are exact in bfloat16, so they take one product per part of the weight (PARTS = 3, or 1 where the
weight is bfloat16 itself); gradients take one per pair of parts above 2⁻²⁴. Only the order of sums differs from eager.

Forward writes the currents I and, for every CHUNK steps, the states before them. Backward goes through the chunks from
the last to the first: it computes the states of a chunk again into scratch, then runs the vector-Jacobian product. It
writes `delta`, the gradient of the currents, from which one matrix product makes the weight's gradient. What a step
reads from memory is asked for a step ahead.

Up to 128 neurons the weight is read once and stays in shared memory, and spikes pass from step to step in registers
(ROWS = WIDTH). Above, every step reads the weight again, ROWS rows at a time, from the second cache, and the spikes or
delta that the program has just written. DELAYED: neuron j's spikes arrive late[j] steps later, so a step gathers them
from what the program wrote at different steps; backward writes each step's product to `backs` and gathers from it.
"""

from __future__ import annotations

from rheobase.fuse.gpu_source import POINTERS, Kind, Variant
from rheobase.fuse.program import Program
from rheobase.fuse.tensor_cores import PRODUCTS
from rheobase.fuse.tprint import function, prelude

CONSTANTS = ("BLOCK", "WIDTH", "CHUNK", "PARTS", "ROWS", "DELAYED")
GROUP = 4  # steps of a chunk whose currents are read together


class _Code:
    """Pieces of Triton for one program and variant, shared by both passes."""

    def __init__(self, program: Program, variant: Variant):
        self.program, self.variant, self.states = program, variant, program.step.states
        self.coefficients = list(zip(program.step.coefficients, variant.kinds, strict=True))
        self.wanted = [(k, name, kind) for k, (name, kind) in enumerate(self.coefficients) if kind.wanted]
        self.drawn, self.given = variant.drawn, program.step.random and not variant.drawn
        self.inputs = {"x": "x"} | {name: f"state_{name}" for name in self.states}
        self.inputs |= {name: f"c_{name}" for name, _ in self.coefficients}
        self.inputs |= {"uniform": "uniform"} if program.step.random else {}
        fixed = {"c_" + name for name, kind in self.coefficients}
        self.lanes = [name for name, variable in self.inputs.items() if variable not in fixed]

    def arguments(self) -> dict[str, str]:
        """Names and types of the arguments that both passes share."""
        found = {"steps": "i32", "batch": "i32", "n": "i32", "weight": "*bf16", "currents": "*fp32", "marks": "*fp32"}
        found["late"] = "*i64"
        found |= {"clock": "i64", "key": "i64"} if self.drawn else {"uniform_in": "*fp32"} if self.given else {}
        for name, kind in self.coefficients:
            found |= {f"at_{name}": "*fp32"} if kind.held else {f"c_{name}": "fp32"}
        return found

    def start(self) -> list[str]:
        """Where the samples of a program lie, and what does not change over time."""
        lines = [
            "row = (tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK))[:, None]",
            "column = tl.arange(0, WIDTH)[None, :]",
            "inside = (row < batch) & (column < n)",
            "m = row * n + column",
            "total = batch.to(tl.int64) * n",
        ]
        for name, kind in self.coefficients:
            if kind.held and not kind.timed:
                lines.append(f"c_{name} = tl.load(at_{name}{self._spread(kind)})")
        return lines

    @staticmethod
    def _spread(kind: Kind) -> str:
        return " + column, mask=column < n, other=0.0" if kind.spread else ""

    def at_step(self, again: str, random: bool = True) -> list[str]:
        """What changes with t: coefficients per step and random numbers, of four steps where `again` holds."""
        lines = []
        for name, kind in self.coefficients:
            if kind.timed:
                place = "t * n" if kind.spread else "t"
                lines.append(f"c_{name} = tl.load(at_{name} + {place}{self._spread(kind)})")
        if random and self.drawn:
            lines += ["at = clock + t", f"if {again}:", "    a, b, c, d = draw(key, at // 4, m)"]
            lines.append("early, later = tl.where(at % 4 == 0, a, b), tl.where(at % 4 == 2, c, d)")
            lines.append("uniform = tl.where(at % 4 < 2, early, later)")
        elif random and self.given:
            lines.append("uniform = tl.load(uniform_in + t * total + m, mask=inside, other=0.0)")
        return lines

    def first_draw(self, at: str) -> list[str]:
        """The random numbers of the four steps around the first, before the loop that draws every four steps."""
        return [f"at = {at}", "a, b, c, d = draw(key, at // 4, m)"] if self.drawn else []

    def call(self, name: str, results: list[str], **replaced: str) -> str:
        values = ", ".join(replaced.get(variable, variable) for variable in self.inputs.values())
        more = ", ".join(replaced[key] for key in replaced if key not in self.inputs.values())
        return f"{', '.join(results)} = {name}({values}{', ' + more if more else ''})"


def forward_arguments(program: Program, variant: Variant) -> dict[str, str]:
    """Names of the forward kernel's arguments, and their types as Triton spells them."""
    code, store = _Code(program, variant), POINTERS[variant.dtype]
    own = {"x_in": store, "spikes_out": store, "before": "*fp32", "reach": "i32"}
    states = {f"{side}_{name}": "*fp32" for name in code.states for side in ("first", "last")}
    return code.arguments() | own | states | dict.fromkeys(CONSTANTS, "constexpr")


def forward_source(program: Program, variant: Variant) -> str:
    """The module that holds the forward kernel."""
    code = _Code(program, variant)
    outputs = ["s", *program.following]
    step = function("step", "One step: spikes, states.", program.forward, outputs, code.inputs, code.lanes)
    loop = [
        "here = t * total + m",
        "x = ahead.to(tl.float32)",
        "ahead = tl.load(x_in + tl.minimum(t + 1, steps - 1) * total + m, mask=inside, other=0.0)",
        *_product("send", "spikes", "spikes_out, late, t - 1", "t > 0", True),
        "x += tl.where(t > 0, sent, 0.0)",  # nothing was sent before all steps: no 0 times NaN either
        "if before is not None:",
        "    if t < reach:",
        "        x += tl.load(before + here, mask=inside, other=0.0)",
        "if currents is not None:",
        "    tl.store(currents + here, x, mask=inside)",
        *_each_state(code, "marks", "state_{name}", "    if t % CHUNK == 0:"),
        *code.at_step("at % 4 == 0"),
        code.call("step", ["spikes", *(f"state_{name}" for name in code.states)]),
        "spikes = tl.where(inside, spikes, 0.0)",
        "tl.store(spikes_out + here, spikes, mask=inside)",
        "if DELAYED or ROWS < WIDTH:",
        "    tl.debug_barrier()",
    ]
    lines = [
        *code.start(),
        *(_load(f"first_{name}", f"state_{name}") for name in code.states),
        *HELD,
        "spikes = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "ahead = tl.load(x_in + m, mask=inside, other=0.0)",
        *code.first_draw("clock"),
        "for t in range(steps):",
        *_indent(loop),
    ]
    for name in code.states:
        lines += [f"if last_{name} is not None:", f"    tl.store(last_{name} + m, state_{name}, mask=inside)"]
    return _module("forward", program, variant, [step], forward_arguments(program, variant), lines)


HELD = ["if ROWS == WIDTH:", "    high, middle, low = parts(weight, 0, WIDTH, WIDTH, PARTS)"]


def _product(name: str, held: str, place: str, some: str, delayed: bool) -> list[str]:
    """`sent`: the product of the weight with what is `held` in registers, or else was written at `place`."""
    gathered = "DELAYED" if delayed else "False"
    narrow = [f"values = {held}"]
    if delayed:
        narrow += ["if DELAYED:", f"    values = written({place}, total, row, batch, n, 0, WIDTH, True)"]
    return [
        "sent = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "if ROWS == WIDTH:",
        *_indent(narrow),
        f"    sent = {name}(values, high, middle, low, PARTS)",
        f"elif {some}:",
        "    for first_row in range(0, WIDTH, ROWS):",
        f"        values = written({place}, total, row, batch, n, first_row, ROWS, {gathered})",
        "        one, two, three = parts(weight, first_row, ROWS, WIDTH, PARTS)",
        f"        sent = plus({name}(values, one, two, three, PARTS), sent)",
    ]


def _each_state(code: _Code, where: str, value: str, condition: str) -> list[str]:
    """Stores of all states before a chunk, for the backward pass."""
    if not code.states:
        return []
    lines = ["if currents is not None:", condition]
    for k, name in enumerate(code.states):
        place = f"{where} + (t // CHUNK * {len(code.states)} + {k}) * total + m"
        lines.append(f"        tl.store({place}, {value.format(name=name)}, mask=inside)")
    return lines


def backward_arguments(program: Program, variant: Variant) -> dict[str, str]:
    """Names of the backward kernel's arguments, and their types as Triton spells them."""
    code = _Code(program, variant)
    own = {"cot_in": POINTERS[variant.dtype], "delta_out": "*fp32", "backs": "*fp32", "scratch": "*fp32"}
    own |= {f"sums_{name}": "*fp32" for _, name, _ in code.wanted}
    states = {f"{side}_{name}": "*fp32" for name in code.states for side in ("cot", "grad")}
    return code.arguments() | own | states | dict.fromkeys(CONSTANTS, "constexpr")


def backward_source(program: Program, variant: Variant) -> str:
    """The module that holds the backward kernel."""
    code = _Code(program, variant)
    step = function("step", "States of one step.", program.forward, program.following, code.inputs, code.lanes)
    cots = ["cot:spikes", *(f"cot:{name}" for name in code.states)]
    inputs = code.inputs | {name: name.replace(":", "_") for name in cots}
    outputs = ["grad:x", *(f"grad:{name}" for name in code.states), *(f"grad:{name}" for _, name, _ in code.wanted)]
    lanes, quick = [*code.lanes, *cots], not variant.interpreted
    pull = function("pull", "Gradients of one step.", program.backward, outputs, inputs, lanes, quick)
    lines = [
        *code.start(),
        *(_load(f"cot_{name}", f"now_{name}") for name in code.states),
        *(f"sum_{name} = tl.zeros([BLOCK, WIDTH], tl.float32)" for _, name, kind in code.wanted if not kind.timed),
        *HELD,
        "sent = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "if DELAYED:",
        "    behind = tl.load(late + column, mask=column < n, other=0)",
        *code.first_draw("clock + steps - 1"),
        "tile = tl.arange(0, BLOCK)[:, None] * WIDTH + column",
        f"held = scratch + tl.program_id(0).to(tl.int64) * (CHUNK * {len(code.states)} * BLOCK * WIDTH) + tile",
        "for turn in range(tl.cdiv(steps, CHUNK)):",
        "    first = (tl.cdiv(steps, CHUNK) - 1 - turn) * CHUNK",
        "    end = tl.minimum(first + CHUNK, steps)",
        *_indent(_again(code)),
        *_indent(_ahead(code, "end - 1")),
        "    for gone in range(end - first):",
        *_indent(_indent(_pull_step(code))),
        *_finish(code),
    ]
    functions = [step, pull] if code.states else [pull]
    return _module("backward", program, variant, functions, backward_arguments(program, variant), lines)


def _again(code: _Code) -> list[str]:
    """The states before every step of a chunk, into scratch."""
    if not code.states:
        return []
    count, lines = len(code.states), []
    for k, name in enumerate(code.states):
        place = f"(first // CHUNK * {count} + {k}) * total + m"
        lines.append(f"state_{name} = tl.load(marks + {place}, mask=inside, other=0.0)")
    read = "tl.load(currents + tl.minimum(start + j, end - 1) * total + m, mask=inside, other=0.0)"
    group = ["start = first + g * GROUP", "inputs = ()", "for j in tl.static_range(GROUP):"]
    group += [f"    inputs = inputs + ({read},)", "for j in tl.static_range(GROUP):"]
    step = ["t = start + j", "if t < end:"]
    step += [f"    tl.store({_held(count, k)}, state_{name})" for k, name in enumerate(code.states)]
    step += _indent(["x = inputs[j]", *code.at_step("(at % 4 == 0) | (t == first)")])
    step += ["    " + code.call("step", [f"state_{name}" for name in code.states])]
    return [*lines, "for g in range(CHUNK // GROUP):", *_indent([*group, *_indent(step)]), "tl.debug_barrier()"]


def _held(count: int, k: int, t: str = "t") -> str:
    return f"held + (({t} - first) * {count} + {k}) * (BLOCK * WIDTH)"


def _ahead(code: _Code, t: str) -> list[str]:
    """What the pull of step t reads from memory."""
    lines = [f"soon = {t}"]
    for k, name in enumerate(code.states):
        lines.append(f"ahead_{name} = tl.load({_held(len(code.states), k, 'soon')})")
    lines.append("ahead_x = tl.load(currents + soon * total + m, mask=inside, other=0.0)")
    return [*lines, "ahead_cot = tl.load(cot_in + soon * total + m, mask=inside, other=0.0)"]


def _pull_step(code: _Code) -> list[str]:
    """The vector-Jacobian product of one step, and what it sends to the spikes of the steps before."""
    states = code.states
    random = "uniform" in {str(node.args[0]) for node in code.program.backward.nodes if node.op == "input"}
    results = ["delta", *(f"now_{name}" for name in states), *(f"add_{name}" for _, name, _ in code.wanted)]
    cots = {"cot:spikes": "cot"} | {f"cot:{name}": f"now_{name}" for name in states}
    lines = [
        "t = end - 1 - gone",
        "here = t * total + m",
        *(f"state_{name} = ahead_{name}" for name in states),
        "x = ahead_x",
        "cot = ahead_cot.to(tl.float32)",
        *_ahead(code, "tl.maximum(t - 1, first)"),
        "if DELAYED:",
        "    arrived = t + 1 + behind",
        "    sent = tl.load(backs + arrived * total + m, mask=inside & (arrived < steps), other=0.0)",
        "cot += sent",
        *code.at_step("(at % 4 == 3) | (gone == 0)", random),
        *(["uniform = x"] if code.program.step.random and not random else []),
        code.call("pull", results, **cots),
        "delta = tl.where(inside, delta, 0.0)",
        "tl.store(delta_out + here, delta, mask=inside)",
        "if ROWS < WIDTH:",
        "    tl.debug_barrier()",
        *_product("send_back", "delta", "delta_out, late, t", "t > 0", False),
        "if DELAYED:",
        "    tl.store(backs + here, sent, mask=inside)",
        "    tl.debug_barrier()",
    ]
    for _, name, kind in code.wanted:
        line = f"tl.where(inside, add_{name}, 0.0)"
        lines += _store_sum(name, kind, line, "t") if kind.timed else [f"sum_{name} += {line}"]
    return lines


def _store_sum(name: str, kind: Kind, value: str, t: str) -> list[str]:
    """Store a program's sum over its samples: per neuron, or one number; per step or in all."""
    place = f"sums_{name} + (tl.program_id(0).to(tl.int64) * {'steps' if kind.timed else 1} + {t})"
    if kind.spread:
        return [f"tl.store({place} * n + column, tl.sum({value}, 0)[None, :], mask=column < n)"]
    return [f"tl.store({place}, tl.sum(tl.sum({value}, 1), 0))"]


def _finish(code: _Code) -> list[str]:
    """Stores after the first step: gradients of the initial states, sums over time."""
    lines = []
    for name in code.states:
        lines += [f"if grad_{name} is not None:", f"    tl.store(grad_{name} + m, now_{name}, mask=inside)"]
    for _, name, kind in code.wanted:
        lines += [] if kind.timed else _store_sum(name, kind, f"sum_{name}", "0")
    return lines


def _load(pointer: str, target: str) -> str:
    """The line that loads one value per lane; zeros where no tensor is given."""
    given = f"tl.load({pointer} + m, mask=inside, other=0.0)"
    return f"{target} = tl.zeros([BLOCK, WIDTH], tl.float32) if {pointer} is None else {given}"


def _module(
    name: str, program: Program, variant: Variant, functions: list[str], arguments: dict[str, str], lines: list[str]
) -> str:
    """The text of a module with one kernel."""
    graphs = [program.forward] if name == "forward" else [program.forward, program.backward]
    operations = {node.op for graph in graphs for node in graph.nodes}
    fixed = [argument for argument in ("steps", "batch", "clock", "key", "reach") if argument in arguments]
    kinds = {"i64": ": tl.int64", "i32": ": tl.int32", "constexpr": ": tl.constexpr"}
    listed = "".join(f"    {argument}{kinds.get(kind, '')},\n" for argument, kind in arguments.items())
    title = f'"""{program.step.name}, recurrent {name}, {variant.dtype}: written by rheobase.fuse.recurrent_gpu."""\n\n'
    products = PRODUCTS.replace("{widen}", ".to(tl.float32)" if variant.interpreted else "")
    group = f"\n\nGROUP = tl.constexpr({GROUP})\n"
    head = f"\n\n@triton.jit(do_not_specialize={fixed!r})\ndef {name}(\n{listed}):\n"
    body = "\n".join(_indent(lines)) + "\n"
    written = "".join("\n\n" + text for text in functions)
    return title + prelude(operations, variant.drawn, variant.interpreted) + group + products + written + head + body


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]
