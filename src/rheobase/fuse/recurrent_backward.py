"""C of the recurrent backward kernel; see fuse/recurrent.py for what it does and in which order."""

from __future__ import annotations

import dataclasses

from rheobase.fuse.cprint import body
from rheobase.fuse.cpu import Variant
from rheobase.fuse.program import Graph, Node, Program
from rheobase.fuse.recurrent import (
    Code,
    backward_arguments,
    block_head,
    indent,
    kernel,
    load_rows,
    store_rows,
)
from rheobase.fuse.recurrent_reach import gates


def _given_spikes(graph: Graph) -> Graph:
    """The forward program with its spikes as an input, `spike`: no random number is drawn twice."""
    spike = graph.output("s")
    nodes = [Node("input", ("spike",)) if number == spike else node for number, node in enumerate(graph.nodes)]
    return dataclasses.replace(graph, nodes=tuple(nodes))


def backward_source(program: Program, variant: Variant) -> str:
    """C of the backward kernel."""
    code = Code(program, variant, backward_arguments(program))
    count = max(len(code.states), 1)
    pointers = []
    for kind, c, name in (
        ("const F", "incoming", "incoming"), ("const S", "cot", "cot:spikes"), ("S", "grad_x", "grad:x"),
        ("F", "grad_outgoing", "grad:outgoing"), ("F", "grad_before", "grad:before"),
    ):  # fmt: skip
        pointers.append(f"{kind} *{c} = ({kind} *){code.arg(name)};")
    for k, name in code.states:
        pointers.append(f"const F *cot_{k} = (const F *){code.arg(f'cot:{name}')};")
        pointers.append(f"F *grad_{k} = (F *){code.arg(f'grad:{name}')};")
    pointers += [f"double *sum_{k} = (double *){code.arg(f'sum:{name}')};" for k, name, _ in _wanted(code)]
    arrays = [
        *code.arrays(),
        "const int64_t held = steps < chunk ? steps : chunk, slot = block * pad;",
        f"F *delta = numbers(held * slot), *state = numbers(held * {count} * slot), *ring = numbers(history * slot);",
        f"F *back = numbers(slot), *gs = numbers({count} * slot), *q = numbers({max(len(_wanted(code)), 1)} * pad);",
        "uint64_t *sent = (uint64_t *)malloc((size_t)(held * block * words) * 8);",
        "uint64_t *columns = (uint64_t *)malloc((size_t)(held * block + RUN) * 8);",
        "uint16_t *list = (uint16_t *)malloc((size_t)(held * block + RUN) * 2);",
        *(["uint32_t *needed = (uint32_t *)malloc((size_t)(held * pad) * 4);"] if _gates(code) else []),
    ]
    block = [
        *block_head("g", code),
        *load_rows("gs", "cot", code),
        "for (int64_t c = (steps + chunk - 1) / chunk - 1; c >= 0; c--) {",
        *indent(_chunk(code)),
        "}",
        *store_rows("grad", "gs", code),
        *_to_before(),
    ]
    turn = ["for (int64_t g = part * blocks / groups; g < (part + 1) * blocks / groups; g++) {", *indent(block), "}"]
    before = [*code.common(), *pointers, "huge(grad_x, steps * batch * n * (int64_t)sizeof(S));"]
    arrived = ("needed",) if _gates(code) else ()
    free = code.free("delta", "state", "ring", "back", "gs", "q", "sent", "columns", "list", *arrived)
    return kernel("backward", program, variant, before, arrays, turn, free)


def _outputs(code: Code) -> list[str]:
    """The gradients that the kernel computes."""
    states = [f"grad:{name}" for _, name in code.states]
    return ["grad:x", *states, *(f"grad:{name}" for _, name, _ in _wanted(code))]


def _gates(code: Code) -> Graph | None:
    return gates(code.program, _outputs(code))


def _wanted(code: Code) -> list:
    """(position, name, kind) of the coefficients whose gradient is wanted."""
    return [(k, name, kind) for k, (name, kind) in enumerate(code.kinds) if kind.wanted]


