"""How papers count the energy of a spiking network: one function per layer and convention.

Their tables cannot be compared with each other: one counts a single time step, one ignores strides, and each gives a
neuron other operations. Same network, same spikes, five answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rheobase.analysis import energy_memory
from rheobase.analysis.counts import Layer
from rheobase.analysis.energy_neuron import multiplications, operations
from rheobase.analysis.energy_prices import FLOAT32, INT32, Cost, Prices
from rheobase.names import unknown
from rheobase.neurons import CLIF, ILIF, LIF, Neuron

PerNeuron = Mapping[type[Neuron], Cost]


@dataclass(frozen=True)
class Convention:
    """A way to count. `spiking` gives a layer's cost per sample, `twin` that of one pass of the ReLU twin."""

    name: str
    about: str
    spiking: Callable[[Layer], Cost]
    twin: Callable[[Layer], Cost]
    prices: Prices = FLOAT32
    per_step: bool = False
    """Whether `spiking` stands for a single time step."""

    def costs(self, layers: Sequence[Layer]) -> list[Cost]:
        """Of the spiking network, layer by layer, per sample."""
        return [self.spiking(layer) for layer in layers]

    def twin_costs(self, layers: Sequence[Layer]) -> list[Cost]:
        """Of its twin without spikes: one pass where all steps show the same data, else one pass per step."""
        once = self.per_step or any(layer.repeated for layer in layers)
        return [self.twin(layer) * (1.0 if once else layer.steps) for layer in layers]


def hooked(layer: Layer, published: PerNeuron) -> Cost:
    """One time step by the rules of forward hooks on layers.

    Math: a layer with weights: (synapses + biases) · rate ACs where it sees spikes, else as many MACs; a norm: 2 MACs
    per element; a pool of spikes: inputs · rate ACs; a neuron: what the paper gives it, else its `multiplications`.
    Additions and products between layers, such as shortcuts without weights and attention, are no layer and are free.
    """
    if layer.synaptic:
        dense = layer.synapses + layer.biases
        return Cost(acs=dense * layer.active) if layer.spiking else Cost(macs=dense)
    if layer.kind == "pool":
        return Cost(acs=layer.inputs * layer.active) if layer.spiking else Cost()
    if layer.kind == "norm":
        return Cost(macs=2 * layer.outputs)
    if layer.kind == "relu":
        return Cost(macs=layer.outputs)
    return _per_neuron(layer, published) * layer.outputs


def dense(layer: Layer) -> Cost:
    """One pass of the ReLU twin by the same rules: weights, biases, norms (2), pools (1 per input), ReLU (1)."""
    if layer.synaptic:
        return Cost(macs=layer.synapses + layer.biases)
    return Cost(macs={"norm": 2 * layer.outputs, "pool": layer.inputs}.get(layer.kind, layer.outputs))


def hooked_over_time(layer: Layer, published: PerNeuron) -> Cost:
    """`hooked` at every step."""
    return hooked(layer, published) * layer.steps


def output_rate(layer: Layer) -> Cost:
    """T · N_in · r_out · C_out k² ACs, r_out the rate of the neurons that the layer feeds, and MACs per neuron-step.

    Strides, shortcuts with weights, norms, pools and what no neuron follows are left out; the first layer, which
    multiplies pixels, counts as ACs.
    """
    if layer.kind == "neuron":
        return _per_neuron(layer, {LIF: Cost(macs=1), ILIF: Cost(macs=2)}) * (layer.outputs * layer.steps)
    if not _on_the_way(layer):
        return Cost()
    return Cost(acs=layer.steps * layer.inputs * layer.target.active * layer.fan_out)  # type: ignore[union-attr]


def dense_on_the_way(layer: Layer) -> Cost:
    """N_out · C_in k² MACs of the layers that `output_rate` counts."""
    return Cost(macs=layer.synapses) if _on_the_way(layer) else Cost()


def defined(layer: Layer) -> Cost:
    """All steps, as this package runs them: the neuron by its traced definition, what repeats in time only once.

    Math: as `hooked`, times T, or once where the input is the same at every step; a neuron's ACs and MACs are
    `operations` of its step; pools of numbers add.
    """
    times = 1.0 if layer.repeated else layer.steps
    if layer.kind in ("neuron", "integrator"):
        return operations(_neuron(layer), layer.steps) * (layer.outputs * layer.steps)
    if layer.kind == "pool" and not layer.spiking:
        return Cost(acs=layer.inputs) * times
    return hooked(layer, {}) * times


def _on_the_way(layer: Layer) -> bool:
    fires = layer.target is not None and layer.target.kind == "neuron"
    return layer.synaptic and fires and "shortcut" not in layer.name.split(".")


def _per_neuron(layer: Layer, published: PerNeuron) -> Cost:
    neuron = _neuron(layer)
    given = next((cost for kind, cost in published.items() if isinstance(neuron, kind)), None)
    return given or Cost(macs=multiplications(neuron, layer.steps))


def _neuron(layer: Layer) -> Neuron:
    assert layer.neuron is not None, layer.name
    return layer.neuron


_ALL = (
    Convention(
        "clif",
        "one time step, hooks on layers; CLIF table 6",
        partial(hooked, published={LIF: Cost(acs=1), CLIF: Cost(macs=4)}),
        dense,
        per_step=True,
    ),
    Convention(
        "ilif", "times T, rate of the output, no strides or shortcuts; ILIF table 5", output_rate, dense_on_the_way
    ),
    Convention(
        "dalif",
        "times T, hooks on layers, 2 MACs per neuron and step; DA-LIF table III",
        partial(hooked_over_time, published={Neuron: Cost(macs=2)}),
        dense,
    ),
    Convention(
        "memory",
        "times T, with reads, writes and addresses; Lemaire et al. 2022, CLIF table 7",
        energy_memory.spiking,
        energy_memory.twin,
        INT32,
    ),
    Convention("definition", "times T, neurons by their traced step, what repeats once", defined, dense),
)
CONVENTIONS = {convention.name: convention for convention in _ALL}


def convention(name: str) -> Convention:
    """A convention by its name. Errors: ValueError naming the nearest."""
    if name not in CONVENTIONS:
        raise unknown("convention", name, CONVENTIONS)
    return CONVENTIONS[name]
