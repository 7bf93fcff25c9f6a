"""What stands where in the networks: branches, pools, votes, dropout, and what fixes the first weights."""

import pytest
import torch

import rheobase as rb
from rheobase.layers import Conv2d, Dropout, Linear
from tests.models.small import images, network

DROPOUTS = {  # layers of dropout as the papers place them: behind neurons, before linear layers, within blocks
    "spiking_resnet18": 8 + 1,
    "vgg11": 8,
    "vgg13": 10,
    "vgg16": 13,
    "vgg11_a": 8,
    "vggsnn": 1,
    "cnn5": 1,
    "plifnet": 2,
}


def silenced(norm: torch.nn.Module) -> None:
    """Make a norm give zeros, and so the branch that it ends."""
    torch.nn.init.zeros_(norm.weight)
    torch.nn.init.zeros_(norm.bias)


def test_the_position_is_added_to_the_patches():
    patches = network("spike_transformer", "lif", width=0.25).eval().features.patches
    silenced(patches.position.norm)
    pooled = []
    patches.pool.register_forward_hook(lambda module, inputs, y: pooled.append(y))
    y = patches(images().unsqueeze(0))
    assert torch.equal(y, pooled[-1]) and bool(y.any())


def test_a_transformer_block_has_two_shortcuts():
    torch.manual_seed(0)
    block = network("spike_transformer", "lif", width=0.25).eval().features.block1
    x = 3 * torch.randn(2, 2, 64, 4, 4)
    attention, mlp = block.attention.project.norm, block.mlp.contract.norm
    whole = block(x)
    after = x + block.attention(x)
    torch.testing.assert_close(whole, after + block.mlp(after))
    silenced(mlp)
    torch.testing.assert_close(block(x), after)
    silenced(attention)
    assert torch.equal(block(x), x) and not torch.equal(after, x)


def test_each_class_has_the_votes_of_its_own_ten_neurons():
    model = network("plifnet", "lif").eval()
    votes = torch.zeros(3, 4, 50)
    votes[0, 0, 20:30] = votes[1, 1, 0:5] = votes[2, 3, 49] = 1
    model.neuron2.register_forward_hook(lambda module, inputs, spikes: votes)
    want = torch.zeros(3, 4, 5)
    want[0, 0, 2], want[1, 1, 0], want[2, 3, 4] = 1.0, 0.5, 0.1
    torch.testing.assert_close(model(images()), want)


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_runs_in_every_place_of_the_paper(name):
    model, ran = network(name, "lif", dropout=0.3).train(), []
    layers = [layer for layer in model.modules() if isinstance(layer, Dropout)]
    for layer in layers:
        layer.register_forward_hook(lambda layer, inputs, y: ran.append(layer))
    model(images())
    assert ran == layers and len(layers) == DROPOUTS[name]
    assert all(layer.p == 0.3 for layer in layers)


def test_the_pool_of_imagenet_stems_counts_its_padding():
    """AvgPool(3, 2, 1): a corner of ones has four ninths."""
    pool = network("imagenet_resnet18", "lif").features.stem.pool
    y = pool(torch.ones(1, 1, 1, 8, 8))[0, 0, 0]
    assert y[0, 0] == pytest.approx(4 / 9) and y[0, 1] == pytest.approx(6 / 9) and y[1, 1] == pytest.approx(1)


def test_pooled_shortcuts_of_odd_maps_are_means_of_what_is_there():
    shortcut = network("resnet20", "lif").features.block2_1.shortcut
    assert torch.equal(shortcut.pool(torch.ones(1, 1, 1, 5, 5)), torch.ones(1, 1, 1, 3, 3))


@pytest.mark.parametrize("name", ["resnet20", "vgg11", "plifnet"])
def test_the_weight_seed_fixes_convolutions_and_linear_layers(name):
    """Whatever the state of torch's generator and whatever the neurons draw."""
    found = []
    for neuron in ("lif", "glif"):
        model = network(name, neuron)
        found.append([layer.weight for layer in model.modules() if isinstance(layer, (Conv2d, Linear))])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))
    other = network(name, "lif", weight_seed=1)
    weights = [layer.weight for layer in other.modules() if isinstance(layer, (Conv2d, Linear))]
    assert not any(torch.equal(*pair) for pair in zip(found[0], weights, strict=True))


def test_weights_of_event_driven_networks_start_around_their_shift():
    """U(±gain/√n) around shift/√n, n inputs."""
    plain, shifted = (
        rb.models.create("exact", in_channels=9, hidden=(50,), shift=shift, weight_gain=0.5, weight_seed=0)
        for shift in (0.0, 1.5)
    )
    for before, after, inputs in zip(plain.weights, shifted.weights, (9, 50), strict=True):
        torch.testing.assert_close(after, before + 1.5 / inputs**0.5)
        assert before.abs().max() <= 0.5 / inputs**0.5