def _chunk(code: Code) -> list[str]:
    """One chunk of a block: its currents and states again, its steps backwards, its share of the weight's gradient."""
    return [
        "const int64_t t0 = c * chunk, t1 = steps < t0 + chunk ? steps : t0 + chunk;",
        *_load_marks(code),
        "for (int64_t t = t0; t < t1; t++) {",
        *indent(_again(code)),
        "}",
        "for (int64_t t = t1 - 1; t >= t0; t--) {",
        *indent(_step_back(code)),
        "}",
        *_flush(code, timed=False),
        *_weight(),
    ]


def _load_marks(code: Code) -> list[str]:
    count = len(code.states)
    return [
        f"for (int64_t k = 0; k < {count}; k++) for (int64_t b = 0; b < rows; b++)",
        f"  memcpy(state + (k * block + b) * pad, marks + ((c * {count} + k) * batch + b0 + b) * n, "
        "(size_t)n * sizeof(F));",
    ]


def _again(code: Code) -> list[str]:
    """The currents of step t into `delta`, and the states of step t + 1; which spikes of step t need their gradient."""
    graph, given = code.program.forward, code.program.step.random
    graph = _given_spikes(graph) if given else graph
    inputs = code.inputs("ct[i]", {name: f"now_{k}[i]" for k, name in code.states}) | {"spike": "ones[i]"}
    stores = {f"next:{name}": f"then_{k}[i] = {{}};" for k, name in code.states}
    count, gate = len(code.states), _gates(code)
    rows = [
        "F *RESTRICT ct = delta + ((t - t0) * rows + b) * pad;",
        "memcpy(ct, kept + (t * batch + b0 + b) * n, (size_t)n * sizeof(F));",
        *code.row("now", f"(state + (t - t0) * {count} * slot)", const=True),
        *(code.loop(_reached(gate, inputs)) if gate else []),
        "if (t + 1 == t1) continue;",
        *code.row("then", f"(state + (t - t0 + 1) * {count} * slot)"),
        *(["expand(ones, bits + (t * batch + b0 + b) * words, n);"] if given else []),
        *code.loop(body(graph, code.program.following, inputs, stores)),
    ]
    return [
        "arrivals(sent + (t - t0) * rows * words, bits, masks, late, kinds, t, batch, b0, rows, words);",
        *(["uint32_t *RESTRICT reach = needed + (t - t0) * pad;"] if gate else []),
        *(["memset(reach, 0, (size_t)pad * 4);"] if gate else []),
        *code.at_step(False),
        *code.each_row(rows, False),
    ]


def _reached(gate: Graph, inputs: dict[str, str]) -> list[str]:
    """Set the sample's bit of every neuron for which a gate is not 0."""
    names = [name for name, _ in gate.outputs]
    return ["int any = 0;", *body(gate, names, inputs, dict.fromkeys(names, "any |= ({} != 0);")),
            "reach[i] |= (uint32_t)any << b;"]  # fmt: skip


