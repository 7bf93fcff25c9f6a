"""What a step becomes: scalar programs, graphs of elementwise operations on numbers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from rheobase.fuse.step import Step

Value = int | float  # an int is the number of a node, a float is a literal


@dataclasses.dataclass(frozen=True, eq=False)
class Node:
    """One operation on numbers: its name here, its arguments, and whether its result is a truth value.

    Compare nodes as text: to Python node 1 equals the number 1.0, 0.0 equals −0.0, and NaN differs from itself.
    """

    op: str
    args: tuple[Value | str, ...]
    truth: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Graph:
    """A scalar program: nodes in order, and the node (or literal) of every named output."""

    nodes: tuple[Node, ...]
    outputs: tuple[tuple[str, Value], ...]

    def needed(self, names: Iterable[str], given: Collection[int] = ()) -> list[int]:
        """Numbers of the nodes that the named outputs depend on, in order; not what `given` nodes depend on."""
        wanted = set(names)
        return self.leading_to((value for name, value in self.outputs if name in wanted), given)

    def leading_to(self, values: Iterable[Value], given: Collection[int] = ()) -> list[int]:
        """Numbers of the nodes among the values and of those that they depend on, in order."""
        keep: set[int] = set()
        stack = list(values)
        while stack:
            value = stack.pop()
            if isinstance(value, int) and value not in keep:
                keep.add(value)
                if value not in given:
                    stack.extend(self.arguments(value))
        return sorted(keep)

    def arguments(self, number: int) -> list[int]:
        """Numbers of the nodes that a node takes."""
        return [arg for arg in self.nodes[number].args if isinstance(arg, int)]

    def output(self, name: str) -> Value:
        return dict(self.outputs)[name]

    def inputs(self, names: Iterable[str]) -> set[str]:
        """Names of the inputs that the named outputs depend on."""
        return {str(self.nodes[n].args[0]) for n in self.needed(names) if self.nodes[n].op == "input"}

    def operations(self, names: Iterable[str]) -> Counter[str]:
        """How often each operation occurs in computing the named outputs."""
        return Counter(self.nodes[n].op for n in self.needed(names) if self.nodes[n].op != "input")


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A neuron for the compiler.

    `forward` computes `s` and the new states from `x`, the states, the coefficients and `uniform`; `backward` computes
    `grad:x`, `grad:<state>`, `grad:<coefficient>` from these and the cotangents `cot:spikes`, `cot:<state>`.
    """

    step: Step
    forward: Graph
    backward: Graph
    kernels: dict[tuple, Callable[[int], None]] = dataclasses.field(default_factory=dict, repr=False)
    prepared: dict[tuple, tuple] = dataclasses.field(default_factory=dict, repr=False)  # launch.py's calls seen before

    def __deepcopy__(self, memo: dict) -> Program:
        """Itself: copies of a neuron share its kernels."""
        return self

    @property
    def following(self) -> list[str]:
        """Output names of the new states, in order."""
        return [f"next:{name}" for name in self.step.states]
