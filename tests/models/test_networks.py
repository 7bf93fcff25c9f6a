"""Every architecture: published sizes, every neuron, repeated images, running statistics, names and hooks."""

import inspect
from typing import get_args

import pytest
import torch

import rheobase as rb
from rheobase.training.firing import FiringRate, record_spikes
from tests.models.small import NETWORKS, STEPS, images, network

# name, classes, channels, image, parameters as published (in millions, digits as published), layers of neurons
PUBLISHED = [
    ("spiking_resnet18", 10, 3, 32, "11.2", 17),
    ("resnet19", 10, 3, 32, "12.57", 17),
    ("resnet20", 100, 3, 32, "11.29", 19),
    ("imagenet_resnet18", 1000, 3, 224, "11.7", 17),
    ("imagenet_resnet34", 1000, 3, 224, "21.8", 33),
    ("vgg11", 10, 3, 32, "9.48", 8),
    ("vgg13", 200, 3, 64, "14.43", 10),
    ("vgg16", 10, 3, 32, "14.73", 13),
    ("vgg11_a", 10, 3, 32, "9.23", 8),
    ("vggsnn", 10, 2, 48, "9.27", 8),
    ("cnn5", 10, 3, 32, "1.64", 5),
    ("plifnet", 10, 3, 32, "36.7", 8),
    ("plifnet_dvs", 11, 2, 128, "1.7", 7),
    ("spike_transformer", 11, 2, 128, "2.57", 19),
]


@pytest.mark.parametrize(("name", "classes", "channels", "size", "millions", "layers"), PUBLISHED)
def test_published_sizes(name, classes, channels, size, millions, layers):
    with torch.device("meta"):
        model = rb.models.create(name, num_classes=classes, in_channels=channels, image_size=size)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert f"{count:.{len(millions.partition('.')[2])}f}" == millions
    assert len(model.neuron_layers()) == layers


def test_type_checkers_know_every_image_network():
    assert {*get_args(rb.models.ImageNetwork), "recurrent", "exact"} == set(rb.models.names())
    for name in get_args(rb.models.ImageNetwork):
        assert "parts" in inspect.signature(rb.models.ARCHITECTURES[name]).parameters


def test_every_architecture_is_counted():
    assert {row[0] for row in PUBLISHED} == set(NETWORKS)


def test_resnet18_has_its_published_neurons():
    """557,056 on a 32 x 32 image."""
    model = rb.models.create("spiking_resnet18", steps=1)
    with torch.no_grad():
        spikes = record_spikes(model.eval(), torch.zeros(1, 3, 32, 32))
    assert sum(layer[0, 0].numel() for layer in spikes.values()) == 557_056


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_from_every_weight(name):
    """Scores [T, B, classes] of any T; every parameter gets a gradient that is finite, the first ones not 0."""
    model = network(name, "lif", width=1 / 16, neuron_options={"surrogate": rb.surrogate.ATan()})
    x = images()
    scores = model(torch.stack([x, x.flip(-1)]))
    assert scores.shape == (2, 4, 5)
    torch.nn.functional.cross_entropy(scores.mean(0), torch.arange(4)).backward()
    for label, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), label
    assert next(iter(model.parameters())).grad.abs().sum() > 0


@pytest.mark.parametrize("neuron", rb.neurons.names())
def test_every_neuron_fits(neuron):
    """As spikes of maps (cnn5) and of vectors (plifnet's last layers, here after one stage)."""
    for name, options in (("cnn5", {}), ("plifnet_dvs", {"stages": 1, "width": 1 / 64})):
        model = network(name, neuron, **options)
        scores = model(images(2, 32))
        scores.square().mean().backward()
        assert scores.shape == (STEPS, 2, 5) and scores.isfinite().all()
        assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("neuron", ["plif", "glif", "dietlif", "psn"])
def test_attention_takes_neurons_without_a_plain_threshold(neuron):
    assert network("spike_transformer", neuron, depth=1)(images(1)).shape == (STEPS, 1, 5)


@pytest.mark.parametrize(("name", "norm"), [*((name, "batch") for name in NETWORKS), ("resnet19", "td")])
def test_a_repeated_image_is_the_image_stacked(name, norm):
    """Scores, gradients and running statistics of an image shown T times equal those of T copies, to rounding."""
    x = images(2)
    found = []
    for shown in (x, torch.stack([x] * STEPS)):
        model = network(name, "lif", norm=norm).double()
        scores = model(shown.double())
        scores.square().sum().backward()
        found.append([scores, *(p.grad for p in model.parameters()), *model.buffers()])
    for once, stacked in zip(*found, strict=True):
        torch.testing.assert_close(once, stacked, rtol=1e-9, atol=1e-9)


def test_the_first_layers_see_a_repeated_image_once():
    """The first convolution and the first norm run on B images, the second convolution on T·B."""
    model, seen = network("spiking_resnet18"), []
    for layer in (model.features.conv, model.features.block1.norm1, model.features.block1.conv1):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output.stride(0)))
    with torch.no_grad():
        model(images())
        model(images().expand(STEPS, -1, -1, -1, -1))
    assert seen[:3] == seen[3:] and seen[0] == seen[1] == 0 and seen[2] > 0


