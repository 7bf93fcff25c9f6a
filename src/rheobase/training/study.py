"""A study: one protocol, variants of it, the same seeds for all, and the orderings that papers claim for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rheobase.neurons.named import warn_of_changes
from rheobase.training import checkpoint, record
from rheobase.training.config import Config
from rheobase.training.loop import publish, train


@dataclass(frozen=True)
class Claim:
    """What a paper says: variant `better` reaches a higher accuracy than variant `worse`."""

    better: str
    worse: str
    source: str


@dataclass(frozen=True)
class Study:
    """A base config, its variants by label (changes of the config; a neuron as `name:option=value`), and claims.

    `axes`: up to two settings that labels tell as `name=value`, over which the accuracy can be drawn.
    """

    title: str
    config: Config
    variants: Mapping[str, Mapping[str, Any]]
    claims: tuple[Claim, ...] = field(default=())
    axes: tuple[str, ...] = ()

    def configured(self, label: str, seed: int) -> Config:
        """The config of one variant with one seed."""
        changes = dict(self.variants[label])
        spec = changes.pop("neuron", None)
        config = self.config.but(seed=seed, **changes)
        return config if spec is None else config.with_neuron(spec)

    def place(self, label: str) -> tuple[str, tuple[float, ...]]:
        """What of a label is no axis, and its values on the axes: ("clif", (4.0,)) for "clif T=4"."""
        words = [word.partition("=") for word in label.split()]
        values = {name: value for name, _, value in words if name in self.axes}
        name = " ".join("".join(word) for word in words if word[0] not in self.axes)
        return name, tuple(float(values[axis]) for axis in self.axes if axis in values)


@dataclass(frozen=True)
class Verdict:
    """A claim against the runs: differences in accuracy of the seeds that both variants have."""

    claim: Claim
    differences: tuple[float, ...]

    def __str__(self) -> str:
        if not self.differences:
            return "no seed has both yet"
        holds, count = sum(value > 0 for value in self.differences), len(self.differences)
        spread = f" ± {100 * stdev(self.differences):.2f}" if count > 1 else ""
        return f"holds for {holds} of {count} seeds, {100 * mean(self.differences):+.2f}{spread} points"


def path_of(folder: Path, label: str, seed: int) -> Path:
    """Where the record of one run of a study lies."""
    return folder / f"{label.replace(' ', '-').replace('=', '')}-seed{seed}.json"


def finished(study: Study, folder: Path, seeds: Sequence[int]) -> dict[str, dict[int, dict[str, Any]]]:
    """The records that are there, by variant and seed.

    Errors: ValueError naming a record of another protocol.
    """
    found: dict[str, dict[int, dict[str, Any]]] = {label: {} for label in study.variants}
    for label in study.variants:
        for seed in seeds:
            path = path_of(folder, label, seed)
            if path.exists():
                found[label][seed] = _checked(record.read(path), study.configured(label, seed), path)
    return found


def work_off(
    study: Study, folder: Path, seeds: Sequence[int], runs: Path, *, command: str = "", again: str = "", console=None
) -> Iterator[tuple[str, int]]:
    """Train what is missing, all variants of the first seed first; yields (label, seed) after each run.

    Checkpoints lie under `runs`: an interrupted run goes on, a finished one leaves its record in `folder`,
    with seed 0 also its weights.
    """
    for seed in seeds:
        for label in study.variants:
            path = path_of(folder, label, seed)
            if path.exists():
                continue
            config, place = study.configured(label, seed), runs / path.stem
            resume = (place / checkpoint.CURRENT).exists()
            done = train(config, place, resume=resume, command=command, again=again, console=console)
            if seed == 0:
                publish(place, path)
            else:
                record.write(path, {name: value for name, value in done.items() if name != "weights"})
            yield label, seed


def verdicts(study: Study, found: Mapping[str, Mapping[int, dict[str, Any]]]) -> list[Verdict]:
    """Every claim of a study against the records."""
    judged = []
    for claim in study.claims:
        better, worse = found[claim.better], found[claim.worse]
        both = sorted(better.keys() & worse.keys())
        differences = (better[seed]["test"]["accuracy"] - worse[seed]["test"]["accuracy"] for seed in both)
        judged.append(Verdict(claim, tuple(differences)))
    return judged


def _checked(found: dict[str, Any], config: Config, path: Path) -> dict[str, Any]:
    if Config.from_dict(found["config"]) != config:
        raise ValueError(
            f"{path} holds a run with other settings than the study's. Move it away, or change its folder."
        )
    warn_of_changes(config.neuron, found, path, "its numbers are those of the old one")
    return found
