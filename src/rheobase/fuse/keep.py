"""What the backward pass keeps of recomputing the steps: the fewest values per step that it can go on from.

The backward program repeats part of the forward program (u, σ(u), ...) on x and the states. A minimum cut of that part,
between x and the states on one side and what only the backward program computes on the other, is the smallest set of
values to hand over. Costly functions stand on the side of x: they are never computed twice. For a LIF neuron with soft
reset the cut is u − θ alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from rheobase.fuse.trace import Graph

COSTLY = {"exp", "log", "sigmoid", "tanh", "sqrt", "div", "reciprocal", "sin", "cos", "atan", "erf", "log1p", "expm1"}
ENDLESS = 1 << 30

Point = tuple[int, str]  # a node's entry or exit; the two ends of the graph
START, END = (-1, "start"), (-1, "end")


def kept(
    first: tuple[Graph, Sequence[str]], second: tuple[Graph, Sequence[str]], varying: Iterable[str]
) -> list[tuple[int, int]]:
    """Nodes whose values go from the first graph to the second, as their numbers in either.

    Each graph comes with the names of the outputs that count; `varying` names the inputs that change from step to step.
    """
    same, graph, varying = shared(first, second), second[0], set(varying)
    needed = graph.needed(second[1])
    ends = {value for value in map(graph.output, second[1]) if isinstance(value, int)}
    ends |= {a for n in needed if n not in same for a in graph.nodes[n].args if isinstance(a, int)}
    room: dict[Point, dict[Point, int]] = {START: {}, END: {}}
    for n in same:
        node = graph.nodes[n]
        starts = node.op in COSTLY or (node.op == "input" and node.args[0] in varying)
        room[n, "in"], room[n, "out"] = {(n, "out"): ENDLESS if node.truth else 1}, {}
        for a in node.args:
            if isinstance(a, int) and not starts:
                room[a, "out"][n, "in"] = ENDLESS
        if starts:
            room[START][n, "in"] = ENDLESS
        if n in ends:
            room[n, "out"][END] = ENDLESS
    behind = _behind_cut(room)
    return [(same[n], n) for n in same if (n, "out") in behind and (n, "in") not in behind]


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
