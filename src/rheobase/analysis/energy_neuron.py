"""What one step of one neuron costs, counted from the traced definition of its step."""

from __future__ import annotations

import torch

from rheobase.analysis.energy_prices import Cost
from rheobase.fuse.program import Graph, Node, Value
from rheobase.neurons import PSN, Neuron

# (multiplications, additions). Functions as the CPU kernels compute them in float32 (fuse/cprint.py): range reduction
# and a polynomial; a division as a table's reciprocal, two Newton steps and one product.
DIVIDE = (5, 4)
EXP = (11, 10)
FUNCTIONS = {
    "div": DIVIDE, "reciprocal": (4, 4), "sqrt": DIVIDE, "exp": EXP, "log": (14, 13),
    "sigmoid": (10 + DIVIDE[0], 11 + DIVIDE[1]), "tanh": (19 + DIVIDE[0], 17 + DIVIDE[1]),
}  # fmt: skip
FREE = {"number", "neg", "abs", "sgn", "and", "or", "not", "where", "relu"}  # signs, and choices between two numbers
COMPARE = {"ge", "gt", "le", "lt", "eq", "ne"}
PHILOX = (5, 5)  # per random number: ten rounds of two products for four numbers


def operations(neuron: Neuron, steps: float = 1.0) -> Cost:
    """ACs and MACs of one neuron in one step, for any neuron of the package or of a user.

    Math: from the step's scalar program (`rheobase show NEURON`): add, sub, minimum, maximum and comparisons of two
    numbers are additions; mul is a multiplication, and nothing where one factor is a truth value such as the spike,
    which only chooses; functions by the table above (others like exp). Every multiplication is a MAC and takes one
    addition with it; the additions left over are ACs. Random neurons draw a number each (Philox4x32-10).
    `steps` is T, for PSN, whose step is a row of a T x T matrix.
    Errors: ValueError for another neuron that is not traced (`fused = False`).
    """
    if isinstance(neuron, PSN):
        return _parallel(neuron, round(steps))
    if not neuron.fused:
        raise ValueError(
            f"energy: {type(neuron).__name__} sets fused = False, so there is no traced step to count. Choose another "
            "convention than 'definition'."
        )
    graph, following = neuron.program().forward, neuron.program().following
    found = [_price(graph, graph.nodes[n]) for n in graph.needed(["s", *following])]
    found += [PHILOX] if neuron.random else []
    return _paired(sum(mul for mul, _ in found), sum(add for _, add in found))


def multiplications(neuron: Neuron, steps: float = 1.0) -> float:
    """What the papers would count per neuron and step: multiplications and functions of its step, one MAC each.

    DA-LIF's 2 is found so; CLIF's paper counts 4 for CLIF (here 5) and 0 for LIF (here 1), ILIF's 2 for ILIF (here 4).
    Errors: as `operations`.
    """
    if isinstance(neuron, PSN) or not neuron.fused:
        return operations(neuron, steps).macs
    graph, following = neuron.program().forward, neuron.program().following
    return float(sum(_price(graph, graph.nodes[n])[0] > 0 for n in graph.needed(["s", *following])))


def _price(graph: Graph, node: Node) -> tuple[int, int]:
    """(multiplications, additions) of one operation."""
    arguments: tuple[Value, ...] = () if node.op == "input" else node.args  # type: ignore[assignment]
    if node.op == "input" or node.op in FREE:
        return 0, 0
    if node.op == "mul":
        return (0, 0) if any(_chooses(graph, value) for value in arguments) else (1, 0)
    if node.op in COMPARE:
        return 0, int(not any(isinstance(value, float) and value == 0 for value in arguments))  # with 0: the sign
    if node.op in ("add", "sub", "maximum", "minimum"):
        return 0, 1
    return FUNCTIONS.get(node.op, EXP)


def _chooses(graph: Graph, value: Value) -> bool:
    """Whether it is a truth value, also as a number or subtracted from 1."""
    if not isinstance(value, int):
        return False
    node = graph.nodes[value]
    if node.op == "sub" and node.args[0] == 1.0:
        return _chooses(graph, node.args[1])  # type: ignore[arg-type]
    return node.truth or (node.op == "number" and graph.nodes[node.args[0]].truth)  # type: ignore[index]


def _parallel(neuron: PSN, steps: int) -> Cost:
    """A row of the matrix over time, and the bias."""
    products = float(torch.count_nonzero(neuron.matrix(steps).detach())) / steps
    return _paired(products, products)


def _paired(multiplications: float, additions: float) -> Cost:
    return Cost(acs=max(0.0, additions - multiplications), macs=float(multiplications))