def _step_back(code: Code) -> list[str]:
    """What later steps send to the spikes of step t, and the vector-Jacobian product of t."""
    wanted, count = _wanted(code), len(code.states)
    outputs = _outputs(code)
    random = "uniform" in code.program.backward.inputs(outputs)
    inputs = code.inputs("dt[i]", {name: f"now_{k}[i]" for k, name in code.states})
    inputs |= {"cot:spikes": "LOAD(ct[i]) + bt[i]"} | {f"cot:{name}": f"g_{k}[i]" for k, name in code.states}
    stores = {"grad:x": "gt[i] = STORE({0}); dt[i] = {0};"}
    stores |= {f"grad:{name}": f"g_{k}[i] = {{}};" for k, name in code.states}
    stores |= {f"grad:{name}": f"q_{k}[i] += {{}};" for k, name, _ in wanted}
    rows = [
        "F *RESTRICT dt = delta + ((t - t0) * rows + b) * pad;",
        "const F *RESTRICT bt = back + b * pad;",
        "const S *RESTRICT ct = cot + (t * batch + b0 + b) * n;",
        "S *RESTRICT gt = grad_x + (t * batch + b0 + b) * n;",
        *(f"F *RESTRICT q_{k} = q + {place} * pad;" for place, (k, _, _) in enumerate(wanted)),
        *code.row("now", f"(state + (t - t0) * {count} * slot)", const=True),
        *code.row("g", "gs"),
        *code.loop(body(code.program.backward, outputs, inputs, stores)),
    ]
    needed = "needed + (t - t0) * pad" if _gates(code) else "0"
    return [
        "ahead soon[] = {{(const char *)(cot + (t * batch + b0) * n), rows * n * (int64_t)sizeof(S)},",
        "  {(const char *)(kept + ((t - chunk) * batch + b0) * n), t < chunk ? 0 : rows * n * (int64_t)sizeof(F)},",
        "  {0, 0}};",
        "F *now = delta + (t - t0) * rows * pad, *after = t + 1 < t1 ? now + rows * pad : ring;",
        "if (history > 1) sent_later(back, ring, delay, history, t, steps, rows, n, pad, slot);",
        "else if (t + 1 < steps)",
        f"  send_back(back, after, outgoing, incoming, {needed}, rows, n, pad, reach_limit, soon);",
        "else memset(back, 0, (size_t)slot * sizeof(F));",
        *code.at_step(random),
        *code.each_row(rows, random),
        *_flush(code, timed=True),
        "if (history > 1)",
        "  send_back(ring + (t % history) * slot, now, outgoing, incoming, 0, rows, n, pad, 0, 0);",
    ]


def _flush(code: Code, timed: bool) -> list[str]:
    """Add the gradients of coefficients, summed in the type of the arithmetic so far, to sums in double."""
    lines = []
    for place, (k, _, kind) in enumerate(_wanted(code)):
        if kind.timed != timed:
            continue
        row = "(part * steps + t)" if timed else "part"
        target = f"sum_{k}[{row} * n + i]" if kind.spread else f"sum_{k}[{row}]"
        lines.append(f"for (int64_t i = 0; i < n; i++) {target} += (double)q[{place} * pad + i];")
        lines.append(f"memset(q + {place} * pad, 0, (size_t)n * sizeof(F));")
    return lines


def _weight() -> list[str]:
    """The chunk's share of the gradient of Wᵀ, summed per group of blocks; its first delta, for the chunk before."""
    return [
        "if (grad_outgoing) {",
        "  F *grad = grad_outgoing + part * n * pad;",
        "  const int64_t no = t0 || before ? 0 : rows, count = (t1 - t0) * rows - no;",
        "  weight_rows(grad, delta + no * pad, sent + no * words, count, n, pad, weight_limit, ones, columns, list);",
        "  for (int64_t t = t0; before && t < t1 && t < history; t++) {",
        "    arrivals_before(ones, before, delay, history, t, batch, b0, rows, n, pad);",
        "    for (int64_t b = 0; b < rows; b++) for (int64_t j = 0; j < n; j++) if (t <= delay[j])",
        "      for (int64_t i = 0; i < n; i++)",
        "        grad[j * pad + i] += ones[b * pad + j] * delta[((t - t0) * rows + b) * pad + i];",
        "  }",
        "}",
        "if (history == 1) memcpy(ring, delta, (size_t)(rows * pad) * sizeof(F));",
    ]


def _to_before() -> list[str]:
    """The gradients of the spikes before the first step, which arrive within the call."""
    return [
        "for (int64_t h = 0; grad_before && h < history; h++) {",
        "  if (history > 1) sent_later(back, ring, delay, history, h - history, steps, rows, n, pad, slot);",
        "  else send_back(back, ring, outgoing, incoming, 0, rows, n, pad, 0, 0);",
        "  for (int64_t b = 0; b < rows; b++)",
        "    memcpy(grad_before + (h * batch + b0 + b) * n, back + b * pad, (size_t)n * sizeof(F));",
        "}",
    ]
