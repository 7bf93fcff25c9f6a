"""Latency coding, the optimizer, and a small network that learns."""

from __future__ import annotations

import math

import pytest
import torch

from rheobase import exact
from rheobase.exact.adabelief import AdaBelief
from rheobase.exact.classifier import EventClassifier, frames, latency, pooled


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


def test_frames_become_spikes_in_order_of_time():
    x = torch.zeros(4, 2, 3)
    x[1, 0, 2] = x[1, 0, 0] = x[3, 0, 1] = 1
    times, ids = frames(x, T=2.0)
    assert times.tolist() == [[0.75, 0.75, 1.75], [math.inf] * 3]
    assert ids.tolist() == [[0, 2, 1], [-1] * 3]
    merged = pooled(x, steps=3, channels=2)
    assert merged[:, 0].tolist() == [[1, 1], [1, 0]] and merged[:, 1].sum() == 0


def patterns():
    """160 samples of four patterns of six pixels with noise, and their labels."""
    shown = torch.tensor([[1, 1, 0, 0, 0.5, 0], [0, 1, 1, 0, 0, 0.5], [0.5, 0, 1, 1, 0, 0], [0, 0.5, 0, 1, 0, 1.0]])
    labels = torch.arange(4).repeat(40)
    return (shown[labels] + 0.1 * torch.randn(160, 6)).clamp(0, 1), labels


NEURONS = {"theta": exact.Theta(tau=6 / math.pi, i0=1.25), "qif": exact.QIF(), "lif": exact.LIF()}
SHIFTS = {"theta": 0.0, "qif": 2.0, "lif": 6.0}  # silent LIF neurons would never learn


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("theta", {}),
        ("qif", {}),
        ("lif", {}),
        ("qif", {"recurrent_gain": 0.5}),
        ("qif", {"leaky_tau": 1.0, "readout_gain": 10.0, "shift": 8.0}),
        ("qif", {"knots": 3, "readout_gain": 10.0, "shift": 8.0}),
        ("lif", {"leaky_tau": 1.0, "readout_gain": 10.0, "shift": 8.0, "recurrent_gain": 0.5}),
    ],
)
def test_a_small_network_learns(kind, options):
    """LIF neurons that answer by their first spike fall silent on the way and end between chance and all."""
    torch.manual_seed(1)
    images, labels = patterns()
    options = {"shift": SHIFTS[kind], "pseudospikes": kind != "lif", **options}
    model = EventClassifier(NEURONS[kind], (6, 12, 4), 2.0, **options)
    optimizer = AdaBelief(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        readout = model(images[None])[0]
        losses.append(torch.nn.functional.cross_entropy(readout, labels))
        losses[-1].backward()
        optimizer.step()
    assert readout.shape == (160, 4) and losses[-1] < 0.9 * losses[0]
    assert (readout.argmax(1) == labels).float().mean() > (0.5 if kind == "lif" else 0.9)


def test_pseudospikes_agree_with_the_simulation_of_one_network():
    """Layer by layer, and all layers as blocks of one w_net, are the same network."""
    torch.manual_seed(0)
    model = EventClassifier(NEURONS["qif"], (6, 5, 4), 2.0).double()
    times, ids = latency(patterns()[0][:8].double(), 2.0)
    w_in, w_net = torch.zeros(9, 6, dtype=torch.float64), torch.zeros(9, 9, dtype=torch.float64)
    w_in[:5], w_net[5:, :5] = model.weights[0].detach(), model.weights[1].detach()
    whole = exact.simulate(model.neuron, w_in, w_net, times, ids, 2.0, pseudospikes=True)
    torch.testing.assert_close(model.events(times, ids)[-1].first(range(4), 1), whole.first(range(5, 9), 1))


def test_a_recurrent_layer_counts_itself_in_its_pseudospikes():
    torch.manual_seed(0)
    model = EventClassifier(NEURONS["qif"], (6, 5, 4), 2.0, recurrent_gain=1.0).double()
    times, ids = latency(patterns()[0][:8].double(), 2.0)
    hidden = exact.simulate(model.neuron, model.weights[0], model.recurrent[0], times, ids, 2.0, pseudospikes=True)
    torch.testing.assert_close(model.events(times, ids)[0].first(range(5), 1), hidden.first(range(5), 1))


def test_silent_neurons_are_counted_and_returns_noticed():
    model = EventClassifier(NEURONS["qif"], (6, 3, 4), 2.0)
    images, _ = patterns()
    with torch.no_grad():
        model.weights[0].fill_(9.0)
        model(images[None])
        (row,) = model.epoch_summary()["hidden"]
        assert row["silent"] == 0 and row["returned"] == 0, "nobody returns in the first epoch"
        model.weights[0].fill_(-1.0)
        model(images[None])
        model.eval()(images[None])  # evaluation does not count
        assert model.epoch_summary() == {"hidden": [{"spikes": 0.0, "silent": 1.0, "returned": 0}]}
        model.train()
        model.weights[0][1] = 9.0
        model(images[None])
    (row,) = model.epoch_summary()["hidden"]
    assert row["returned"] == 1 and row["silent"] == pytest.approx(2 / 3) and row["spikes"] > 0


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="number of inputs"):
        EventClassifier(exact.QIF(), (5,), T=1.0)


