"""The layers of a network whose output is spikes."""

from torch import nn

from rheobase.layers.readout import LeakyReadout
from rheobase.layers.recurrent import Recurrent
from rheobase.neurons import Neuron


def spiking_layers(model: nn.Module) -> dict[str, Neuron | Recurrent]:
    """The modules whose output is spikes, by name: recurrent layers, and neurons not inside one or a readout."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, (Neuron, Recurrent))}
    owners = [module for module in model.modules() if isinstance(module, (Recurrent, LeakyReadout))]
    inner = {id(part) for owner in owners for part in owner.children()}
    return {name: module for name, module in layers.items() if id(module) not in inner}
