"""Event-driven networks with exact gradients: QIF, theta and LIF neurons on images and on spoken digits."""

import math

from rheobase.training import Config
from rheobase.training.space import Range, Space


def mnist() -> Config:
    """Theta neurons, 784-100-100-10, the first output spike answers, pseudospikes. Published: 97.6 ± .1 %.

    Neuron, trial, weights, optimiser, rate and loss as published; batches of 200 instead of 1,000 and a share of spikes
    dropped in training are ours, chosen on the 6,000 training images held out for validation.
    """
    return Config(
        recipe="exact/mnist",
        data="mnist",
        encoding="direct",
        steps=1,
        model="exact",
        hidden=(100, 100),
        neuron="theta",
        neuron_options={"tau": 6 / math.pi, "i0": 1.25},
        model_options={"duration": 2.0, "dropout": 0.15},
        weight_gain=0.5,
        loss="first_spike",
        loss_options={"T": 2.0, "gamma": 0.01},
        optimizer="adabelief",
        learning_rate=4e-3,
        schedule="cosine",
        clip=None,
        batch=200,
        epochs=24,
        evaluation_batch=1000,
    )


def mnist_augmented() -> Config:
    """The same for longer, on images turned, sheared, stretched and shifted a little, with fewer spikes dropped."""
    return mnist().but(
        recipe="exact/mnist-augmented",
        augmentation="handwriting",
        model_options={"duration": 2.0, "dropout": 0.05},
        epochs=40,
    )


def mnist_space() -> Space:
    """For every neuron the same: step, first weights, and how many spikes training drops."""
    return {
        "learning_rate": Range(1e-3, 2e-2, log=True),
        "weight_gain": Range(0.25, 4.0, log=True),
        "model_options.shift": Range(0.0, 4.0),
        "model_options.dropout": Range(0.0, 0.4),
    }


def digits() -> Config:
    """QIF neurons, 64-50-30-10, on the embedded 8x8 digits: the study in miniature, seconds per run."""
    return Config(
        recipe="exact/digits",
        data="digits",
        encoding="direct",
        steps=1,
        model="exact",
        hidden=(50, 30),
        neuron="qif",
        neuron_options={"tau": 10.0},
        model_options={"duration": 20.0, "shift": 1.5},
        weight_gain=4.0,
        loss="first_spike",
        loss_options={"T": 20.0, "gamma": 0.01},
        optimizer="adabelief",
        learning_rate=1e-2,
        schedule="cosine",
        clip=1.0,
        batch=50,
        epochs=25,
    )


def digits_silent() -> Config:
    """The same network, started with weights so low that no hidden neuron ever spikes."""
    return digits().but(recipe="exact/digits-silent", model_options={"duration": 20.0, "shift": 0.0}, weight_gain=0.5)


def digits_space() -> Space:
    """For every neuron the same: time constant, step, and first weights."""
    return {
        "neuron_options.tau": Range(3.0, 30.0, log=True),
        "learning_rate": Range(2e-3, 4e-2, log=True),
        "weight_gain": Range(0.5, 8.0, log=True),
        "model_options.shift": Range(0.0, 6.0),
    }


def hd() -> Config:
    """QIF neurons on spoken digits, 70-128-20: 700 channels in tens, 16 ms steps, 128 neurons that only the input
    drives, and a readout whose weights change with time. Speaker 3 is held out for validation."""
    return Config(
        recipe="exact/hd",
        data="hd",
        validation_speaker=3,
        model="exact",
        hidden=(128,),
        neuron="qif",
        neuron_options={"tau": 0.02},
        model_options={
            "duration": 1.008,
            "answer": "timed",
            "knots": 10,
            "readout_gain": 0.3,
            "merge_channels": 10,
            "merge_steps": 4,
            "shift": 0.5,
        },
        weight_gain=2.0,
        loss="mean_readout",
        optimizer="adam",
        learning_rate=5e-3,
        schedule="cosine",
        clip=1.0,
        batch=64,
        epochs=10,
        evaluation_batch=256,
    )


def shd() -> Config:
    """The same on SHD's own files, with the settings of HD: nothing was searched there."""
    return hd().but(recipe="exact/shd", data="shd")


def hd_space() -> Space:
    """For every neuron the same: time constant, step, and first weights."""
    return {
        "neuron_options.tau": Range(0.01, 0.1, log=True),
        "learning_rate": Range(1e-3, 1e-2, log=True),
        "weight_gain": Range(0.5, 4.0, log=True),
        "model_options.shift": Range(0.0, 1.0),
    }
