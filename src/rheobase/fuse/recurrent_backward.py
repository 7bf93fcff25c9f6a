"""C of the recurrent backward kernel; see fuse/recurrent.py for what it does and in which order."""

from __future__ import annotations

import dataclasses

from rheobase.fuse.cprint import body
from rheobase.fuse.cpu import Variant
from rheobase.fuse.recurrent import (
    Code,
    backward_arguments,
    block_head,
    indent,
    kernel,
    load_rows,
    send_before,
    store_rows,
)
from rheobase.fuse.trace import Graph, Node, Program


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
        ("const F", "incoming", "incoming"), ("const S", "cot", "cot:spikes"), ("const uint64_t", "bits", "bits"),
        ("const F", "marks", "marks"), ("S", "grad_x", "grad:x"), ("F", "grad_outgoing", "grad:outgoing"),
        ("F", "grad_before", "grad:before"),
    ):  # fmt: skip
        pointers.append(f"{kind} *{c} = ({kind} *){code.arg(name)};")
    for k, name in code.states:
        pointers.append(f"const F *cot_{k} = (const F *){code.arg(f'cot:{name}')};")
        pointers.append(f"F *grad_{k} = (F *){code.arg(f'grad:{name}')};")
    pointers += [f"double *sum_{k} = (double *){code.arg(f'sum:{name}')};" for k, name, _ in _wanted(code)]
    arrays = [
        *code.arrays(),
        "const int64_t held = steps < chunk ? steps : chunk, slot = block * pad;",
        f"F *delta = numbers(held * slot), *state = numbers(held * {count} * slot);",
        f"F *back = numbers(slot), *gs = numbers({count} * slot), *q = numbers({max(len(_wanted(code)), 1)} * pad);",
        "int64_t *place = (int64_t *)malloc((size_t)(n + 1) * 8);",
        "uint16_t *list = (uint16_t *)malloc((size_t)(held * block * n + 64 * words) * 2);",
    ]
    block = [
        *block_head("g", code),
        "memset(back, 0, (size_t)slot * sizeof(F));",
        *load_rows("gs", "cot", code),
        "for (int64_t c = (steps + chunk - 1) / chunk - 1; c >= 0; c--) {",
        *indent(_chunk(code)),
        "}",
        *store_rows("grad", "gs", code),
        "if (grad_before) for (int64_t b = 0; b < rows; b++) "
        "memcpy(grad_before + (b0 + b) * n, back + b * pad, (size_t)n * sizeof(F));",
    ]
    turn = ["for (int64_t g = part * blocks / groups; g < (part + 1) * blocks / groups; g++) {", *indent(block), "}"]
    before = [*code.common(), *pointers, "huge(grad_x, steps * batch * n * (int64_t)sizeof(S));"]
    free = code.free("delta", "state", "back", "gs", "q", "place", "list")
    return kernel("backward", program, variant, before, arrays, turn, free)


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
    """The currents of step t into `delta`, and the states of step t + 1."""
    graph, given = code.program.forward, code.program.step.random
    graph = _given_spikes(graph) if given else graph
    inputs = code.inputs("ct[i]", {name: f"now_{k}[i]" for k, name in code.states}) | {"spike": "ones[i]"}
    stores = {f"next:{name}": f"then_{k}[i] = {{}};" for k, name in code.states}
    count = len(code.states)
    rows = [
        "const F *RESTRICT ct = cur + b * pad;",
        *code.row("now", f"(state + (t - t0) * {count} * slot)", const=True),
        *code.row("then", f"(state + (t - t0 + 1) * {count} * slot)"),
        *(["expand(ones, bits + (t * batch + b0 + b) * words, n);"] if given else []),
        *code.loop(body(graph, code.program.following, inputs, stores)),
    ]
    return [
        "F *cur = delta + (t - t0) * rows * pad;",
        "const uint64_t *sent = t == 0 ? 0 : bits + ((t - 1) * batch + b0) * words;",
        "currents(cur, x + (t * batch + b0) * n, outgoing, sent, rows, n, pad, limit, ones, list);",
        *send_before(),
        "if (t + 1 == t1) continue;",
        *code.at_step(False),
        *code.each_row(rows, False),
    ]


def _step_back(code: Code) -> list[str]:
    """The vector-Jacobian product of step t, and the gradient it sends to the spikes of step t − 1."""
    wanted, count = _wanted(code), len(code.states)
    outputs = ["grad:x", *(f"grad:{name}" for _, name in code.states), *(f"grad:{name}" for _, name, _ in wanted)]
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
    return [
        *code.at_step(random),
        *code.each_row(rows, random),
        *_flush(code, timed=True),
        "if (t > 0 || grad_before) {",
        "  memset(back, 0, (size_t)slot * sizeof(F));",
        "  product(back, delta + (t - t0) * rows * pad, pad, incoming, rows, n, pad);",
        "}",
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
    """The chunk's share of the gradient of Wᵀ, summed per group of blocks."""
    return [
        "if (grad_outgoing) {",
        "  F *grad = grad_outgoing + part * n * pad;",
        "  const int64_t from = t0 == 0 ? 1 : t0;",
        "  if (t1 > from)",
        "    weight_rows(grad, delta + (from - t0) * rows * pad, bits + ((from - 1) * batch + b0) * words,",
        "                (t1 - from) * rows, rows, batch * words, n, pad, weight_limit, ones, place, list);",
        "  if (t0 == 0 && before)",
        "    for (int64_t b = 0; b < rows; b++) for (int64_t j = 0; j < n; j++) for (int64_t i = 0; i < n; i++)",
        "      grad[j * pad + i] += before[(b0 + b) * n + j] * delta[b * pad + i];",
        "}",
    ]
