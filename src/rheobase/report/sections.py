"""The sections of a report about runs as records and logs tell of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rheobase import plots
from rheobase.analysis.intervals import over_seeds, wilson
from rheobase.plots.figure import data_uri
from rheobase.report.page import Markup, joined, missing, note, paragraph, picture, side_by_side, table, tag
from rheobase.report.source import Source
from rheobase.training.config import GROUPS

POINTS = 100  # of a learning curve; more are averaged
HEADS = ("run", "test accuracy", "95 % interval", "loss", "firing rate", "parameters", "epochs", "time")


def title(sources: Sequence[Source]) -> str:
    """One line: what was trained on what, and how well where that is one number."""
    kinds = list(dict.fromkeys(f"{one.config['neuron']} on {one.config['data']}" for one in sources))
    name = " and ".join(kinds) if len(kinds) < 4 else f"{len(sources)} runs"
    tests = [one.record["test"]["accuracy"] for one in sources if one.tested]
    return f"{name}: test accuracy {tests[0]:.2%}" if len(sources) == len(tests) == 1 else name


def result(sources: Sequence[Source]) -> Markup:
    """What came out: every run with the interval of its test accuracy, every group of seeds with mean and spread."""
    rows = [("", _result_row(one)) for one in sources]
    tests = [[one for one in group if one.tested] for group in _groups(sources)]
    groups = {_mean_name(group, len(tests) > 1): group for group in tests if len(group) > 1}
    rows += [("group", _group_row(name, group)) for name, group in groups.items()]
    parts = [*_sentences(sources), table(HEADS, rows, numbers=True)]
    tested = {one.label: _interval(one) for one in sources if one.tested}
    tested |= {name: _seeds(group) for name, group in groups.items()}
    if len(tested) > 1:
        shown = {label: tuple(100 * value for value in values) for label, values in tested.items()}
        uri = data_uri(plots.scores(shown, "test accuracy (%)"))  # type: ignore[arg-type]
        parts.append(picture(uri, "Test accuracy of every run and mean with its 95 % interval."))
    if tested:
        text = "Intervals of a run (Wilson's) are for other test samples of the same kind"
        seeds = "; those of a mean (Student's) are for other seeds, with the deviation over these behind ±"
        parts.append(note(f"{text}{seeds if groups else ''}. Firing rate: spikes per neuron and step."))
    return joined(parts)


def training(sources: Sequence[Source]) -> Markup:
    """Learning curves from log and record."""
    runs = {}
    for one in sources:
        logged = len([line for line in one.log if line["kind"] == "step"])
        runs[one.label] = (one.steps(-(-logged // POINTS) or 1), one.epochs)
    if not any(steps or epochs for steps, epochs in runs.values()):
        return missing("no epoch is done, and no step is logged.")
    caption = "Lines: training (mean over batches). Markers: validation set after every epoch."
    parts = [picture(data_uri(plots.training_history(runs)), caption, wide=True)]
    silent = [label for label, (steps, _) in runs.items() if not steps]
    if silent:
        parts.append(note(f"Without a log beside the record, so that lines are epochs: {', '.join(silent)}."))
    for one in sources:
        if "best_epoch" in one.record and one.finished:
            kept = f"{one.label}: the weights of epoch {one.record['best_epoch']} of {len(one.epochs)} were kept"
            parts.append(note(f"{kept} (select = {one.config['select']})."))
    return joined(parts)


def config(sources: Sequence[Source]) -> Markup:
    """Every field of the config: first what differs between runs, marked, then what they share."""
    groups = {group.__name__.removesuffix("Settings"): list(group.__dataclass_fields__) for group in GROUPS}
    known = {name for fields in groups.values() for name in fields}
    groups["Unknown to this version"] = sorted({name for one in sources for name in one.config} - known)
    differing = [name for fields in groups.values() for name in fields if _differs(sources, name)]
    parts = []
    if differing:
        rows = [("differs", [f"{name} ≠", *(_text(one.config.get(name)) for one in sources)]) for name in differing]
        parts += [tag("h3", "Differences"), table(("field", *(one.label for one in sources)), rows)]
    elif len(sources) > 1:
        parts.append(paragraph("All runs have the same config."))
    shared = []
    for heading, fields in groups.items():
        rows = [("", (name, _text(sources[0].config.get(name)))) for name in fields if name not in differing]
        shared += [joined([tag("h3", heading), table(("field", "value"), rows)])] if rows else []
    return joined([*parts, side_by_side(shared)])


def learned(sources: Sequence[Source]) -> Markup:
    """How what neurons learn changed over training, for runs whose records tell it."""
    drawn = []
    for one in sources:
        rows = [(row["epoch"], row["learned"]) for row in one.epochs if row.get("learned")]
        if len(rows) > 1:
            caption = f"{one.label}: means of every layer over the epochs; shaded, where layers have several values: ±"
            made = plots.learned_over_epochs(rows)
            drawn.append(picture(data_uri(made), f"{caption} their standard deviation.", wide=True))
    return joined(drawn)


def again(sources: Sequence[Source]) -> Markup:
    """Command, commit, versions and hardware of every run, and how to make it again."""
    heads = ["", *(one.label for one in sources)]
    rows = [("", [name, *(_text(one.record.get(key)) for one in sources)]) for name, key in _CIRCUMSTANCES.items()]
    for name, part in (("versions", "versions"), ("hardware", "hardware")):
        rows.append(("", [name, *(_pairs(one.record.get(part)) for one in sources)]))
    parts = [table(heads, rows)]
    for one in sources:
        parts += [tag("h3", one.label), tag("pre", _recipe(one))]
    parts.append(note("A + after the commit: the package had changes that are in no commit."))
    return joined(parts)


_CIRCUMSTANCES = {
    "started": "started",
    "command": "command",
    "commit": "commit",
    "device": "device",
    "backend": "backend",
    "processes": "processes",
    "data": "data_note",
}


def _recipe(one: Source) -> str:
    commit = str(one.record.get("commit") or "").rstrip("+")
    lines = [f"git checkout {commit}"] if commit else []
    lines += [str(one.record["command"])] if one.record.get("command") else []
    if one.finished and one.tested:
        lines.append(f"rheobase eval {one.path}    # the test accuracy again, from the weights")
    if not one.finished:
        lines.append(f"rheobase train --resume {one.path}    # goes on")
    return "\n".join(lines)


def _sentences(sources: Sequence[Source]) -> list[Markup]:
    """A single run in words, and of several those without a result."""
    parts = []
    for one in sources:
        config = one.config
        what = f"{one.label}: {config['model']} with {config['neuron']} on {config['data']}, seed {config['seed']}."
        if len(sources) == 1 or not one.tested:
            parts.append(tag("p", what, " ", _headline(one), class_="" if one.tested else "missing"))
    return parts


def _headline(one: Source) -> str:
    if one.tested:
        value, low, high = _interval(one)
        count = one.record["samples"]["test"]
        return f"{value:.2%} of {count:,} test samples right, 95 % interval {low:.2%} to {high:.2%}."
    if one.finished:
        return "Not tested."
    total = one.config["epochs"]
    if not one.epochs:
        return f"Not finished: no epoch of {total} is done."
    best = max(row["validation_accuracy"] for row in one.epochs)
    return f"Not finished: {len(one.epochs)} of {total} epochs; best validation accuracy so far {best:.2%}."


def _interval(one: Source) -> tuple[float, float, float]:
    value = one.record["test"]["accuracy"]
    return value, *wilson(value, one.record["samples"]["test"])


def _result_row(one: Source) -> list[str]:
    found, test = one.record, one.record.get("test", {})
    value, low, high = _interval(one) if one.tested else (None, None, None)
    epochs = f"{len(one.epochs)} of {one.config['epochs']}" if one.epochs else "–"
    return [
        one.label,
        _number(value, ".2%"),
        "–" if low is None else f"{low:.2%} to {high:.2%}",
        _number(test.get("loss"), ".4f"),
        _number(test.get("firing_rate"), ".4f"),
        _number(found.get("parameters"), ","),
        epochs,
        "–" if "seconds" not in found else _time(found["seconds"]),
    ]


def _mean_name(group: Sequence[Source], several: bool) -> str:
    """How the mean of runs that differ in their seed is called; with `several` groups, so that one knows of which."""
    names = dict.fromkeys(re.sub(r"-seed\d+$", "", one.label) for one in group)
    return f"{', '.join(names)}: mean of {len(group)} seeds" if several else f"mean of {len(group)} seeds"


def _seeds(group: Sequence[Source]) -> tuple[float, float, float]:
    accuracy, _, reach = over_seeds([one.record["test"]["accuracy"] for one in group])
    return accuracy, accuracy - reach, accuracy + reach


def _group_row(name: str, group: Sequence[Source]) -> list[str]:
    accuracy, low, high = _seeds(group)
    deviation = over_seeds([one.record["test"]["accuracy"] for one in group])[1]
    cells = [name, f"{accuracy:.2%} ± {100 * deviation:.2f}", f"{low:.2%} to {high:.2%}"]
    for key in ("loss", "firing_rate"):
        values = [one.record["test"].get(key) for one in group]
        cells.append(_spread(values))
    return [*cells, *[""] * (len(HEADS) - len(cells))]


def _spread(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return "–"
    middle, deviation, _ = over_seeds(known)
    return f"{middle:.4f} ± {deviation:.4f}"


def _groups(sources: Sequence[Source]) -> list[list[Source]]:
    """Runs that differ in their seed only, together."""
    found: dict[str, list[Source]] = {}
    for one in sources:
        found.setdefault(one.alike(), []).append(one)
    return list(found.values())


def _differs(sources: Sequence[Source], name: str) -> bool:
    return len({repr(one.config.get(name)) for one in sources}) > 1


def _text(value: Any) -> str:
    """A value of a record as one reads it."""
    if value is None or value == "" or value == {} or value == []:
        return "–"
    if isinstance(value, dict):
        return _pairs(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _pairs(found: dict[str, Any] | None) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in (found or {}).items()) or "–"


def _number(value: Any, form: str) -> str:
    return "–" if value is None else format(value, form)


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
