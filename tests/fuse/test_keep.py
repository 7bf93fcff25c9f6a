"""What the backward pass keeps of recomputing: enough, the fewest, and nothing costly twice."""

import itertools

import pytest

from rheobase.fuse.cpu import Kind, Variant, backward_outputs
from rheobase.fuse.keep import COSTLY, kept, shared
from rheobase.fuse.trace import Graph
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
        if n not in given and n in same and (node.op in COSTLY or (node.op == "input" and node.args[0] in varying)):
            return False
    return True


@pytest.mark.parametrize("name", FUSED)
def test_what_is_kept_is_enough_and_the_fewest(name):
    forward, backward, varying = programs(name)
    graph, outputs = backward
    same = shared(forward, backward)
    found = {n for _, n in kept(forward, backward, varying)}
    assert found <= same.keys() and enough(graph, outputs, found, same, varying)
    numbers = [n for n in same if not graph.nodes[n].truth]
    fewer = itertools.combinations(numbers, len(found) - 1)
    assert not any(enough(graph, outputs, set(others), same, varying) for others in fewer)


def test_lif_keeps_one_number_per_step():
    forward, backward, varying = programs("lif")
    ((_, number),) = kept(forward, backward, varying)
    assert backward[0].nodes[number].op == "sub"  # u - threshold


def test_the_shared_part_is_found_by_what_is_computed():
    """Equal names at other numbers pair up; the same operation on other arguments does not."""
    forward, backward, _ = programs("clif")
    for n, m in shared(forward, backward).items():
        assert backward[0].nodes[n].op == forward[0].nodes[m].op
    swapped = Graph(tuple(forward[0].nodes), forward[0].outputs)
    assert shared((swapped, forward[1]), forward) == {n: n for n in forward[0].needed(forward[1])}
