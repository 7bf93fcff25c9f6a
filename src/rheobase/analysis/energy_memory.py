"""The memory-aware convention: what is read, written and addressed, besides what is computed."""

from __future__ import annotations

import itertools

from rheobase.analysis.counts import Layer
from rheobase.analysis.energy_prices import Cost
from rheobase.neurons import CLIF, Neuron

ACCESS = ((8 * 1024, 10.0), (32 * 1024, 20.0), (1024 * 1024, 100.0))  # (bytes of the memory, pJ per access)
WORD = 4  # bytes of a number
POTENTIALS = {CLIF: 3}  # copies of a potential as published; other neurons: their states


def access(size: float) -> float:
    """pJ of one access to an SRAM of `size` bytes: linear between the sizes of ACCESS, constant outside."""
    for (low, cheap), (high, dear) in itertools.pairwise(ACCESS):
        if size <= high:
            return cheap + (dear - cheap) * max(0.0, size - low) / (high - low)
    return ACCESS[-1][1]


def accesses(layer: Layer) -> dict[str, float]:
    """How often a layer touches its memories per sample: `potentials` and `parameters`, `inputs`, `outputs`."""
    if layer.kind in ("neuron", "integrator"):
        places, copies = layer.steps * layer.outputs, potentials(layer.neuron)
        sent = places * (layer.active if layer.kind == "neuron" else 1.0)
        return {"potentials": 2 * copies * places, "parameters": places, "inputs": 0.0, "outputs": sent}
    if not layer.synaptic:
        return {"potentials": 0.0, "parameters": 0.0, "inputs": 0.0, "outputs": 0.0}
    events = _events(layer)
    copies = potentials(layer.target.neuron) if layer.target else 0
    found = {"parameters": events * layer.fan_out, "inputs": events, "outputs": 0.0}
    return {"potentials": 2 * copies * events * layer.fan_out, **found}


def potentials(neuron: Neuron | None) -> int:
    """Numbers that are read and written where a potential is: 1 for LIF, 3 for CLIF as published, else the states."""
    return next((n for kind, n in POTENTIALS.items() if isinstance(neuron, kind)), len(neuron.states) if neuron else 0)


def spiking(layer: Layer) -> Cost:
    """Events drive everything: θ = inputs that are not 0, over all T steps; N neurons, k kernel, S stride.

    Math: a synaptic layer: θ ⌈k/S⌉² C_out ACs (MACs where the inputs are no spikes); reads and writes of potentials
    θ C_out k², reads of parameters as many, of inputs θ; addressing 2θ MACs and θ C_out k² ACs. A layer of neurons:
    T N + θ_out ACs, T N MACs (leak), T N reads and writes of potentials, T N reads of parameters, θ_out writes.
    Norms and pools are free: a norm is folded into its convolution.
    Source: Lemaire et al. 2022; CLIF (arXiv 2402.04663), table 7, where a potential of CLIF costs three times one of
    LIF. That table is per step: its addressing gives θ = 557,056 · .1903 + 3072 for LIF on CIFAR-10.
    """
    memory = sum(n * access(WORD * size) for n, size in zip(accesses(layer).values(), _sizes(layer), strict=True))
    if layer.kind in ("neuron", "integrator"):
        places = layer.steps * layer.outputs
        return Cost(places + accesses(layer)["outputs"], places, memory)
    if not layer.synaptic:
        return Cost()
    events = _events(layer)
    work, addressing = events * layer.reach, events * layer.fan_out
    computed = Cost(acs=work) if layer.spiking else Cost(macs=work)
    return computed + Cost(addressing, 2 * events, memory)


def twin(layer: Layer) -> Cost:
    """The dense pass of the twin without time.

    Math: MACs and additions of biases as they are; reads: a parameter per MAC and one per output, an input per MAC;
    writes: the outputs; addressing: N_in + N_out + C_out k² ACs.
    Source: Lemaire et al. 2022. CLIF's table 7 has these operations, parameters and addresses to the digit, at 100 pJ
    for every read, and without the 1x1 shortcuts.
    """
    if not layer.synaptic:
        return Cost()
    dense, sizes = layer.synapses, _sizes(layer)
    reads = (dense + layer.outputs) * access(WORD * sizes[1]) + dense * access(WORD * sizes[2])
    addressing = layer.inputs + layer.outputs + (layer.fan_out if layer.kind == "conv" else 0)
    return Cost(layer.biases + addressing, dense, reads + layer.outputs * access(WORD * sizes[3]))


def _events(layer: Layer) -> float:
    return layer.steps * layer.inputs * layer.active


def _sizes(layer: Layer) -> tuple[float, float, float, float]:
    """Numbers in the memories of potentials, parameters, inputs and outputs."""
    neuron = layer.neuron or (layer.target.neuron if layer.target else None)
    return potentials(neuron) * layer.outputs, layer.weights or layer.outputs, layer.inputs, layer.outputs
