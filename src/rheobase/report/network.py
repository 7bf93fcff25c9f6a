"""The sections of a report about what the networks do: measured for the report, or why not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from rheobase import plots
from rheobase.analysis.intervals import paired
from rheobase.plots.figure import data_uri, figure
from rheobase.report.measure import BATCH, FEW, Measured
from rheobase.report.page import Markup, joined, missing, note, picture, side_by_side, table, tag

Found = Mapping[str, Measured | str]
NEURONS = 200  # of a layer in a raster


def activity(found: Found) -> Markup:
    """What every layer does: over layers, over steps, and in numbers."""
    text = f"""Measured on {FEW} test samples spread over the set (all where there are fewer). Rate: spikes per neuron
    and step. Silent: neurons without a spike. Busy: neurons that spike in more than half of a sample's steps. u > 2θ:
    steps with a potential above twice the threshold."""
    networks, parts = _ready(found, "activity")
    if networks:
        deep = max(map(len, networks.values())) > 1
        shown = [picture(data_uri(plots.activity_steps(networks)), "Firing rate of every layer at every step.", deep)]
        if deep:
            made = plots.activity_layers(networks)
            shown.insert(0, picture(data_uri(made), "Activity over the layers, first layer left.", wide=True))
        parts = [*shown, _each(networks, lambda _, one: _activity(one)), *parts]
    return joined([note(text), *parts])


def _activity(layers: Mapping[str, Any]) -> Markup:
    rows = []
    for name, layer in layers.items():
        shares = [f"{share:.1%}" for share in (layer.silent, layer.continuous, layer.overactive)]
        rows.append(("", [_short(name), f"{layer.neurons:,}", f"{layer.rate:.4f}", *shares]))
    return table(("layer", "neurons", "rate", "silent", "busy", "u > 2θ"), rows, numbers=True)


def spikes(found: Found) -> Markup:
    """Rasters of a few test samples: the first and the last layer of neurons."""
    return _each(found, _spikes)


def _spikes(label: str, one: Measured) -> Markup:
    labels, layers = one.rasters
    if not layers:
        return missing("the network has no layer with spikes at time steps.")
    names = [_class(one, number) for number in labels]
    shown = []
    for layer in dict.fromkeys((next(iter(layers)), next(reversed(layers)))):
        flat = layers[layer].flatten(2)
        chosen = torch.linspace(0, flat.shape[2] - 1, min(NEURONS, flat.shape[2])).round().long()
        made = figure(6.4, 3.4)
        plots.raster(flat[:, :, chosen], names, made.add_subplot())
        part = f"{len(chosen)} of {flat.shape[2]:,} neurons" if len(chosen) < flat.shape[2] else "all neurons"
        caption = f"{label}, layer {layer}: {part}, one sample of each class below."
        shown.append(picture(data_uri(made, "png"), caption))
    return joined(shown)


def comparison(found: Found) -> Markup:
    """Every run beside the first one, sample by sample of the same test set."""
    (name, first), *others = [(label, one) for label, one in found.items() if not isinstance(one, str)]
    rows = []
    for label, one in others:
        if not torch.equal(one.labels, first.labels):
            rows.append(("", (label, "another test set")))
            continue
        lost, won = int((first.right & ~one.right).sum()), int((~first.right & one.right).sum())
        middle, low, high = (100 * value for value in paired(lost, won, len(one.labels)))
        verdict = "no difference shown" if low < 0 < high else "better" if low > 0 else "worse"
        rows.append(("", (label, f"{won:,}", f"{lost:,}", f"{middle:+.2f}", f"{low:+.2f} to {high:+.2f}", verdict)))
    heads = ("run", "only it right", f"only {name} right", "difference (points)", "95 % interval", "")
    text = f"""Beside {name}, on the same test samples: those on which both agree say nothing about the difference
    (Agresti and Min's interval). One run of each does not tell how much of it is the seed."""
    return joined([table(heads, rows, numbers=True), note(text)])


def confusion(found: Found) -> Markup:
    """Which classes are taken for which, on the test set."""
    return _each(found, _confusion)


def _confusion(label: str, one: Measured) -> Markup:
    counts, names = one.confusion, [_class(one, number) for number in range(len(one.confusion))]
    right, total = int(counts.diagonal().sum()), int(counts.sum())
    caption = f"{label}: {right:,} of {total:,} test samples right ({right / total:.2%})."
    shown = picture(data_uri(plots.confusion_matrix(counts, names)), caption)
    wrong = counts.clone().fill_diagonal_(0).flatten()
    worst = [divmod(int(place), len(counts)) for place in wrong.argsort(descending=True, stable=True)[:5]]
    numbers = [(i, j, int(counts[i, j])) for i, j in worst]
    rows = [("", (names[i], names[j], f"{count} of {int(counts[i].sum())}")) for i, j, count in numbers if count]
    return joined([shown, table(("label", "taken for", "samples"), rows) if rows else Markup("")])


def gradients(found: Found) -> Markup:
    """What reaches the currents of every layer at every step, on one batch."""
    text = f"""dL/dx of every layer's currents, on {BATCH} validation samples in evaluation mode. Temporal: the share
    that comes through the states. Vanished: where that is exactly 0."""
    networks, parts = _ready(found, "gradients")
    if networks:
        uri = data_uri(plots.gradient_parts(networks))
        shown = picture(uri, "Gradients over the steps, first layer on top.", wide=True)
        parts = [shown, _each(networks, lambda _, one: _gradients(one)), *parts]
    return joined([note(text), *parts])


def _gradients(layers: Mapping[str, Any]) -> Markup:
    rows = []
    for name, one in layers.items():
        inner = one.temporal[:-1].norm() / one.whole[:-1].norm().clamp(min=1e-30)  # the last step has no future
        cells = (f"{float(one.whole.norm()):.3g}", f"{float(inner):.3g}", f"{float(one.vanished[:-1].mean()):.1%}")
        rows.append(("", (_short(name), *(cells if len(one.whole) > 1 else (cells[0], "–", "–")))))
    return table(("layer", "norm", "temporal", "vanished"), rows, numbers=True)


def energy(found: Found) -> Markup:
    """Operations and energy by every published way to count, beside the twins without spikes."""
    text = f"""Per sample, on {FEW} test samples, 45 nm. Conventions cannot be compared with each other
    (docs/energy.md). Twin: the same network with ReLU, in float32 and quantised. Cheaper below: the rate, in spikes per
    neuron and step, up to which the network costs less than its float32 twin."""
    networks, parts = _ready(found, "energy")
    counted = {label: [one for one in each.values() if not isinstance(one, str)] for label, each in networks.items()}
    kinds = {tuple(one.convention for one in reports) for reports in counted.values()}
    if len(kinds) == 1 and kinds != {()}:
        uri = data_uri(plots.energy(counted, ""), "png")  # its hatches are long in SVG
        parts.insert(0, picture(uri, "Energy per sample, and that of the twins.", wide=True))
    return joined([note(text), *parts, _each(networks, lambda _, one: _energy(one))])


def _energy(reports: Mapping[str, Any]) -> Markup:
    rows = []
    for name, one in reports.items():
        if isinstance(one, str):
            rows.append(("", (name, f"not counted: {one}")))
            continue
        rate = one.break_even
        shown = "–" if math.isnan(rate) else "never" if rate < 0 else "always" if rate > 1 else f"{rate:.3f}"
        numbers = (one.acs / 1e6, one.macs / 1e6, one.energy, one.twin_energy, one.quantised_twin_energy)
        rows.append(("", (name, *(f"{number:,.4g}" for number in numbers), shown)))
    heads = ("convention", "ACs (M)", "MACs (M)", "energy (µJ)", "twin (µJ)", "int8 twin (µJ)", "cheaper below")
    return table(heads, rows, numbers=True)


def learned(found: Found) -> Markup:
    """What neurons learnt: time constants, decays, thresholds."""
    text = "Values as the neurons' equations name them (docs/neurons.md); times in steps, decays per step."
    return joined([note(text), _each(found, _learned)])


def _learned(label: str, one: Measured) -> Markup:
    if not one.learned:
        return missing("these neurons learn nothing of their own.")
    rows, by_quantity = [], {}
    for layer, values in one.learned.items():
        for quantity, value in values.items():
            by_quantity.setdefault(quantity, {})[layer] = value
            rows.append(("", [layer, quantity, *_summary(value)]))
    drawn = [
        picture(data_uri(plots.spread(layers, quantity)), f"{label}: {quantity} in every layer; the dot is the mean.")
        for quantity, layers in by_quantity.items()
    ]
    shown = table(("layer", "value", "entries", "mean", "deviation", "smallest", "largest"), rows, numbers=True)
    return joined([side_by_side(drawn), shown])


def _summary(value: Tensor) -> list[str]:
    flat = value.double().flatten()
    numbers = (flat.mean(), flat.std(correction=0), flat.min(), flat.max())
    return [f"{len(flat):,}", *(f"{float(number):.4g}" for number in numbers)]


def _short(layer: str) -> str:
    """The name of a layer without what all layers' names have."""
    return layer.removeprefix("features.").removesuffix(".neuron")


def _class(one: Measured, number: int) -> str:
    return one.task.class_names[number] if one.task.class_names else str(number)


def _ready(found: Found, part: str) -> tuple[dict[str, Any], list[Markup]]:
    """That part of every run that has it, by label, and the reasons of the others."""
    networks, reasons = {}, []
    for label, one in found.items():
        value = one if isinstance(one, str) else getattr(one, part)
        if isinstance(value, str):
            reasons.append(missing(f"{label}: {value}" if len(found) > 1 else value))
        else:
            networks[label] = value
    return networks, reasons


def _each(found: Mapping[str, Any], make: Callable[[str, Any], Markup]) -> Markup:
    """The part of every run under its name, or the reason why it is missing."""
    parts = []
    for label, one in found.items():
        head = tag("h3", label) if len(found) > 1 else Markup("")
        parts.append(joined([head, missing(one) if isinstance(one, str) else make(label, one)]))
    return side_by_side(parts) if len(found) > 1 else joined(parts)
