"""Event-driven classifiers, by the names of their neurons: theta, qif, lif."""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch

from rheobase import exact as events
from rheobase.exact.classifier import EventClassifier
from rheobase.exact.neuron import Neuron
from rheobase.names import unknown

NEURONS = {"theta": events.Theta, "qif": events.QIF, "lif": events.LIF, "osclif": events.OscLIF}


def exact(
    neuron: str = "theta",
    num_classes: int = 10,
    in_channels: int = 784,
    hidden: int | tuple[int, ...] = (100, 100),
    neuron_options: Mapping[str, Any] | None = None,
    weight_gain: float = 0.5,
    weight_seed: int | None = None,
    duration: float = 2.0,
    shift: float = 0.0,
    pseudospikes: bool | None = None,
    answer: Literal["first", "leaky", "timed"] = "first",
    recurrent_gain: float | None = None,
    leaky_tau: float = 0.02,
    knots: int = 10,
    readout_gain: float = 1.0,
    merge_steps: int = 1,
    merge_channels: int = 1,
    dropout: float = 0.0,
    most_spikes: int = 200,
) -> EventClassifier:
    """Build an EventClassifier.

    duration: the trial's T. pseudospikes: none means for first-spike answers of neurons that have them (QIF, theta).
    weight_seed: fixes the weights; none: torch's generator.
    Errors: ValueError for an unknown neuron or answer, and for pseudospikes where there are none (LIF, leaky answers).
    """
    if neuron not in NEURONS:
        raise unknown("event-driven neuron", neuron, NEURONS)
    if answer not in ("first", "leaky", "timed"):
        raise unknown("answer", answer, ("first", "leaky", "timed"))
    chosen = NEURONS[neuron](**(neuron_options or {}))
    has_them = answer == "first" and type(chosen).pseudo_rate is not Neuron.pseudo_rate
    if pseudospikes and not has_them:
        raise ValueError(
            f"exact: {neuron} with answer {answer} has no pseudospikes. Use qif or theta and answer first."
        )
    return EventClassifier(
        chosen,
        (math.ceil(in_channels / merge_channels), *((hidden,) if isinstance(hidden, int) else hidden), num_classes),
        duration,
        gain=weight_gain,
        shift=shift,
        pseudospikes=has_them if pseudospikes is None else pseudospikes,
        recurrent_gain=recurrent_gain,
        leaky_tau=leaky_tau if answer == "leaky" else None,
        knots=knots if answer == "timed" else None,
        readout_gain=readout_gain,
        merge_steps=merge_steps,
        merge_channels=merge_channels,
        dropout=dropout,
        most_spikes=most_spikes,
        generator=None if weight_seed is None else torch.Generator().manual_seed(weight_seed),
    )
