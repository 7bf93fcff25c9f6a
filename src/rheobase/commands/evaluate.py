"""`rheobase eval`: the test set again."""

import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from rheobase.commands import flags, terminal

if TYPE_CHECKING:
    from rheobase.training import Config


@dataclass(frozen=True)
class Options:
    """What `rheobase eval` reads."""

    source: tyro.conf.Positional[Path]
    """Folder of a run, record (.json), or weights (.safetensors)."""
    neuron: str | None = None
    """Another neuron with the same weights, as name:option=value: `lif:reset=hard:v_reset=-0.06` for CLIF's table 8."""
    deterministic: bool = False
    """Probabilistic neurons fire at the threshold instead of drawing their spikes (sigma 0)."""
    seed: int | None = None
    """Seed of the noise; none: the run's own, which repeats its test score."""
    passes: int = 1
    """Draw the spikes this many times and judge the mean readout."""

    def changed(self, config: "Config") -> "Config":
        """The config with neuron and noise as asked for. Errors: ValueError for a neuron that draws nothing."""
        from rheobase import neurons
        from rheobase.neurons.named import in_file

        if self.neuron is not None:
            config = config.with_neuron(self.neuron)
        if self.seed is not None:
            config = config.but(seed=self.seed)
        if not self.deterministic:
            return config
        known = config.neuron.lower() in neurons.KINDS or in_file(config.neuron)
        if not known or "sigma" not in inspect.signature(neurons.kind(config.neuron).__init__).parameters:
            raise ValueError(f"--deterministic: {config.neuron} draws nothing. Leave it out.")
        return config.but(neuron_options={**config.neuron_options, "sigma": 0.0})


def run(arguments: list[str]) -> int:
    """Evaluate the test set again: `rheobase eval RUN_OR_RESULT` (a run's folder, a record, or a file of weights)."""
    from rheobase import training

    options = flags.parse(Options, arguments, "eval")
    task = training.restore_task(options.source, options.changed)
    score = training.evaluate(task, task.test, passes=options.passes)
    print_score(vars(score), len(task.test))
    return 0


def print_score(score: dict[str, float], count: int) -> None:
    terminal.say(f"test accuracy  {score['accuracy']:.2%}  ({count} samples)")
    terminal.say(f"test loss      {score['loss']:.4f}")
    if not math.isnan(score["firing_rate"]):  # event-driven networks have no steps
        terminal.say(f"firing rate    {score['firing_rate']:.4f} spikes per neuron and step")
