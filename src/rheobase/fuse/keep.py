"""What the backward pass keeps of recomputing the steps: the fewest bytes per step that it can go on from.

Part of the backward program needs no gradient: it repeats the step (u, σ(u), ...) or leads on from it (the surrogate's
window around the threshold). A minimum cut of that part, between x and the states on one side and what depends on
gradients on the other, is the smallest set of values to hand over; a number counts four bytes, a truth value one.
Costly functions of the step stand on the side of x: they are never computed twice. For a LIF neuron with soft reset and
Rectangle the cut is whether |u − θ| lies within the window, one byte.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

from rheobase.fuse.program import Graph, Node

COSTLY = {"exp", "log", "sigmoid", "tanh", "sqrt", "div", "reciprocal", "sin", "cos", "atan", "erf", "log1p", "expm1"}
ENDLESS = 1 << 30

Point = tuple[int, str]  # a node's entry or exit; the two ends of the graph
START, END = (-1, "start"), (-1, "end")


def kept(first: tuple[Graph, Sequence[str]], second: tuple[Graph, Sequence[str]], varying: Iterable[str]) -> list[int]:
    """The second graph's nodes whose values recomputing the first hands to it.

    Each graph comes with the names of the outputs that count; `varying` names the inputs that change from step to step.
    """
    graph, varying, known = second[0], set(varying), ungraded(*second)
    costly = {n for n in shared(first, second) if graph.nodes[n].op in COSTLY}
    ends = {value for value in map(graph.output, second[1]) if isinstance(value, int)}
    ends |= {a for n in graph.needed(second[1]) if n not in known for a in graph.arguments(n)}
    room: dict[Point, dict[Point, int]] = {START: {}, END: {}}
    for n in known:
        node = graph.nodes[n]
        starts = n in costly or (node.op == "input" and node.args[0] in varying)
        room[n, "in"], room[n, "out"] = {(n, "out"): size(node)}, {}
        for a in () if starts else graph.arguments(n):
            room[a, "out"][n, "in"] = ENDLESS
        if starts:
            room[START][n, "in"] = ENDLESS
        if n in ends:
            room[n, "out"][END] = ENDLESS
    behind = _behind_cut(room)
    return [n for n in known if (n, "out") in behind and (n, "in") not in behind]


def size(node: Node) -> int:
    """What keeping a node's value takes, in bytes."""
    return 1 if node.truth else 4


def ungraded(graph: Graph, names: Sequence[str]) -> dict[int, None]:
    """Nodes of a backward program, in order, that the named outputs need and that depend on no cotangent."""
    found: dict[int, None] = {}
    for n in graph.needed(names):
        node = graph.nodes[n]
        if all(a in found for a in graph.arguments(n)) and not (node.op == "input" and str(node.args[0])[:4] == "cot:"):
            found[n] = None
    return found


def joined(first: Graph, second: Graph, wanted: Sequence[int]) -> Graph:
    """The first graph with what it lacks to compute the wanted nodes of the second: outputs `kept:0`, `kept:1`, ..."""
    nodes, place = list(first.nodes), {}
    known = {(node.op, *map(repr, node.args)): n for n, node in enumerate(nodes)}
    for n in second.leading_to(wanted):
        node = second.nodes[n]
        args = tuple(place[a] if isinstance(a, int) else a for a in node.args)
        place[n] = known.setdefault((node.op, *map(repr, args)), len(nodes))
        if place[n] == len(nodes):
            nodes.append(dataclasses.replace(node, args=args))
    return Graph(tuple(nodes), first.outputs + tuple((f"kept:{k}", place[n]) for k, n in enumerate(wanted)))


def shared(first: tuple[Graph, Sequence[str]], second: tuple[Graph, Sequence[str]]) -> dict[int, int]:
    """Nodes of the second graph that compute the same as one of the first: its number there by their number here."""
    table: dict[tuple, int] = {}

    def numbered(graph: Graph, names: Sequence[str]) -> dict[int, int]:
        same: dict[int, int] = {}
        for n in graph.needed(names):
            node = graph.nodes[n]
            arguments = tuple(("node", same[a]) if isinstance(a, int) else repr(a) for a in node.args)
            same[n] = table.setdefault((node.op, arguments), len(table))
        return same

    one, other = numbered(*first), numbered(*second)
    found = {value: n for n, value in one.items()}
    return {n: found[value] for n, value in other.items() if value in found}


def _behind_cut(room: dict[Point, dict[Point, int]]) -> set[Point]:
    """Fill the graph with flow, and return the points from which more could still reach the end."""
    while (path := _path(room)) is not None:
        for a, b in itertools.pairwise(path):
            room[a][b] -= 1
            room[b][a] = room[b].get(a, 0) + 1
    behind, grown = {END}, True
    while grown:
        more = {a for a, onward in room.items() if any(left > 0 and b in behind for b, left in onward.items())}
        grown = not more <= behind
        behind |= more
    return behind


def _path(room: dict[Point, dict[Point, int]]) -> list[Point] | None:
    """A way from start to end with room on every edge."""
    came: dict[Point, Point] = {START: START}
    queue = [START]
    for point in queue:
        for onward, left in room[point].items():
            if left > 0 and onward not in came:
                came[onward] = point
                queue.append(onward)
    if END not in came:
        return None
    path = [END]
    while path[-1] != START:
        path.append(came[path[-1]])
    return path[::-1]
