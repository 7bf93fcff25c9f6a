"""Sequential MNIST: 784 steps of one pixel."""

from rheobase.recipes import problif
from rheobase.training import Config


def smnist() -> Config:
    """The paper's ProbPLIF network with larger initial weights and steps: it learns from the first epoch on.

    One epoch: validation accuracy 19.6 % against 11.2 % with gain 1 and learning rate 5e-3 (results/smnist).
    """
    return problif.smnist_plif().but(recipe="smnist", weight_gain=5.0, learning_rate=0.02)


def smnist_baseline() -> Config:
    """The deterministic twin: the same neuron with sigma 0."""
    return smnist().but(recipe="smnist/baseline", neuron_options={**smnist().neuron_options, "sigma": 0.0})