def test_running_variance_counts_time():
    """BatchNorm's own variance, made unbiased by B·H·W elements, is off by T(n−1)/(Tn−1): the check sees that."""
    x, T = torch.randn(2, 3, 2, 2, dtype=torch.float64), 4
    ours, whole, naive = rb.layers.BatchNorm2d(3), torch.nn.BatchNorm2d(3), torch.nn.BatchNorm2d(3)
    for norm in (ours, whole, naive):
        norm.double()
    for _ in range(3):
        ours(x.expand(T, *x.shape))
        whole(x.repeat(T, 1, 1, 1))
        naive(x)
    torch.testing.assert_close(ours.running_var, whole.running_var, rtol=1e-12, atol=0)
    torch.testing.assert_close(ours.running_mean, whole.running_mean)
    assert ours.num_batches_tracked == 3 and (naive.running_var / whole.running_var - 1).abs().min() > 0.01


def test_dropout_keeps_its_mask_over_time():
    layer = rb.layers.Dropout(0.5)
    y = layer(torch.ones(4, 3, 50))
    assert torch.equal(y, y[:1].expand_as(y)) and set(y.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(layer.eval()(y), y)


@pytest.mark.parametrize("name", NETWORKS)
def test_neuron_layers_are_in_order_and_can_be_hooked(name):
    model, ran = network(name), []
    for label, layer in model.neuron_layers().items():
        layer.register_forward_hook(lambda module, inputs, output, label=label: ran.append(label))
    with torch.no_grad(), FiringRate(model) as firing:
        model(images())
    assert ran == list(model.neuron_layers()) and 0 < firing.rate < 1
    assert all("neuron" in label for label in ran)


@pytest.mark.parametrize("name", NETWORKS)
def test_channels_last_runs_without_copies(name):
    """Neurons read what convolutions and norms write, in both memory formats; the scores agree."""
    scores = []
    for form in (torch.contiguous_format, torch.channels_last):
        model = network(name, "lif").double().to(memory_format=form)
        copied: dict[str, bool] = {}
        for label, layer in model.neuron_layers().items():
            layer.register_forward_hook(
                lambda *_, label=label, copied=copied: copied.update({label: rb.last_backend().copied})
            )
        scores.append(model(images(2).double()))
        assert copied and not any(copied.values()), copied
    torch.testing.assert_close(*scores)


@pytest.mark.parametrize("name", NETWORKS)
def test_twins_know_no_time(name):
    """ReLU in every neuron's place: an image is shown once, and showing it more often changes nothing."""
    model = network(name, "relu", steps=None).eval()
    x = images()
    scores = model(x)
    assert scores.shape == (1, 4, 5) and list(model.neuron_layers()) == list(network(name).neuron_layers())
    torch.testing.assert_close(model(torch.stack([x, x])), scores.expand(2, -1, -1))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in network(name).parameters())


def test_initial_weights():
    model = rb.models.create("vgg11", weight_seed=0)
    conv, linear = model.features.conv4_1.conv, model.classifier
    assert conv.weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)
    assert linear.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert not conv.bias.any() and not linear.bias.any()


def test_weight_seed_fixes_weights_whatever_the_neuron_draws():
    weights = [network("resnet20", neuron).features.stem.conv1.conv.weight for neuron in ("lif", "glif", "psn")]
    assert torch.equal(weights[0], weights[1]) and torch.equal(weights[0], weights[2])


def test_threshold_dependent_norms_know_threshold_and_branches():
    model = network("resnet19", "lif", norm="td", neuron_options={"threshold": 0.5})
    block = model.features.block2_1
    assert block.norm1.gain == 0.5
    assert block.norm2.gain == block.shortcut.norm.gain == pytest.approx(0.5 / 2**0.5)
    assert network("resnet19", lambda: rb.LIF(threshold=0.5), norm="td").features.stem.norm.gain == 0.5


def test_the_sum_of_attention_has_half_the_threshold():
    model = network("spike_transformer", "clif", neuron_options={"threshold": 0.8})
    attention = model.features.block1.attention
    assert attention.sum_neuron.threshold == 0.4 and attention.neuron.threshold == 0.8


def test_factories_get_what_they_ask_for():
    made = []

    def factory(channels, steps):
        made.append((channels, steps))
        return rb.GLIF(channels=channels, steps=steps)

    model = network("cnn5", factory)
    assert made == [(1, 3), (2, 3), (4, 3), (8, 3), (8, 3)] and model(images()).shape == (3, 4, 5)
    assert network("cnn5", rb.PLIF).features.conv3.neuron.w.shape == ()
    assert network("cnn5", rb.PLIF, per_channel=True).features.conv3.neuron.w.shape == (4,)


def test_create_takes_the_shape_by_position():
    model = rb.models.create("cnn5", "lif", 7, 2, 48, width=0.0625)
    assert (model.in_channels, model.image_size) == (2, (48, 48))
    assert model(torch.randn(1, 1, 2, 48, 48)).shape == (1, 1, 7)


def test_glif_is_channel_wise_as_published_unless_told_otherwise():
    for per_channel, shape in ((None, (4,)), (True, (4,)), (False, ())):
        assert network("cnn5", "glif", per_channel=per_channel, steps=2).features.conv3.neuron.tau.shape == shape
    assert network("cnn5", "plif").features.conv3.neuron.w.shape == ()
