"""Sequential MNIST: 784 steps of one pixel."""

from rheobase.recipes import problif
from rheobase.training import Config


def smnist() -> Config:
    """ProbPLIF as in the paper, the network that `rheobase train smnist` trains."""
    return problif.smnist_plif().but(recipe="smnist")


def smnist_baseline() -> Config:
    """The deterministic twin: the same neuron with sigma 0."""
    return smnist().but(recipe="smnist/baseline", neuron_options={**smnist().neuron_options, "sigma": 0.0})
