"""The backward pass of the fused CPU kernel: states computed again, the vector-Jacobian product in C.

It keeps nothing but x and the initial states: it runs at most CHUNK steps again and writes what the way back needs of
them into scratch (fuse/keep.py), with a checkpoint of the states every CHUNK steps beyond.
"""

from __future__ import annotations

from rheobase.fuse.cprint import staged
from rheobase.fuse.cpu import (
    AHEAD,
    APART,
    COMMON,
    WIDEST,
    Code,
    Variant,
    backward_outputs,
    coefficient_arguments,
    indent,
    kernel_text,
    load_lanes,
)
from rheobase.fuse.program import Program


def backward_arguments(program: Program) -> list[str]:
    """Names of the backward kernel's arguments."""
    step = program.step
    states = [f"{side}:{name}" for name in step.states for side in ("first", "cot", "grad")]
    grads = [f"grad:{name}" for name in step.coefficients]
    return [*COMMON, "uniform", "cot:spikes", "grad:x", "partial", *coefficient_arguments(program), *grads, *states]


def scratch_bytes(program: Program, variant: Variant, steps: int) -> int:
    """What the backward kernel allocates per thread for a call of `steps` steps."""
    code, states = Code(program, variant), len(program.step.states)
    size, (numbers, flags) = 8 if variant.dtype == "float64" else 4, code.rows
    marks = -(-steps // code.chunk) * states * size
    return (min(steps, code.chunk) * (numbers * size + flags) + marks) * (WIDEST + 16)


def backward_source(program: Program, variant: Variant) -> str:
    """C of the backward kernel: recompute a chunk of states, then run the vector-Jacobian product backwards."""
    code = Code(program, variant)
    code.place = {name: i for i, name in enumerate(backward_arguments(program))}
    states, count = list(enumerate(program.step.states)), len(program.step.states)
    wanted = [(k, name, kind) for k, (name, kind) in enumerate(code.coefficients) if kind.wanted]
    pointers = ["const S *cot = (const S *)" + code.arg("cot:spikes") + ";", f"S *grad_x = (S *){code.arg('grad:x')};"]
    timed = any(kind.timed for _, _, kind in wanted)
    span = "steps" if timed else "1"
    pointers += [f"double *partial = (double *){code.arg('partial')};", f"const int64_t span = {span};"]
    for k, name in states:
        pointers += [f"const F *first_{k} = (const F *){code.arg(f'first:{name}')};"]
        pointers += [f"const F *cot_{k} = (const F *){code.arg(f'cot:{name}')};"]
        pointers += [f"F *grad_{k} = (F *){code.arg(f'grad:{name}')};"]
    pointers += [f"F *sum_{k} = (F *){code.arg(f'grad:{name}')};" for k, name, kind in wanted if kind.spread]
    arrays = [f"F {side}_{k}[{APART}] __attribute__((aligned(64)));" for k, _ in states for side in "vg"] + code.lanes()
    sums = [k for k, _, kind in wanted if not (kind.spread and kind.timed)]
    arrays += [f"F q_{k}[{APART}] __attribute__((aligned(64)));" for k in sums]
    chunk, (rows, flags) = code.chunk, code.rows
    arrays += [
        "const int64_t pitch = width + 16;",
        f"const int64_t most = steps < {chunk} ? steps : {chunk}, chunks = (steps + {chunk - 1}) / {chunk};",
        f"const int64_t numbers = (most * {rows} + chunks * {count}) * pitch;",
        f"F *scratch = (F *)aligned_alloc(64, (size_t)((numbers * (int64_t)sizeof(F) + most * {flags} * pitch + 127) & "
        "~(int64_t)63));",
        f"F *marks = scratch + most * {rows} * pitch;",
        "unsigned char *flags = (unsigned char *)(scratch + numbers);",
    ]
    inner = [*code.block(), *_backward_block(code, wanted)]
    lines, end = [*code.common(), *pointers], _reduce(code, wanted, timed)
    return kernel_text("backward", code, "grad:x", lines, arrays, inner, after=["free(scratch);"], end=end)


def _reduce(code: Code, wanted: list, timed: bool) -> list[str]:
    """Sum over blocks in float64 and in order, whatever the number of threads; results lie at the front of each row."""
    steps, partial = code.arg("steps"), code.arg("partial")
    span = steps if timed else "1"
    return [
        f"add_up((double *){partial} + {place} * {span} * blocks, {span if kind.timed else '1'}, blocks);"
        for place, (_, _, kind) in enumerate(wanted)
        if not kind.spread
    ]


def _backward_block(code: Code, wanted: list) -> list[str]:
    """All chunks of one block, last to first."""
    states, count = list(enumerate(code.states)), len(code.states)
    zero = [f"memset(q_{k}, 0, (size_t)n * sizeof(F));" for k, _, kind in wanted if not kind.timed]
    lines = [*zero]
    for k, _ in states:
        lines.append(load_lanes(f"g_{k}", f"cot_{k}"))
        lines.append(f"if (first_{k}) memcpy(marks + {k} * pitch, first_{k} + m, (size_t)n * sizeof(F));")
        lines.append(f"else memset(marks + {k} * pitch, 0, (size_t)n * sizeof(F));")
    chunk, (rows, flags) = code.chunk, code.rows
    at_step = ["const S *RESTRICT xt = xb + t * x_step;", AHEAD, *code.at_step()]
    copy = "memcpy({}, {}, (size_t)n * sizeof(F));"
    load = [copy.format(f"v_{k}", f"marks + (c * {count} + {k}) * pitch") for k, _ in states]
    save = [copy.format(f"marks + ((c + 1) * {count} + {k}) * pitch", f"v_{k}") for k, _ in states]
    mark = [
        *load,
        f"for (int64_t t = c * {chunk}; t < (c + 1) * {chunk}; t++) {{",
        *indent([*at_step, *code.run_step(keep=False)]),
        "}",
        *save,
    ]
    fill = [
        f"const int64_t t0 = c * {chunk}, t1 = steps < t0 + {chunk} ? steps : t0 + {chunk};",
        *load,
        "for (int64_t t = t1 - 1; t >= t0 && t >= t1 - 2; t--) fetch(cot + t * total + m, n);",
        "for (int64_t t = t0; t < t1; t++) {",
        f"  F *RESTRICT held = scratch + (t - t0) * {rows} * pitch;",
        f"  unsigned char *RESTRICT flag = flags + (t - t0) * {flags} * pitch;",
        *indent([*at_step, *code.run_step(keep=True)]),
        "}",
        "for (int64_t t = t1 - 1; t >= t0; t--) {",
        *indent(_backward_step(code, wanted)),
        "}",
    ]
    lines += ["for (int64_t c = 0; c + 1 < chunks; c++) {", *indent(mark), "}"] if count else []
    lines += ["for (int64_t c = chunks - 1; c >= 0; c--) {", *indent(fill), "}"]
    lines += [f"if (grad_{k}) memcpy(grad_{k} + m, g_{k}, (size_t)n * sizeof(F));" for k, _ in states]
    for place, (k, _, kind) in enumerate(wanted):
        if kind.spread and not kind.timed:
            lines.append(f"memcpy(sum_{k} + m, q_{k}, (size_t)n * sizeof(F));")
        elif not kind.timed:
            lines.append(f"partial[{place} * span * blocks + b] = sum_of(q_{k}, n);")
    return lines


def _backward_step(code: Code, wanted: list) -> list[str]:
    """One step of the vector-Jacobian product over the lanes of a block."""
    states = list(enumerate(code.states))
    inputs = code.inputs({name: f"v_{k}[i]" for k, name in states})  # not read: what is needed of them is held
    inputs |= {"cot:spikes": "LOAD(ct[i])"} | {f"cot:{name}": f"g_{k}[i]" for k, name in states}
    stores = {"grad:x": "gt[i] = STORE({});"} | {f"grad:{name}": f"g_{k}[i] = {{}};" for k, name in states}
    sums = []
    for place, (k, name, kind) in enumerate(wanted):
        if kind.spread and kind.timed:
            stores[f"grad:{name}"] = f"sum_{k}[t * total + m + i] = {{}};"
        elif kind.timed:
            stores[f"grad:{name}"] = f"q_{k}[i] = {{}};"
            sums.append(f"partial[({place} * span + t) * blocks + b] = sum_of(q_{k}, n);")
        else:
            stores[f"grad:{name}"] = f"q_{k}[i] += {{}};"
    given, (rows, flags) = code.kept, code.rows
    outputs = backward_outputs(code.program, code.variant)
    graph = code.program.backward
    needed = {graph.nodes[n].args[0] for n in graph.needed(outputs, given) if graph.nodes[n].op == "input"}
    loops = code.loops(staged(code.program.backward, outputs, inputs, stores, given))
    return [
        f"const F *RESTRICT held = scratch + (t - t0) * {rows} * pitch;",
        f"const unsigned char *RESTRICT flag = flags + (t - t0) * {flags} * pitch;",
        "const S *RESTRICT xt = xb + t * x_step;",
        "const S *RESTRICT ct = cot + t * total + m;",
        "S *RESTRICT gt = stream ? out : grad_x + t * total + m;",
        "if (t >= 2) {",
        "  fetch(ct - 2 * total, n);",
        "  if (!stream && steps >= 16) fetch_to_write(gt - 2 * total, n);",
        "}",
        *code.at_step(draws="uniform" in needed),
        *loops,
        "if (stream) stream_out(grad_x + t * total + m, out, (size_t)n * sizeof(S));",
        *sums,
    ]
