"""The fused recurrent GPU kernel: `I[t] = x[t] + s[t−1] Wᵀ` and one step of the neuron, with the time loop in Triton.

One program of the grid takes BLOCK samples, with all n neurons of each, through all steps; WIDTH is n rounded up to a
power of two. The products run on tensor cores without losing bits of float32: a number of float32 is the sum of three
of bfloat16. Spikes are exact in bfloat16, so they take one product per part of the weight (PARTS = 3, or 1 where the
weight is bfloat16 itself); gradients take one per pair of parts above 2⁻²⁴. Only the order of sums differs from eager.

Forward writes the currents I and, for every CHUNK steps, the states before them. Backward goes through the chunks from
the last to the first: it computes the states of a chunk again into scratch, then runs the vector-Jacobian product. It
writes `delta`, the gradient of the currents, from which one matrix product makes the weight's gradient.

Up to 128 neurons the weight is read once and stays on the chip, and spikes pass from step to step in registers
(ROWS = WIDTH). Above, every step reads the weight again, ROWS rows at a time, from the second cache, and the spikes or
delta that the program has just written.
"""

from __future__ import annotations

from rheobase.fuse.gpu_source import POINTERS, Kind, Variant
from rheobase.fuse.tprint import function, prelude
from rheobase.fuse.trace import Program

CONSTANTS = ("BLOCK", "WIDTH", "CHUNK", "PARTS", "ROWS")

# bfloat16 as the tensor cores take it. Triton's interpreter multiplies bit patterns, so there it goes on as float32.
PRODUCTS = '''

@triton.jit
def short(x):
    """x rounded to bfloat16."""
    return x.to(tl.bfloat16){widen}


@triton.jit
def part(weight, k, first, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """ROWS rows of part k of the weight, from row `first`."""
    row = first + tl.arange(0, ROWS)
    return tl.load(weight + (k * WIDTH + row[:, None]) * WIDTH + tl.arange(0, WIDTH)[None, :]){widen}


@triton.jit
def rest(x, high):
    """What is left of x after its first part; 0 where that is not finite."""
    left = x - high.to(tl.float32)
    return tl.where(left == left, left, 0.0)


@triton.jit
def send(total, spikes, weight, first, ROWS: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr):
    """Add spikes of ROWS neurons times their rows of the weight: the smallest part first."""
    s = short(spikes)
    for k in tl.static_range(PARTS):
        total = tl.dot(s, part(weight, PARTS - 1 - k, first, ROWS, WIDTH), total)
    return total


@triton.jit
def send_back(total, delta, weight, first, ROWS: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr):
    """Add delta of ROWS neurons times their rows of the weight: pairs of parts, the smallest first."""
    high = short(delta)
    left = rest(delta, high)
    middle = short(left)
    low = short(rest(left, middle))
    largest = part(weight, 0, first, ROWS, WIDTH)
    total = tl.dot(low, largest, total)
    if PARTS == 3:
        total = tl.dot(high, part(weight, 2, first, ROWS, WIDTH), total)
        second = part(weight, 1, first, ROWS, WIDTH)
        total = tl.dot(middle, second, total)
        total = tl.dot(middle, largest, total)
        total = tl.dot(high, second, total)
    else:
        total = tl.dot(middle, largest, total)
    return tl.dot(high, largest, total)


@triton.jit
def read(source, row, batch, n, first, ROWS: tl.constexpr):
    """What this program wrote at an earlier step, of ROWS neurons."""
    column = first + tl.arange(0, ROWS)[None, :]
    inside = (row < batch) & (column < n)
    return tl.load(source + row * n + column, mask=inside, other=0.0).to(tl.float32)
'''


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

    def at_step(self, random: bool = True) -> list[str]:
        """What changes with t: coefficients per step and random numbers."""
        lines = []
        for name, kind in self.coefficients:
            if kind.timed:
                place = "t * n" if kind.spread else "t"
                lines.append(f"c_{name} = tl.load(at_{name} + {place}{self._spread(kind)})")
        if random and self.drawn:
            lines += ["at = clock + t", "a, b, c, d = draw(key, at // 4, m)"]
            lines.append("early, late = tl.where(at % 4 == 0, a, b), tl.where(at % 4 == 2, c, d)")
            lines.append("uniform = tl.where(at % 4 < 2, early, late)")
        elif random and self.given:
            lines.append("uniform = tl.load(uniform_in + t * total + m, mask=inside, other=0.0)")
        return lines

    def call(self, name: str, results: list[str], **replaced: str) -> str:
        values = ", ".join(replaced.get(variable, variable) for variable in self.inputs.values())
        more = ", ".join(replaced[key] for key in replaced if key not in self.inputs.values())
        return f"{', '.join(results)} = {name}({values}{', ' + more if more else ''})"


def forward_arguments(program: Program, variant: Variant) -> dict[str, str]:
    """Names of the forward kernel's arguments, and their types as Triton spells them."""
    code, store = _Code(program, variant), POINTERS[variant.dtype]
    own = {"x_in": store, "spikes_out": store, "before": "*fp32"}
    states = {f"{side}_{name}": "*fp32" for name in code.states for side in ("first", "last")}
    return code.arguments() | own | states | dict.fromkeys(CONSTANTS, "constexpr")


