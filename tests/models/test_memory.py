"""What networks keep for the backward pass, measured, and that keeping less changes nothing."""

import contextlib

import pytest
import torch

import rheobase as rb
from tests.models.small import NETWORKS, images, network


def kept(model: torch.nn.Module, x: torch.Tensor, context) -> int:
    """Bytes that live on after a forward pass: what was allocated in it and not freed, by torch's own count."""
    with context():
        model(x).sum().backward()  # compiles, and makes what stays
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as found, context():
        scores = model(x)
    assert scores.grad_fn is not None
    return sum(event.self_cpu_memory_usage for event in found.key_averages())


@pytest.mark.parametrize("neuron", ["lif", "clif"])
def test_resnet18_keeps_three_tensors_a_layer_and_packed_one(neuron):
    """Norm's input, neuron's input and spikes, 4 bytes each; packed, the first alone and a bit per spike."""
    model, x = network("spiking_resnet18", neuron, width=1 / 8), images(8)
    with torch.no_grad():
        model(x)
    places = 3 * 8 * 557_056 // 8 * 4  # T·B·neurons·bytes; the first neuron's currents are those of one step
    plain, packed = kept(model, x, contextlib.nullcontext), kept(model, x, rb.pack_spikes)
    assert 2.7 < plain / places < 3.1
    assert packed < 0.4 * plain


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", NETWORKS)
def test_packed_networks_compute_the_same(name, form):
    """Scores, gradients and running statistics, in float64; float32 agrees to rounding of the norms."""
    found = []
    for context in (contextlib.nullcontext, rb.pack_spikes):
        model = network(name, "lif").double().to(memory_format=form)
        with context():
            scores = model(torch.stack([images(2), images(2).flip(-1)]).double())
        scores.square().sum().backward()
        found.append([scores, *(p.grad for p in model.parameters()), *model.buffers()])
    for plain, packed in zip(*found, strict=True):
        torch.testing.assert_close(plain, packed, rtol=1e-9, atol=1e-12)


def test_norms_are_cooked_again_only_where_that_is_asked_for():
    """Hooks of a norm run unless its output is made again; in eval mode nothing is."""
    model, ran = network("cnn5", "lif"), []
    model.features.conv2.norm.register_forward_hook(lambda *_: ran.append(True))
    model(images())
    with rb.pack_spikes():
        model(images())
        assert len(ran) == 1
        model.eval()(images())
    assert len(ran) == 2


def test_a_norm_whose_statistics_are_shared_keeps_them():
    """Training on several processes exchanges `_normalise`; packing must not go round it."""
    norm, ran = rb.layers.BatchNorm2d(2), []
    alone = norm._normalise
    norm._normalise = lambda *given: ran.append(True) or alone(*given)
    with rb.pack_spikes():
        rb.layers.normed(norm, rb.LIF(), torch.randn(3, 2, 2, 4, 4, requires_grad=True))
    assert ran == [True]


def test_a_norms_input_changed_in_place_is_noticed():
    norm, neuron = rb.layers.BatchNorm2d(2), rb.LIF()
    x = torch.randn(3, 2, 2, 4, 4, requires_grad=True) * 1.0
    with rb.pack_spikes():
        spikes = rb.layers.normed(norm, neuron, x)
    x.detach().add_(1)
    with pytest.raises(RuntimeError, match=r"changed in place|modified by an inplace operation"):
        spikes.sum().backward()
