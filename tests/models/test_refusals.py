"""What models refuse, in which words."""

import re

import pytest
import torch

import rheobase as rb
from tests.models.small import images, network

REFUSED = [
    (lambda: rb.models.create("spiking_resnet19"), ValueError, "Did you mean 'spiking_resnet18'"),
    (lambda: network("vgg11", "cliff"), ValueError, "Did you mean 'clif'"),
    (lambda: network("vgg11", droput=0.1), ValueError, "Did you mean 'dropout'"),
    (lambda: network("resnet19", dropout=0.1), ValueError, "Unknown option of model resnet19 'dropout'"),
    (lambda: network("vgg11", "lif", neuron_options={"taux": 2.0}), TypeError, "did you mean 'tau'"),
    (lambda: network("vgg11", rb.LIF, neuron_options={"tau": 2.0}), ValueError, "already holds its options"),
    (lambda: network("vgg11", rb.LIF()), TypeError, "lambda: rb.CLIF"),
    (lambda: network("vgg11", lambda: torch.nn.ReLU()), TypeError, "must return an rb neuron"),
    (lambda: network("vgg11", "relu", neuron_options={"tau": 2.0}), ValueError, "'relu' has no options"),
    (lambda: network("vgg11", "clif", per_channel=True), ValueError, "CLIF has no parameters to give per channel"),
    (lambda: network("vgg11", "glif", steps=None), ValueError, "give the model steps=T"),
    (lambda: network("vgg11", norm="layer"), ValueError, "Unknown norm 'layer'"),
    (lambda: network("vgg11", width=0), ValueError, "width must be above 0"),
    (lambda: network("vgg11", steps=0), ValueError, "steps must be a whole number"),
    (lambda: network("vgg11", image_size=32.0), ValueError, r"image_size must be one side.*got 32\.0"),
    (lambda: network("vgg11", image_size=True), ValueError, "image_size must be one side"),
    (lambda: network("vgg11", dropout=1.0), ValueError, r"p must be in \[0, 1\)"),
    (lambda: network("vgg11", image_size="32"), ValueError, "image_size must be one side"),
    (lambda: network("vgg11", image_size=28), ValueError, "28x28 are not admitted; admitted are sides from 32 pixels"),
    (lambda: network("plifnet_dvs", stages=6), ValueError, "32x32 are not admitted; admitted are sides from 64"),
    (lambda: network("spike_transformer", depth=0), ValueError, "depth must be a whole number >= 1"),
    (lambda: network("vgg11")(images(size=28)), ValueError, "28x28 are not admitted"),
    (lambda: network("spiking_resnet18")(images(size=64)), ValueError, "heights of 25 to 56 and widths of 25 to 56"),
    (
        lambda: network("vggsnn")(images(size=48)),
        ValueError,
        "heights of 32 to 47.* another image_size, sides from 16",
    ),
    (lambda: network("vgg11")(images()[:, :1]), ValueError, "made for 2 channels"),
    (lambda: network("vgg11")(images()[0]), ValueError, r"\[T, B, C, H, W\] or \[B, C, H, W\]"),
    (lambda: network("vgg11")(images().byte()), TypeError, "floating-point"),
    (lambda: rb.models.create("recurrent", in_channels=4)(torch.rand(5, 4)), ValueError, r"\[T, B, ...\] of 4 inputs"),
    (lambda: rb.models.create("recurrent", in_channels=4)(torch.rand(5, 2, 3)), ValueError, r"shape \(5, 2, 3\)"),
    (lambda: rb.models.create("recurrent", in_channels=4)(torch.ones(5, 2, 4).int()), TypeError, "floating-point"),
    (lambda: network("vgg11", steps=None)(images()), ValueError, "create the model with steps=T"),
    (lambda: network("vgg11")(images()[None], steps=2), ValueError, "x has 1 time steps"),
    (lambda: network("vgg11")(images(), steps=0), ValueError, "steps must be a whole number of time steps >= 1; got 0"),
    (lambda: network("vgg11")(images(), steps=2.5), ValueError, "steps must be a whole number.*2.5"),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED, ids=[str(k) for k in range(len(REFUSED))])
def test_refusals(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


IMPOSSIBLE = {  # options by model, each with values that none of its rules lets through
    "resnet19": {
        "num_classes": (0, -1, 2.0, True),
        "in_channels": (0, -3, "a"),
        "steps": (True, 1.5, 0),
        "width": (0, "wide", float("nan")),
        "weight_seed": ("a", 1.5, -1),
    },
    "plifnet_dvs": {"stages": (0, 1.0, True)},
    "spike_transformer": {"depth": (0, 1.5), "mlp_ratio": (0, True)},
    "recurrent": {
        "num_classes": (0,),
        "in_channels": (0,),
        "hidden": (0, (0,), (), (2.5,), "8", True),
        "feedback": (1, (), (1, 0), "no"),
        "readout_tau": (0.0, -1.0),
        "readout_tau_std": (-1.0,),
        "weight_gain": (-1.0, 0.0, "a"),
        "input_gain": (-1.0,),
        "weight_seed": ("a",),
    },
    "exact": {
        "num_classes": (0,),
        "hidden": (0, (0,)),
        "merge_steps": (0, 1.5),
        "merge_channels": (0,),
        "knots": (0,),
        "duration": (-1.0, 0.0, float("inf")),
        "most_spikes": (0,),
        "leaky_tau": (0.0,),
        "shift": ("a",),
        "recurrent_gain": (-1.0,),
    },
}
CASES = [
    (model, option, value)
    for model, options in IMPOSSIBLE.items()
    for option, values in options.items()
    for value in values
]


@pytest.mark.parametrize(("model", "option", "value"), CASES)
def test_impossible_options_are_named(model, option, value):
    answer = {"answer": "timed"} if option == "knots" else {}
    with pytest.raises(ValueError, match=re.escape(f"{model}: {option} must be ") + ".*" + re.escape(f"got {value!r}")):
        rb.models.create(model, **{**answer, option: value})


def test_every_rule_is_of_an_option():
    from rheobase.models.options import RULES

    known = {option for name in rb.models.names() for option in rb.models.options_of(name)}
    assert set(RULES) <= known


@pytest.mark.parametrize(("name", "sizes"), [("spiking_resnet18", (25, 56)), ("vggsnn", (32, 47)), ("cnn5", (15, 46))])
def test_sizes_between_the_named_ends_are_admitted(name, sizes):
    model = network(name, "lif").eval()
    with torch.no_grad():
        for size in sizes:
            assert model(images(1, size), steps=1).shape == (1, 1, 5)
        for size in (sizes[0] - 1, sizes[1] + 1):
            with pytest.raises(ValueError, match=f"{sizes[0]} to {sizes[1]}"):
                model(images(1, size))


@pytest.mark.parametrize("name", ["vgg11", "resnet20", "imagenet_resnet18", "spike_transformer"])
def test_global_pools_admit_other_sizes(name):
    model = network(name, "lif").eval()
    with torch.no_grad():
        assert model(torch.randn(2, 1, 2, 37, 45)).shape == (2, 1, 5)
