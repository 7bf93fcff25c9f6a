"""What `rheobase show NAME` prints: a neuron's equations, scalar programs, costs and generated kernels."""

from __future__ import annotations

import dataclasses
import inspect

import torch

from rheobase import neurons
from rheobase.fuse import cpu, cpu_backward, gpu, gpu_source
from rheobase.fuse.launch import DTYPES
from rheobase.fuse.program import Graph, Node, Program
from rheobase.neurons import Neuron
from rheobase.neurons.named import split

SIGNS = {
    "add": "{0} + {1}", "sub": "{0} − {1}", "mul": "{0} · {1}", "div": "{0} / {1}", "neg": "−{0}",
    "reciprocal": "1/{0}",
    "ge": "[{0} ≥ {1}]", "gt": "[{0} > {1}]", "le": "[{0} ≤ {1}]", "lt": "[{0} < {1}]", "number": "{0}", "abs": "|{0}|",
    "where": "{1} if {0} else {2}", "maximum": "max({0}, {1})", "minimum": "min({0}, {1})", "sigmoid": "σ({0})",
}  # fmt: skip


def from_spec(spec: str, steps: int = 4) -> Neuron:
    """A neuron written as `name:option=value:option=value`; `steps` goes to those that are made for a number of steps.

    Errors: ValueError and TypeError for unknown names and options.
    """
    name, options = split(spec)
    kind = neurons.kind(name)
    needed = inspect.signature(kind).parameters.get("steps")
    made_for = {"steps": steps} if needed is not None and needed.default in (needed.empty, None) else {}
    return neurons.create(name, **{**made_for, **options})


@dataclasses.dataclass(frozen=True)
class Costs:
    """Per neuron and step, in elementary operations and bytes."""

    forward_operations: dict[str, int]
    backward_operations: dict[str, int]
    saved: dict[str, int]
    moved_forward: int
    moved_backward: int
    scratch: int


def costs(neuron: Neuron) -> Costs:
    """Operations (counted from the traced programs), bytes saved and moved per element-step, scratch per thread."""
    program = neuron.program()
    variant = default_variant(neuron)
    forward = program.forward.operations(["s", *program.following])
    backward = program.backward.operations(cpu.backward_outputs(program, variant))
    saved = {name: torch.empty(0, dtype=dtype).element_size() for dtype, name in DTYPES.items()}
    scratch = cpu_backward.scratch_bytes(program, variant, 784)
    return Costs(dict(forward), dict(backward), saved, 8, 12, scratch)


def default_variant(neuron: Neuron) -> cpu.Variant:
    """The kernels' variant for float32 input, with the gradients that this neuron's parameters ask for."""
    kinds = []
    for name, value in neuron.coefficients().items():
        tensor = isinstance(value, torch.Tensor)
        timed = name in neuron.timed
        spread = tensor and value.dim() > int(timed)  # type: ignore[union-attr]
        kinds.append(cpu.Kind(spread, timed, tensor and value.requires_grad))  # type: ignore[union-attr]
    return cpu.Variant("float32", tuple(kinds), neuron.random)


def equations(graph: Graph, outputs: list[str]) -> list[str]:
    """A scalar program as lines, one per operation, in readable signs."""
    names: dict[int, str] = {}
    lines = []
    for number in graph.needed(outputs):
        node: Node = graph.nodes[number]
        if node.op == "input":
            names[number] = str(node.args[0]).replace("cot:", "∂")
            continue
        arguments = [names[a] if isinstance(a, int) else f"{a:g}" for a in node.args]  # type: ignore[str-bytes-safe]
        text = SIGNS.get(node.op, node.op + "({0})").format(*arguments)
        if node.op == "number":
            names[number] = text
            continue
        names[number] = f"n{number}"
        lines.append(f"n{number} = {text}")
    for name in outputs:
        value = graph.output(name)
        label = name.replace("next:", "").replace("grad:", "∂") + ("'" if name.startswith("next:") else "")
        lines.append(f"{label} = {names[value] if isinstance(value, int) else value}")
    return lines


def kernels(neuron: Neuron) -> dict[str, str]:
    """Generated source by title: C and Triton, forward and backward."""
    program, variant = neuron.program(), default_variant(neuron)
    on_gpu = gpu_source.Variant.like(variant)
    return {
        "C, forward": cpu.forward_source(program, variant),
        "C, backward": cpu_backward.backward_source(program, variant),
        "Triton, forward": gpu_source.forward_source(program, on_gpu),
        "Triton, backward": gpu_source.backward_source(program, on_gpu),
    }


def card(neuron: Neuron, code: bool = False) -> str:
    """Everything about one neuron as text; `code` adds the generated kernels."""
    kind = type(neuron)
    parts = [kind.__name__, "=" * len(kind.__name__), inspect.cleandoc(kind.__doc__ or "(no docstring)")]
    parts += ["", f"states: {', '.join(neuron.states) or 'none'}"]
    learned = [f"{name} {tuple(p.shape)}" for name, p in neuron.named_parameters()]
    parts += [f"learnable: {', '.join(learned) or 'nothing'}", f"settings: {neuron.extra_repr()}"]
    if not neuron.fused:
        return "\n".join([*parts, "", "This neuron sets fused = False: it runs eager on every backend."])
    program: Program = neuron.program()
    cost = costs(neuron)
    gradients = cpu.backward_outputs(program, default_variant(neuron))
    parts += ["", "One step", "--------", *equations(program.forward, ["s", *program.following])]
    parts += ["", "Its vector-Jacobian product (∂ is dL/d)", "---", *equations(program.backward, gradients)]
    parts += ["", "Cost per neuron and step", "---"]
    parts += [f"forward   {_counts(cost.forward_operations)}", f"backward  {_counts(cost.backward_operations)}"]
    parts += [f"saved for backward: x, {', '.join(f'{n} bytes in {t}' for t, n in cost.saved.items())}; states: none"]
    parts += [f"moved in float32: {cost.moved_forward} bytes forward, {cost.moved_backward} backward"]
    parts += [f"scratch of the backward pass: {cost.scratch / 2**20:.2f} MiB per thread at T=784 on the CPU,"]
    parts += [f"{gpu.scratch_bytes(program, 784, 1)} bytes per neuron at T=784 on a GPU"]
    if code:
        for title, source in kernels(neuron).items():
            parts += ["", title, "-" * len(title), source]
    return "\n".join(parts)


def _counts(operations: dict[str, int]) -> str:
    body = ", ".join(f"{n} {op}" for op, n in sorted(operations.items(), key=lambda item: -item[1]))
    return f"{sum(operations.values())} operations: {body}"
