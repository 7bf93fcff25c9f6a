"""Sequential MNIST, 784 steps of one pixel, with probabilistic LIF neurons (Higuchi et al., AIROV 2026).

The structure is the paper's: (1, 256 recurrent, 10), no bias. The settings are ours, chosen by short runs that look at
the training set and a part of the validation set (results/smnist/search.jsonl). What makes the network learn from the
first hundred steps on: recurrent weights near the edge of stability (mean rates of an untrained network then already
tell 7 digits in 10), initial time constants spread around 40 steps with equal jumps, a surrogate of half the height,
and a loss on the mean readout, which reaches every step directly.
"""

from rheobase.training import Config


def probplif() -> Config:
    """ProbPLIF, 68,618 parameters. Published, with σ=1: 97.09 %."""
    return Config(
        recipe="problif/smnist-plif",
        data="mnist",
        encoding="pixels",
        hidden=(256,),
        neuron="probplif",
        neuron_options={
            "sigma": 1.0,
            "tau": 40.0,
            "tau_log_std": 1.0,
            "surrogate": "DoubleGaussian(gamma=0.25)",
        },
        learn_readout_tau=True,
        model_options={"input_gain": 30.0, "recurrent_gain": 1.5, "readout_gain": 5.0, "equal_jumps": True},
        loss="mean_readout",
        epochs=30,
        batch=64,
        learning_rate=6e-3,
        tau_learning_rate=0.1,
        warmup=0.1,
        select="accuracy",
        evaluation_batch=250,
    )


def plif() -> Config:
    """The deterministic twin of ProbPLIF: sigma 0."""
    return _with_options(probplif(), "problif/smnist-plif0", sigma=0.0)


def problif() -> Config:
    """ProbLIF, one fixed time constant of 20 steps, 68,362 parameters. Published, with σ=1.2: 95.78 %."""
    options = {**probplif().neuron_options, "sigma": 1.2, "tau": 20.0}
    del options["tau_log_std"]
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


def _with_options(config: Config, name: str, **options: float) -> Config:
    return config.but(recipe=name, neuron_options={**config.neuron_options, **options})
