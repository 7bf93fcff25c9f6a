"""Energy of a spiking network beside its twins without spikes, and the spike rate at which they cost the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rheobase.analysis.counts import Layer, uniform
from rheobase.analysis.energy_conventions import Convention
from rheobase.analysis.energy_prices import Cost, Prices, integer, total


@dataclass(frozen=True)
class Report:
    """One network by one convention. Operations per sample, energies in µJ per sample, rates in spikes per neuron and
    step; a rate below 0 means never, one above 1 always cheaper than the twin."""

    convention: str
    layers: tuple[Cost, ...]
    layer_energies: tuple[float, ...]
    parts: dict[str, float]
    """The energy by what takes it: `acs`, `macs`, `memory`."""
    acs: float
    macs: float
    energy: float
    quantised_energy: float
    """Of the same spikes with integer weights and states."""
    twin_macs: float
    twin_energy: float
    """Of the ReLU twin in the convention's numbers."""
    quantised_twin_energy: float
    """Of the ReLU twin with integer weights and activations."""
    break_even: float
    """Spike rate at which both cost the same."""
    break_even_quantised: float
    """The network as it is against the quantised twin."""
    break_even_both_quantised: float


def report(layers: Sequence[Layer], convention: Convention, bits: int = 8) -> Report:
    """Count by a convention; the quantised twin has `bits`-bit weights and activations.

    Errors: ValueError unless 1 <= bits <= 32, and for a neuron that the convention cannot count.
    """
    exact, rough = convention.prices, integer(bits)
    costs, twin = convention.costs(layers), total(convention.twin_costs(layers))
    spiking = total(costs)
    return Report(
        convention=convention.name,
        layers=tuple(costs),
        layer_energies=tuple(cost.energy(exact) for cost in costs),
        parts={name: Cost(**{name: getattr(spiking, name)}).energy(exact) for name in ("acs", "macs", "memory")},
        acs=spiking.acs,
        macs=spiking.macs,
        energy=spiking.energy(exact),
        quantised_energy=spiking.energy(rough),
        twin_macs=twin.macs,
        twin_energy=twin.energy(exact),
        quantised_twin_energy=twin.energy(rough),
        break_even=break_even(layers, convention, exact, exact),
        break_even_quantised=break_even(layers, convention, exact, rough),
        break_even_both_quantised=break_even(layers, convention, rough, rough),
    )


def break_even(layers: Sequence[Layer], convention: Convention, spiking: Prices, twin: Prices) -> float:
    """The rate, the same in every neuron, at which the network costs as much as its twin.

    Math: costs are linear in the rate, E(r) = E(0) + r (E(1) − E(0)), so r* = (E_twin − E(0)) / (E(1) − E(0)). What
    the data drives stays as it was measured. Not a number where the rate changes nothing. Rough where a layer is
    `mixed`: the rate behind a max pool or in attention is another one.
    Units: spikes per neuron and step; below 0 the network's fixed costs alone exceed the twin's.
    """
    silent, busy = (total(convention.costs(uniform(layers, rate))).energy(spiking) for rate in (0.0, 1.0))
    wanted = total(convention.twin_costs(layers)).energy(twin)
    return (wanted - silent) / (busy - silent) if busy != silent else math.nan
