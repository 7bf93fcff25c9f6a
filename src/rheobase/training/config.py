"""The configuration of one training run: typed, frozen, complete."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from rheobase.names import unknown


@dataclass(frozen=True)
class Config:
    """Everything that determines a run. Recipes are functions returning one; variants are `config.but(epochs=3)`."""

    recipe: str = "digits"
    """Name under which the run is recorded."""
    data: str = "digits"
    """Data set, one of `rheobase data list`."""
    encoding: str | None = None
    """rows, pixels, events, direct, poisson or latency; none: the data set's own."""
    steps: int | None = None
    """Time steps of the encodings direct, poisson and latency."""
    mask_padding: bool = False
    """Leave the steps after the end of each sequence out of loss, prediction and firing rate."""

    model: str = "recurrent"
    """Architecture, one of `rb.models.names()`."""
    hidden: tuple[int, ...] = (128,)
    """Neurons in each hidden layer."""
    neuron: str = "probplif"
    """Neuron, one of `rb.neurons.names()`."""
    neuron_options: dict[str, float | bool | str] = field(default_factory=dict)
    """Options of the neuron, for example `sigma 1.2 tau 20`."""
    readout_tau: float = 20.0
    """Mean time constant of the readout, in steps."""
    readout_tau_std: float = 5.0
    """Standard deviation of the readout's time constants over the classes."""
    learn_readout_tau: bool = False
    """Learn the time constants of the readout, one per class."""

    weight_gain: float = 1.0
    """Factor on the Xavier-uniform weights."""

    epochs: int = 40
    """Passes over the training samples."""
    batch: int = 128
    """Samples per step of the optimiser."""
    learning_rate: float = 3e-3
    """Adam's learning rate at the start."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls to 0 over all steps."""
    clip: float | None = 1.0
    """Largest norm of the gradient; none: unlimited."""
    loss: str = "every_step"
    """every_step, last_step or mean_readout; last_step predicts from the last step, the others from the mean."""
    patience: int | None = None
    """Stop after this many epochs without a lower validation loss; none: never."""

    validation_fraction: float = 0.1
    """Share of every class of the training set that is held out for validation."""
    validation_speaker: int | None = None
    """Hold out this speaker instead of a fraction."""
    evaluation_batch: int = 500
    """Samples per batch in evaluation."""
    seed: int = 0
    """Seed of weights, order and noise; the split does not depend on it."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes the GPU where there is one."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "evaluation_batch", "learning_rate", "weight_gain"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("clip", self.clip is None or self.clip > 0, "above 0, or none")
        self._require("patience", self.patience is None or self.patience > 0, "above 0, or none")
        self._require("hidden", bool(self.hidden) and min(self.hidden) > 0, "one or more positive numbers")
        self._require("seed", self.seed >= 0, "0 or above")
        self._require("schedule", self.schedule in ("linear", "cosine", "constant"), "linear, cosine or constant")

    def but(self, **changes: Any) -> Config:
        """A copy with some fields changed. Errors: ValueError naming the nearest field for an unknown one."""
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            if name not in known:
                raise unknown("config field", name, known)
        return dataclasses.replace(self, **changes)

    def with_neuron(self, spec: str) -> Config:
        """A copy with the neuron of `name` or `name:option=value:option=value`.

        Options are added to the config's own where the name is the same; another neuron starts from its defaults.
        """
        name, *pairs = spec.split(":")
        options = dict(self.neuron_options) if name == self.neuron else {}
        for pair in pairs:
            option, equals, value = pair.partition("=")
            if not equals:
                raise ValueError(f"neuron {spec!r}: options are written name:option=value; got {pair!r}.")
            options[option] = _value(value)
        return self.but(neuron=name, neuron_options=options)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Config:
        """The config that `as_dict` came from, also after JSON has made lists of tuples."""
        return Config().but(**{**values, "hidden": tuple(values["hidden"])})

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise ValueError(f"config: {name} must be {what}; got {getattr(self, name)!r}.")


def _value(text: str) -> float | bool | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number.is_integer() and "." not in text and "e" not in text.lower() else number
