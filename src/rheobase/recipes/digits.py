"""The embedded digits, 8 rows of 8 pixels: the run of a newcomer's first minute."""

from rheobase.training import Config


def digits() -> Config:
    """ProbPLIF, 128 recurrent neurons; settings chosen by the validation loss, mean of three seeds."""
    return Config(
        recipe="digits",
        data="digits",
        neuron="probplif",
        neuron_options={"tau": 2.0, "tau_std": 0.5, "sigma": 0.1, "mix": 0.2},
        readout_tau=3.0,
        readout_tau_std=1.0,
        weight_gain=3.0,
        loss="last_step",
        epochs=120,
        batch=32,
        learning_rate=1e-2,
    )


def digits_baseline() -> Config:
    """The deterministic twin: the same neuron with sigma 0."""
    return digits().but(recipe="digits/baseline", neuron_options={**digits().neuron_options, "sigma": 0.0})
