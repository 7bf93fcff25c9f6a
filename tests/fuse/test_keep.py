"""What the backward pass keeps of recomputing: enough, the fewest bytes, and nothing costly twice."""

import itertools

import pytest
import torch

from rheobase.fuse.cpu import Kind, Variant, backward_outputs
from rheobase.fuse.keep import COSTLY, joined, kept, shared, size, ungraded
from rheobase.fuse.program import Graph
from tests import subjects

FUSED = [name for name in subjects.MAKERS if subjects.subject(name).fused]


def programs(name: str):
    """Both programs of a neuron with the outputs that count, and the names of what varies from step to step."""
    neuron = subjects.subject(name).neuron()
    program = neuron.program()
    kinds = tuple(Kind(wanted=getattr(value, "requires_grad", False)) for value in neuron.coefficients().values())
    gradients = backward_outputs(program, Variant("float32", kinds))
    forward, backward = (program.forward, ["s", *program.following]), (program.backward, gradients)
    return forward, backward, {"x", *program.step.states}


def enough(graph: Graph, outputs: list[str], given: set[int], same: dict[int, int], varying: set[str]) -> bool:
    """Whether the outputs follow from the given nodes without x, the states, or a costly function done before."""
    for n in graph.needed(outputs, given):
        node = graph.nodes[n]
        again = n in same and node.op in COSTLY
        if n not in given and (again or (node.op == "input" and node.args[0] in varying)):
            return False
    return True


def smaller(graph: Graph, nodes: list[int], limit: int):
    """Sets of the nodes whose values take fewer bytes than the limit; not those to which another truth value fits."""
    numbers, truths = ([n for n in nodes if graph.nodes[n].truth == truth] for truth in (False, True))
    for count in range(-(-limit // 4)):
        room = min(limit - 1 - 4 * count, len(truths))
        for some in itertools.combinations(numbers, count):
            yield from ({*some, *more} for more in itertools.combinations(truths, room))


@pytest.mark.parametrize("name", FUSED)
def test_what_is_kept_is_enough_and_the_fewest_bytes(name):
    forward, backward, varying = programs(name)
    graph, outputs = backward
    same, computable = shared(forward, backward), ungraded(graph, outputs)
    found = kept(forward, backward, varying)
    assert set(found) <= computable.keys() and enough(graph, outputs, set(found), same, varying)
    bytes_kept = sum(size(graph.nodes[n]) for n in found)
    others = smaller(graph, list(computable), bytes_kept)
    assert not any(enough(graph, outputs, given, same, varying) for given in others)


def test_lif_keeps_one_byte_per_step():
    forward, backward, varying = programs("lif")
    (number,) = kept(forward, backward, varying)
    node = backward[0].nodes[number]
    assert (node.op, node.args[1], size(node)) == ("le", 0.5, 1)  # |u - threshold| within the window


def test_the_recomputing_program_hands_over_what_is_kept():
    """Run on numbers, it gives the values that the backward program has at the nodes that are kept."""
    for name in FUSED:
        forward, backward, varying = programs(name)
        found = kept(forward, backward, varying)
        again = joined(forward[0], backward[0], found)
        values = {name: 0.1 + 0.37 * k for k, name in enumerate(sorted(again.inputs(dict(again.outputs))))}
        for k, n in enumerate(found):
            there = Graph(backward[0].nodes, (("kept", n),))
            assert evaluate(again, f"kept:{k}", values) == evaluate(there, "kept", values), (name, k)


def evaluate(graph: Graph, output: str, inputs: dict[str, float]) -> float:
    """The value of an output, by torch on numbers."""
    found: dict[int, torch.Tensor] = {}
    for n in graph.needed([output]):
        node = graph.nodes[n]
        args = [found[a] if isinstance(a, int) else torch.tensor(a) for a in node.args if not isinstance(a, str)]
        found[n] = torch.tensor(inputs[str(node.args[0])]) if node.op == "input" else apply(node.op, args)
    return float(found[graph.output(output)])  # type: ignore[index]


def apply(op: str, args: list[torch.Tensor]) -> torch.Tensor:
    if op == "number":
        return args[0].float()
    return getattr(torch, f"logical_{op}" if op in ("and", "or", "not") else op)(*args)


def test_the_shared_part_is_found_by_what_is_computed():
    """Equal names at other numbers pair up; the same operation on other arguments does not."""
    forward, backward, _ = programs("clif")
    for n, m in shared(forward, backward).items():
        assert backward[0].nodes[n].op == forward[0].nodes[m].op
    swapped = Graph(tuple(forward[0].nodes), forward[0].outputs)
    assert shared((swapped, forward[1]), forward) == {n: n for n in forward[0].needed(forward[1])}
