"""What the neurons of a network have learnt: their parameters, and the decays, gates and thresholds made of them."""

import torch
from torch import Tensor, nn

from rheobase.neurons.base import Neuron


def learned(model: nn.Module) -> dict[str, dict[str, Tensor]]:
    """By name of the neuron in the model, by name of the value: learnable parameters and coefficients that follow them.

    Frozen parameters, and neurons without learnable ones, are left out. A readout's integrator counts as a neuron.
    Units: as the neuron's docstring says, such as PLIF `w`, `rate` = 1/τ; DALIF `a`, `b`, `alpha`, `beta`; ProbPLIF
    `tau` in time steps, `alpha` per step.
    """
    found = {}
    for name, neuron in model.named_modules():
        if isinstance(neuron, Neuron):
            with torch.enable_grad():
                values = {**dict(neuron.named_parameters(recurse=False)), **neuron.coefficients()}
            tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
            kept = {key: value.detach().clone() for key, value in tensors.items() if value.requires_grad}
            found |= {name: kept} if kept else {}
    return found


def summary(values: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, dict[str, float]]]:
    """`mean` and `std` (of the population) of every value over its entries, for records."""
    return {
        name: {
            key: {"mean": float(value.double().mean()), "std": float(value.double().std(correction=0))}
            for key, value in row.items()
        }
        for name, row in values.items()
    }
