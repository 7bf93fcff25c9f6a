"""Latency coding, the optimizer, and a small network that learns."""

from __future__ import annotations

import math

import pytest
import torch

from rheobase import exact
from rheobase.exact.adabelief import AdaBelief
from rheobase.exact.classifier import FirstSpike, accuracy, latency, train_epoch


def test_latency():
    times, ids = latency(torch.tensor([[[1.0, 0.0], [0.25, 0.5]], [[0.0, 0.0], [0.0, 0.1]]]), T=2.0)
    assert times.tolist() == [[0.0, 1.0, 1.5], [pytest.approx(1.8), math.inf, math.inf]]
    assert ids.tolist() == [[0, 3, 2], [3, -1, -1]]
    with pytest.raises(ValueError, match="values must lie"):
        latency(torch.tensor([[1.5]]), T=2.0)


def test_adabelief_by_hand():
    w = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimizer = AdaBelief([w], lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    m, s, wanted = torch.zeros_like(w), torch.zeros_like(w), w.detach().clone()
    for step in range(1, 4):
        w.grad = torch.tensor([0.5 * step, -1.0], dtype=torch.float64)
        optimizer.step()
        m = 0.9 * m + 0.1 * w.grad
        s = 0.99 * s + 0.01 * (w.grad - m) ** 2 + 1e-8
        wanted = wanted - 0.1 * (m / (1 - 0.9**step)) / ((s / (1 - 0.99**step)).sqrt() + 1e-8)
    torch.testing.assert_close(w.detach(), wanted)
    with pytest.raises(ValueError, match="AdaBelief"):
        AdaBelief([w], lr=-1.0)


@pytest.mark.parametrize("kind", ["theta", "qif", "lif"])
def test_a_small_network_learns(kind):
    """Four patterns of six pixels with noise; LIF neurons fall silent on the way and end between chance and all."""
    torch.manual_seed(1)
    neuron = {"theta": exact.Theta(tau=6 / math.pi, i0=1.25), "qif": exact.QIF(), "lif": exact.LIF()}[kind]
    patterns = torch.tensor([[1, 1, 0, 0, 0.5, 0], [0, 1, 1, 0, 0, 0.5], [0.5, 0, 1, 1, 0, 0], [0, 0.5, 0, 1, 0, 1.0]])
    labels = torch.arange(4).repeat(40)
    images = (patterns[labels] + 0.1 * torch.randn(160, 6)).clamp(0, 1)
    model = FirstSpike(neuron, (6, 12, 4), T=2.0, pseudospikes=kind != "lif")
    with torch.no_grad():
        for w in model.weights:
            w.add_({"theta": 0.0, "qif": 1.0, "lif": 3.0}[kind])  # silent LIF neurons would never learn
    optimizer = AdaBelief(model.parameters(), lr=1e-2)
    losses = [train_epoch(model, optimizer, images, labels, batch=40) for _ in range(30)]
    assert losses[-1] < 0.8 * losses[0]
    right, ordinary = accuracy(model, images, labels)
    assert right > (0.5 if kind == "lif" else 0.9)
    assert 0 <= ordinary <= right


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="sizes"):
        FirstSpike(exact.QIF(), (5,), T=1.0)
