"""What models refuse, in which words."""

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
    (lambda: network("vgg11", steps=None)(images()), ValueError, "create the model with steps=T"),
    (lambda: network("vgg11")(images()[None], steps=2), ValueError, "x has 1 time steps"),
    (lambda: network("vgg11")(images(), steps=0), ValueError, "steps must be a whole number of time steps >= 1; got 0"),
    (lambda: network("vgg11")(images(), steps=2.5), ValueError, "steps must be a whole number.*2.5"),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED, ids=[str(k) for k in range(len(REFUSED))])
def test_refusals(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


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
