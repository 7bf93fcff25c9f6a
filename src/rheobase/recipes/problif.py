"""Probabilistic LIF neurons (Higuchi et al., AIROV 2026): S-MNIST and SHD.

The structure is fixed by the published parameter counts. Batch sizes, Adam, the linear schedule, clipping and
τ ~ N(20, 5) are the likely settings of the lab's public code; number of epochs and learning rate are ours.
"""

from rheobase.training import Config


def smnist() -> Config:
    """ProbLIF, σ=1.2, (1, 256 recurrent, 10), 68,352 weights and 10 readout time constants. Published: 95.78 %."""
    return Config(
        recipe="problif/smnist",
        data="mnist",
        encoding="pixels",
        hidden=(256,),
        neuron="problif",
        neuron_options={"sigma": 1.2},
        learn_readout_tau=True,
        epochs=100,
        batch=256,
        learning_rate=3e-3,
        evaluation_batch=256,
    )


def smnist_plif() -> Config:
    """ProbPLIF, σ=1, 68,618 parameters. Published: 97.09 %."""
    return smnist().but(recipe="problif/smnist-plif", neuron="probplif", neuron_options={"sigma": 1.0, "tau_std": 5.0})


def shd() -> Config:
    """ProbLIF, σ=1, (700, 128 recurrent, 20), 108,544 weights, readout fixed. Published: 79.99 %."""
    return Config(
        recipe="problif/shd",
        data="shd",
        hidden=(128,),
        neuron="problif",
        neuron_options={"sigma": 1.0},
        epochs=100,
        batch=32,
        learning_rate=1e-3,
        evaluation_batch=256,
    )


def shd_plif() -> Config:
    """ProbPLIF, σ=1.3, 108,692 parameters. Published: 87.72 %."""
    options: dict[str, float | bool | str] = {"sigma": 1.3, "tau_std": 5.0}
    return shd().but(recipe="problif/shd-plif", neuron="probplif", neuron_options=options, learn_readout_tau=True)


def hd() -> Config:
    """SHD's network on HD, speaker 3 held out. Another task than SHD: every test speaker is unknown."""
    return shd().but(recipe="problif/hd", data="hd", validation_speaker=3)


def hd_plif() -> Config:
    """SHD's ProbPLIF network on HD, speaker 3 held out."""
    return shd_plif().but(recipe="problif/hd-plif", data="hd", validation_speaker=3)
