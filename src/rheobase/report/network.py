"""The sections of a report about what the networks do: measured for the report, or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rheobase import plots
from rheobase.plots.figure import data_uri
from rheobase.report.measure import Measured
from rheobase.report.page import Markup, joined, missing, note, picture, pictures, table, tag

Found = Mapping[str, Measured | str]
NEURONS = 200  # of a layer in a raster
BUSY = 0.5  # spikes per step


def activity(found: Found) -> Markup:
    """Firing rate of every layer at every step, and how it is spread over the neurons."""
    text = f"Measured on the test set. Silent: no spike at all. Busy: spikes at more than {BUSY:.0%} of all steps."
    return joined([note(text), _each(found, _activity)])


def _activity(label: str, one: Measured) -> Markup:
    if not one.activity:
        return missing("the network has no layer with spikes at time steps.")
    steps = {name: layer.steps for name, layer in one.activity.items()}
    uri = data_uri(plots.layers_over_time(steps, "spikes per neuron and step", label))
    rows = []
    for name, layer in one.activity.items():
        rate = layer.neurons
        shares = (float((rate == 0).double().mean()), float((rate > BUSY).double().mean()))
        cells = [name, f"{len(rate):,}", f"{float(rate.mean()):.4f}", *(f"{share:.1%}" for share in shares)]
        rows.append(("", cells))
    shown = table(("layer", "neurons", "spikes per neuron and step", "silent", "busy"), rows, numbers=True)
    return joined([picture(uri, f"{label}: firing rate of every layer over the steps."), shown])


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
        axes = plots.raster(flat[:, :, chosen], names)
        part = f"{len(chosen)} of {flat.shape[2]:,} neurons" if len(chosen) < flat.shape[2] else "all neurons"
        shown.append(picture(data_uri(axes.figure, "png"), f"{label}, layer {layer}: {part}, one sample per class."))  # type: ignore[arg-type]
    return pictures(shown)


def confusion(found: Found) -> Markup:
    """Which classes are taken for which, on the test set."""
    return _each(found, _confusion)


def _confusion(label: str, one: Measured) -> Markup:
    counts, names = one.confusion, [_class(one, number) for number in range(len(one.confusion))]
    right, total = int(counts.diagonal().sum()), int(counts.sum())
    caption = f"{label}: {right:,} of {total:,} test samples right ({right / total:.2%}). Rows are labels."
    shown = picture(data_uri(plots.confusion_matrix(counts, names)), caption)
    wrong = counts.clone().fill_diagonal_(0).flatten()
    worst = [divmod(int(place), len(counts)) for place in wrong.argsort(descending=True, stable=True)[:5]]
    numbers = [(i, j, int(counts[i, j])) for i, j in worst]
    rows = [("", (names[i], names[j], f"{count} of {int(counts[i].sum())}")) for i, j, count in numbers if count]
    return joined([shown, table(("label", "taken for", "samples"), rows) if rows else Markup("")])


def gradients(found: Found) -> Markup:
    """Norms of the gradient by parameter, on one batch."""
    text = "Of the loss of the first batch of training samples, without augmentation, in evaluation mode."
    return joined([note(text), _each(found, _gradients)])


def _gradients(label: str, one: Measured) -> Markup:
    rows = [
        ("", (name, f"{gradient:.3g}", f"{weights:.3g}", f"{gradient / weights:.3g}" if weights else "–"))
        for name, (gradient, weights) in one.gradients.items()
    ]
    return table(("parameter", "norm of the gradient", "norm of the weights", "ratio"), rows, numbers=True)


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
    return joined([pictures(drawn), shown])


def _summary(value: Tensor) -> list[str]:
    flat = value.double().flatten()
    numbers = (flat.mean(), flat.std(correction=0), flat.min(), flat.max())
    return [f"{len(flat):,}", *(f"{float(number):.4g}" for number in numbers)]


def _class(one: Measured, number: int) -> str:
    return one.task.class_names[number] if one.task.class_names else str(number)


def _each(found: Found, make: Callable[[str, Measured], Markup]) -> Markup:
    """The part of every run under its name, or the reason why it is missing."""
    parts = []
    for label, one in found.items():
        if len(found) > 1:
            parts.append(tag("h3", label))
        parts.append(missing(one) if isinstance(one, str) else make(label, one))
    return joined(parts)