def forward_source(program: Program, variant: Variant) -> str:
    """The module that holds the forward kernel."""
    code = _Code(program, variant)
    outputs = ["s", *program.following]
    step = function("step", "One step: spikes, states.", program.forward, outputs, code.inputs, code.lanes)
    loop = [
        "here = t * total + m",
        "x = tl.load(x_in + here, mask=inside, other=0.0).to(tl.float32)",
        *_product("send", "spikes", "spikes_out + (t - 1) * total", "t > 0"),
        "x += tl.where(t > 0, sent, 0.0)",
        "if before is not None:",
        "    x += tl.load(before + m, mask=inside & (t == 0), other=0.0)",
        "if currents is not None:",
        "    tl.store(currents + here, x, mask=inside)",
        *_each_state(code, "marks", "state_{name}", "    if t % CHUNK == 0:"),
        *code.at_step(),
        code.call("step", ["spikes", *(f"state_{name}" for name in code.states)]),
        "spikes = tl.where(inside, spikes, 0.0)",
        "tl.store(spikes_out + here, spikes, mask=inside)",
        "if ROWS < WIDTH:",
        "    tl.debug_barrier()",
    ]
    lines = [
        *code.start(),
        *(_load(f"first_{name}", f"state_{name}") for name in code.states),
        "spikes = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "for t in range(steps):",
        *_indent(loop),
    ]
    for name in code.states:
        lines += [f"if last_{name} is not None:", f"    tl.store(last_{name} + m, state_{name}, mask=inside)"]
    return _module("forward", program, variant, [step], forward_arguments(program, variant), lines)


def _product(name: str, held: str, written: str, some: str) -> list[str]:
    """`sent`: the product of what the last step left in `held`, or wrote at `written`, with the weight."""
    return [
        "sent = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "if ROWS == WIDTH:",
        f"    sent = {name}(sent, {held}, weight, 0, ROWS, WIDTH, PARTS)",
        f"elif {some}:",
        "    for first_row in range(0, WIDTH, ROWS):",
        f"        values = read({written}, row, batch, n, first_row, ROWS)",
        f"        sent = {name}(sent, values, weight, first_row, ROWS, WIDTH, PARTS)",
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
    own = {"cot_in": POINTERS[variant.dtype], "delta_out": "*fp32", "scratch": "*fp32"}
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
        "delta = tl.zeros([BLOCK, WIDTH], tl.float32)",
        "tile = tl.arange(0, BLOCK)[:, None] * WIDTH + column",
        f"held = scratch + tl.program_id(0).to(tl.int64) * (CHUNK * {len(code.states)} * BLOCK * WIDTH) + tile",
        "for turn in range(tl.cdiv(steps, CHUNK)):",
        "    first = (tl.cdiv(steps, CHUNK) - 1 - turn) * CHUNK",
        "    end = tl.minimum(first + CHUNK, steps)",
        *_indent(_again(code)),
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
    lines += ["for t in range(first, end):"]
    lines += [f"    tl.store({_held(count, k)}, state_{name})" for k, name in enumerate(code.states)]
    lines += ["    x = tl.load(currents + t * total + m, mask=inside, other=0.0)"]
    lines += _indent(code.at_step())
    lines += ["    " + code.call("step", [f"state_{name}" for name in code.states]), "tl.debug_barrier()"]
    return lines


def _held(count: int, k: int) -> str:
    return f"held + ((t - first) * {count} + {k}) * (BLOCK * WIDTH)"


def _pull_step(code: _Code) -> list[str]:
    """The vector-Jacobian product of one step, and what it sends to the spikes of the step before."""
    count, states = len(code.states), code.states
    random = "uniform" in {str(node.args[0]) for node in code.program.backward.nodes if node.op == "input"}
    results = ["delta", *(f"now_{name}" for name in states), *(f"add_{name}" for _, name, _ in code.wanted)]
    cots = {"cot:spikes": "cot"} | {f"cot:{name}": f"now_{name}" for name in states}
    lines = [
        "t = end - 1 - gone",
        "here = t * total + m",
        *(f"state_{name} = tl.load({_held(count, k)})" for k, name in enumerate(states)),
        "x = tl.load(currents + here, mask=inside, other=0.0)",
        *_product("send_back", "delta", "delta_out + (t + 1) * total", "t + 1 < steps"),
        "cot = tl.load(cot_in + here, mask=inside, other=0.0).to(tl.float32) + sent",
        *code.at_step(random),
        *(["uniform = x"] if code.program.step.random and not random else []),
        code.call("pull", results, **cots),
        "delta = tl.where(inside, delta, 0.0)",
        "tl.store(delta_out + here, delta, mask=inside)",
        "if ROWS < WIDTH:",
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
    fixed = [argument for argument in ("steps", "batch", "clock", "key") if argument in arguments]
    kinds = {"i64": ": tl.int64", "i32": ": tl.int32", "constexpr": ": tl.constexpr"}
    listed = "".join(f"    {argument}{kinds.get(kind, '')},\n" for argument, kind in arguments.items())
    title = f'"""{program.step.name}, recurrent {name}, {variant.dtype}: written by rheobase.fuse.recurrent_gpu."""\n\n'
    products = PRODUCTS.replace("{widen}", ".to(tl.float32)" if variant.interpreted else "")
    head = f"\n\n@triton.jit(do_not_specialize={fixed!r})\ndef {name}(\n{listed}):\n"
    body = "\n".join(_indent(lines)) + "\n"
    written = "".join("\n\n" + text for text in functions)
    return title + prelude(operations, variant.drawn, variant.interpreted) + products + written + head + body


def _indent(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]
