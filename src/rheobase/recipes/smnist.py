"""Sequential MNIST, 784 steps of one pixel, with probabilistic LIF neurons (Higuchi et al., AIROV 2026).

The layers are the paper's, (1, 256 recurrent, 10) without bias, and so is the number of parameters. Beyond the paper,
spikes between the recurrent neurons travel 0, 16, ... or 240 steps (fixed, no parameter); `undelayed` takes that away.
`problif_paper` and `probplif_paper` stand for the paper's rows. The settings of all others are ours, chosen by short
runs that look at the training set and a part of the validation set (results/smnist/search.jsonl). What makes the
network learn fast, in this order: the delays; a readout that integrates over the last 150 steps, judged at the last
step only; weights that count in jumps of the potential, so that slow neurons learn as fast as fast ones; small batches.
"""

from rheobase.recipes.problif import shd
from rheobase.training import Config


def probplif() -> Config:
    """ProbPLIF, 68,618 parameters, with delays."""
    return Config(
        recipe="problif/smnist-plif",
        data="mnist",
        encoding="pixels",
        hidden=(256,),
        neuron="probplif",
        neuron_options={
            "sigma": 0.3,
            "mix": 0.3,
            "tau": 40.0,
            "tau_log_std": 1.0,
            "surrogate": "DoubleGaussian(gamma=0.25)",
        },
        readout_tau=150.0,
        readout_tau_std=30.0,
        learn_readout_tau=True,
        model_options={
            "input_gain": 20.0,
            "recurrent_gain": 1.5,
            "readout_gain": 4.0,
            "equal_jumps": True,
            "longest_delay": 240,
            "delay_step": 16,
        },
        loss="last_step",
        epochs=9,
        batch=32,
        learning_rate=2e-3,
        tau_learning_rate=0.1,
        warmup=0.02,
        select="accuracy",
        evaluation_batch=250,
    )


def plif() -> Config:
    """The deterministic twin of ProbPLIF: sigma 0."""
    return _with_options(probplif(), "problif/smnist-plif0", sigma=0.0)


def problif() -> Config:
    """ProbLIF, one fixed time constant, 68,362 parameters, with delays."""
    options = {key: value for key, value in probplif().neuron_options.items() if key != "tau_log_std"}
    options["tau"] = 20.0  # of 20, 40 and 100, by validation
    return probplif().but(recipe="problif/smnist", neuron="problif", neuron_options=options)


def lif() -> Config:
    """The deterministic twin of ProbLIF: sigma 0."""
    return _with_options(problif(), "problif/smnist-lif", sigma=0.0)


def lif_low_threshold() -> Config:
    """Control: LIF that fires early because its threshold is .5."""
    return _with_options(lif(), "problif/smnist-lif-threshold", threshold=0.5)


def lif_large_weights() -> Config:
    """Control: LIF that fires early because its initial weights are three times larger."""
    return lif().but(recipe="problif/smnist-lif-weights", weight_gain=3.0)


def problif_paper() -> Config:
    """ProbLIF, σ=1.2, chosen by the validation loss, 68,362 parameters. Published: 95.78 %.

    Batches of 256 are the likely size in the lab's public code, the rest is as in recipes/problif.py: number of epochs
    and learning rate are ours.
    """
    return shd().but(
        recipe="problif/smnist-paper",
        data="mnist",
        encoding="pixels",
        hidden=(256,),
        neuron_options={"sigma": 1.2},
        learn_readout_tau=True,
        batch=256,
    )


def probplif_paper() -> Config:
    """ProbPLIF, σ=1, τ ~ N(20, 5), 68,618 parameters. Published: 97.09 %."""
    options: dict[str, float | bool | str] = {"sigma": 1.0, "tau_std": 5.0}
    return problif_paper().but(recipe="problif/smnist-plif-paper", neuron="probplif", neuron_options=options)


def probplif_undelayed() -> Config:
    """Our settings in the paper's structure: spikes arrive after one step."""
    return _undelayed(probplif())


def problif_undelayed() -> Config:
    """Our settings in the paper's structure: spikes arrive after one step."""
    return _undelayed(problif())


def _undelayed(config: Config) -> Config:
    options = {**config.model_options, "longest_delay": 0, "delay_step": 1}
    return config.but(recipe=f"{config.recipe}-undelayed", model_options=options)


def _with_options(config: Config, name: str, **options: float) -> Config:
    return config.but(recipe=name, neuron_options={**config.neuron_options, **options})