def test_excitation_without_end_is_an_error_and_silent_inputs_are_none():
    torch.manual_seed(0)
    model = EventClassifier(exact.LIF(), (6, 5, 4), 2.0, shift=1000.0, pseudospikes=False)
    with pytest.raises(RuntimeError, match="most_spikes=200"):
        model(patterns()[0][None])
    assert model(torch.zeros(1, 3, 6)).tolist() == [[[-2.0] * 4] * 3], "without a spike the answer is the end"


def test_dropped_spikes_do_not_change_the_mean_drive():
    torch.manual_seed(0)
    model = EventClassifier(NEURONS["theta"], (6, 5, 4), 2.0, dropout=0.5)
    times, ids = latency(patterns()[0], 2.0)
    kept = [(model._lossy(times, ids)[1] >= 0).float().mean() for _ in range(20)]
    assert torch.stack(kept).mean() / (ids >= 0).float().mean() == pytest.approx(0.5, abs=0.03)
    silent = EventClassifier(exact.LIF(tau=4.0), (6, 5, 4), 2.0, dropout=0.5, pseudospikes=False)
    same = [one[:1].expand(4000, -1) for one in (times, ids)]
    training, whole = (silent.train(on).events(*same)[0].state_at_T for on in (True, False))
    torch.testing.assert_close(training.mean(0), whole.mean(0), rtol=0, atol=0.01)  # linear where nothing fires
    assert whole[0, 1].abs().max() > 0.1, "nothing arrives at all"
    images = patterns()[0][None]
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
    with pytest.raises(ValueError, match="dropout"):
        EventClassifier(NEURONS["theta"], (6, 5, 4), 2.0, dropout=1.0)


def test_weights_begin_within_gain_over_the_root_of_their_inputs():
    """A uniform number in ±a has the standard deviation a/√3."""
    torch.manual_seed(0)
    model = EventClassifier(NEURONS["qif"], (400, 100, 25), 2.0, gain=0.5, shift=3.0, recurrent_gain=2.0, leaky_tau=1.0)
    drawn = [(model.weights[0], 0.5, 3.0, 20), (model.recurrent[0], 2.0, 0.0, 10), (model.readout, 1.0, 0.0, 10)]
    for weights, gain, shift, root in drawn:
        away = weights.detach() - shift / root
        assert away.abs().max() <= gain / root * 1.0001 and abs(away.mean()) < 0.1 * gain / root
        assert away.std() == pytest.approx(gain / root / 3**0.5, rel=0.03)


def test_theta_neurons_start_at_half_their_period():
    """Without input they fire after the other half, 3 of 6, and then once in a period."""
    model = EventClassifier(NEURONS["theta"], (6, 5, 4), 10.0)
    events = model.events(*model.coded(torch.zeros(1, 1, 6)))[0]
    torch.testing.assert_close(events.first(range(5), 2)[0], torch.tensor([[3.0, 9.0]]).expand(5, 2))


def test_readouts_are_integrals_and_sums_over_spikes_times_the_gain():
    torch.manual_seed(0)
    x, T, tau, options = torch.rand(1, 1, 6), 2.0, 0.7, {"shift": 20.0, "readout_gain": 10.0}
    leaky = EventClassifier(NEURONS["qif"], (6, 3, 4), T, leaky_tau=tau, **options)
    spikes = leaky.events(*leaky.coded(x))[-1]
    seconds = (torch.arange(20_000, dtype=torch.float64) + 0.5) * (T / 20_000)
    wanted = torch.zeros(4, dtype=torch.float64)
    for time, neuron in zip(spikes.times[0][~spikes.is_input[0]], spikes.ids[0][~spikes.is_input[0]], strict=True):
        trace = torch.where(seconds >= time, torch.exp((time - seconds) / tau), 0.0)
        wanted += 10 * leaky.readout[:, neuron] * (trace * torch.exp(-seconds / T)).mean()
    torch.testing.assert_close(leaky(x)[0, 0].double(), wanted, rtol=1e-3, atol=1e-4)
    timed = EventClassifier(NEURONS["qif"], (6, 3, 4), T, knots=3, **options)
    with torch.no_grad():
        timed.readout.fill_(0.5)
    count = timed.events(*timed.coded(x))[-1].counts().sum().item()
    assert count > 0 and timed(x)[0, 0].tolist() == pytest.approx([10 * 0.5 * count] * 4)
