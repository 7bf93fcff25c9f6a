"""torch.compile for what has no neuron in it: convolutions, norms and pools; neurons keep their own kernels."""

from collections.abc import Iterator

from torch import nn

from rheobase.layers import LeakyReadout, Recurrent
from rheobase.neurons import Neuron

VARIANTS = 4  # compiled forms of one part: training and evaluation, an incomplete batch in each


def stateless_parts(module: nn.Module) -> Iterator[nn.Module]:
    """The largest parts of a network without a neuron, a recurrent layer or a readout with a state."""
    for child in module.children():
        if any(isinstance(part, (Neuron, Recurrent, LeakyReadout)) for part in child.modules()):
            yield from stateless_parts(child)
        elif any(True for _ in child.parameters()):
            yield child


def compile_stateless(module: nn.Module, backend: str = "inductor") -> None:
    """Compile these parts in place; names and state_dict stay as they are.

    Shapes are static: with symbolic ones the compiler fails on convolutions. All layers of a kind share one function,
    which torch.compile stops compiling after a few forms, so that its limit grows with the network, for the process.
    """
    import torch._dynamo  # a second, which other runs need not wait for

    parts = list(stateless_parts(module))
    for part in parts:
        part.compile(backend=backend, dynamic=False)
    limits = torch._dynamo.config
    limits.recompile_limit = max(limits.recompile_limit, VARIANTS * len(parts))
