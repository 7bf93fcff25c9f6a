"""Where a compact surrogate is 0, no gradient of a spike is needed: finds the factors that decide it, in the program.

A spike's cotangent, `cot:spikes`, runs through sums and products of the traced backward program. Where every one of its
ways to a gradient passes a factor that can be 0 exactly (a comparison as a number, what lies behind a clamp at 0) and
does not depend on cotangents, then for a neuron whose factors are all 0 the cotangent changes nothing, and the part of
it that comes from the next step through the weight need not be computed.
"""

from __future__ import annotations

from collections.abc import Iterable

from rheobase.fuse.program import Graph, Program, Value


def gates(program: Program, outputs: Iterable[str]) -> Graph | None:
    """The factors, as a program with outputs `gate:0`, ...; None where the cotangent of a spike is always needed."""
    graph, wanted = program.backward, list(outputs)
    carried, moving, found = set(), set(), []  # nodes that carry a share of cot:spikes; that depend on any cotangent
    for number in graph.needed(wanted):
        node = graph.nodes[number]
        arguments = [a for a in node.args if isinstance(a, int)]
        shares = [a for a in arguments if a in carried]
        if node.op == "input" and str(node.args[0]).startswith("cot:"):
            moving.add(number)
            carried |= {number} if node.args[0] == "cot:spikes" else set()
        elif any(a in moving for a in arguments):
            moving.add(number)
        if node.op == "mul" and len(shares) == 1:
            factor = node.args[1] if node.args[0] == shares[0] else node.args[0]
            if isinstance(factor, int) and factor not in moving and _can_vanish(graph, factor):
                found.append(factor)
            else:
                carried.add(number)
        elif shares:
            carried.add(number)
    if any(graph.output(name) in carried for name in wanted):
        return None
    gate = Graph(graph.nodes, tuple((f"gate:{k}", factor) for k, factor in enumerate(found)))
    return None if "uniform" in gate.inputs([name for name, _ in gate.outputs]) else gate


def _can_vanish(graph: Graph, value: Value | str) -> bool:
    """Whether a value is 0 on more than single points, as far as its last operations tell."""
    if not isinstance(value, int):
        return value == 0.0
    node = graph.nodes[value]
    if node.op == "mul":
        return any(_can_vanish(graph, a) for a in node.args)
    if node.op in ("maximum", "minimum", "where"):
        return any(a == 0.0 for a in node.args if isinstance(a, float))
    return node.op in ("number", "relu")
