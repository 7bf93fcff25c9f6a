"""Activity of layers against closed forms and trains written by hand; recording against a direct trace."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import rheobase as rb
from rheobase.analysis import activity
from rheobase.analysis.activity import EDGES, LayerActivity, Recorder, weight_norms
from rheobase.analysis.spike_trains import autocorrelation, intervals, variation
from rheobase.neurons.learned import learned, summary


def train(text: str) -> Tensor:
    """Spikes [T] of a train written as `1010`."""
    return torch.tensor([float(mark) for mark in text])


def trace(u: list[list[float]], threshold: float = 1.0) -> dict[str, Tensor]:
    """A trace of one sample: potentials [T, 1, neurons], spikes where they reach the threshold."""
    potentials = torch.tensor(u).unsqueeze(1)
    theta = torch.full_like(potentials, threshold)
    return {"u": potentials, "threshold": theta, "s": (potentials >= theta).float()}


@pytest.mark.parametrize(("tau", "current"), [(2.0, 0.6), (2.0, 0.75), (4.0, 0.3), (10.0, 0.15), (1.5, 1.2)])
def test_lif_under_constant_current_fires_with_the_period_of_the_closed_form(tau, current):
    gamma = 1 - 1 / tau
    period = math.ceil(math.log(1 - (1 - gamma) / current) / math.log(gamma))  # x (1 − γⁿ)/(1 − γ) >= θ
    neuron = rb.LIF(tau=tau, reset="hard")
    found = LayerActivity(neuron.surrogate, lags=2 * period)
    found.add(neuron.trace(torch.full((20 * period, 3, 2), current)))
    assert found.rate == pytest.approx(1 / period)
    assert found.mean_interval == period
    assert found.interval_counts.nonzero().flatten().tolist() == [period]
    assert found.cv == (0.0 if period > 0 else None)
    assert found.continuous == (1.0 if period == 1 else 0.0)
    if period > 1:
        assert found.autocorrelation["s"][period] == pytest.approx(1.0)
        assert found.autocorrelation["s"].argmax() in (0, period)


def test_intervals_of_trains_written_by_hand():
    spikes = torch.stack([train("1001010"), train("0000000"), train("0111001"), train("0000001")], 1)
    found = intervals(spikes)
    assert sorted(zip(found.train.tolist(), found.steps.tolist(), strict=True)) == [
        (0, 2),
        (0, 3),
        (2, 1),
        (2, 1),
        (2, 3),
    ]
    mean = 5 / 3
    wanted = [0.5 / 2.5, math.sqrt((2 * (1 - mean) ** 2 + (3 - mean) ** 2) / 3) / mean]
    assert variation(found).tolist() == pytest.approx(wanted)
    assert intervals(train("0110")).steps.tolist() == [1]


def test_a_clock_varies_by_0_and_a_poisson_process_by_its_closed_form():
    assert variation(intervals(train("010" * 50))).tolist() == [0.0]
    generator = torch.Generator().manual_seed(0)
    p = 0.1
    spikes = (torch.rand(200_000, generator=generator) < p).float()
    geometric = math.sqrt(1 - p)  # standard deviation over mean of a geometric distribution
    assert float(variation(intervals(spikes))) == pytest.approx(geometric, abs=0.02)


def test_autocorrelation_of_a_periodic_train_and_of_noise():
    found = autocorrelation(train("10000" * 40), 10)
    assert found[[0, 5, 10]].tolist() == pytest.approx([1, 1, 1])
    d = torch.tensor([0.8, -0.2, -0.2, -0.2, -0.2])  # the train without its mean
    near = (d[0] * d[1] * 2 + 3 * d[1] ** 2) / (d**2).sum()
    assert found[1:5].tolist() == pytest.approx([float(near)] * 4, abs=0.01)
    cut = autocorrelation(train("1000010000100"), 5)
    assert cut[5] == pytest.approx(1.0) and cut.abs().max() <= 1 + 1e-9, "whole periods are not needed"
    t = torch.arange(400, dtype=torch.float64)
    wave = autocorrelation(torch.cos(2 * math.pi * t / 20), 20)
    assert wave.tolist() == pytest.approx([math.cos(2 * math.pi * k / 20) for k in range(21)], abs=0.02)
    noise = autocorrelation(torch.randn(1000, 50, generator=torch.Generator().manual_seed(1)), 5)
    assert noise[1:].abs().max() < 0.02
    assert torch.isnan(autocorrelation(torch.ones(9), 2)).all(), "a constant has none"


def test_decaying_memory_is_measured_as_its_time_constant():
    generator = torch.Generator().manual_seed(2)
    alpha, x = 0.8, torch.randn(4000, 20, generator=generator)
    rows = [torch.zeros(20)]
    for row in x:
        rows.append(alpha * rows[-1] + row)
    found = autocorrelation(torch.stack(rows[1:]), 6)
    assert found.tolist() == pytest.approx([alpha**k for k in range(7)], abs=0.02)


def check_written_by_hand() -> None:
    """Every count on potentials of which each is known; two samples, the second of which ends early."""
    found = LayerActivity(rb.surrogate.Rectangle(1.0), lags=2)
    first = trace([[2.5, 0.0, 1.0], [0.5, 0.2, 3.0], [2.0, 0.1, 0.4], [-5.0, 0.0, 1.5]])
    second = trace([[0.7, 0.0, 9.0], [1.2, 0.0, 9.0], [9.0, 9.0, 9.0], [9.0, 9.0, 9.0]])
    both = {name: torch.cat([first[name], second[name]], 1) for name in first}
    found.add(both, torch.tensor([[True, True], [True, True], [True, False], [True, False]]))
    places = 3 * (4 + 2)
    assert found.places == places and found.neurons == 3
    assert found.spikes == 2 + 3 + 1 + 2
    assert found.rate == (2 + 3 + 1 + 2) / places
    assert found.rate_by_step.tolist() == [3 / 6, 3 / 6, 1 / 3, 1 / 3]
    assert found.continuous == 2 / 6, "neuron 2 of both samples; half of the time is not more than half"
    assert found.overactive == 4 / places, "2.5, 3, 9, 9; 2.0 is not above 2"
    assert found.silent == 1 / 3
    assert found.inside == (1 + 1 + 1 + 2) / places, "0.5, 1.0, 1.5, 0.7, 1.2; 0.4 is not"
    assert found.interval_counts.tolist() == [0, 2, 2]
    assert found.mean_interval == 1.5
    counts = found.potential_counts
    assert counts.sum() == places
    assert counts[0] == 1 and counts[-1] == 2, "what lies beyond stands in the outermost bins"
    at = int(torch.searchsorted(EDGES, -1.0))
    assert EDGES[at] == -1 and counts[at] == 4, "u = 0 stands in the bin that begins there"


def test_counts_of_potentials_written_by_hand():
    check_written_by_hand()


def test_counts_in_units_of_another_threshold():
    found = LayerActivity(rb.surrogate.Rectangle(1.0))
    found.add(trace([[0.9, 1.1], [0.4, 0.5]], threshold=0.5))
    assert (found.spikes, found.overactive) == (3, 1 / 4)


@pytest.mark.parametrize(
    "plant",
    [
        lambda m: m.setattr(activity, "distance", lambda r: r["u"]),
        lambda m: m.setattr(activity, "potential", lambda r: r["u"] + r["threshold"]),
        lambda m: m.setattr(activity, "potential", lambda r: r["u"] + 1e-3),
        lambda m: m.setattr(activity, "inside", lambda surrogate, d: d.abs() < surrogate.width / 2),
        lambda m: m.setattr(activity, "intervals", lambda s: intervals(s.transpose(0, 1))),
        lambda m: m.setattr(
            LayerActivity, "add", lambda self, record, valid, add=LayerActivity.add: add(self, record, None)
        ),
    ],
    ids=["no threshold", "over the threshold", "from above", "open edges", "time last", "padding counts"],
)
def test_a_wrong_count_is_noticed(monkeypatch, plant: Callable):
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_written_by_hand()


def network(neuron: Callable[[], rb.neurons.Neuron]) -> nn.Module:
    """Two layers of neurons, the first of them recurrent, and a readout that holds a neuron of its own."""
    torch.manual_seed(0)
    between = nn.Linear(7, 6)
    nn.init.normal_(between.weight, std=2.0)
    return nn.Sequential(rb.Recurrent(neuron(), 5, 7), between, neuron(), rb.LeakyReadout(6, 3))


NEURONS = [rb.LIF, rb.CLIF, rb.ILIF, rb.PLIF, rb.DietLIF, lambda: rb.ProbLIF(tau=2.0), lambda: rb.ALIF(tau=2.0)]


@pytest.mark.parametrize("neuron", NEURONS)
def test_recording_equals_a_trace_of_each_layer_and_leaves_the_network_as_it_is(neuron):
    model = network(neuron)
    x = torch.randn(12, 4, 5) * 4
    lengths = torch.tensor([12, 3, 7, 1])
    torch.manual_seed(5)
    alone = model(x)
    torch.manual_seed(5)
    with Recorder(model, lags=4) as recorder:
        recorder.lengths = lengths
        recorded = model(x)
    assert torch.equal(alone, recorded), "the network computes what it computes alone"
    assert recorder.flips == 0 and list(recorder.layers) == ["0", "2"]
    torch.manual_seed(5)
    first = model[0].trace(x)
    second = model[2].trace(model[1](first["s"]))
    valid = torch.arange(12).unsqueeze(1) < lengths
    for name, record in (("0", first), ("2", second)):
        wanted = LayerActivity(_surrogate(model), lags=4)
        wanted.add(record, valid)
        assert repr(wanted.numbers()) == repr(recorder.layers[name].numbers())
        assert 0 < wanted.rate < 1
        for state, value in recorder.layers[name].autocorrelation.items():
            torch.testing.assert_close(value, autocorrelation(record[state], 4, valid))
        assert len({repr(value) for value in wanted.autocorrelation.values()}) >= 2, "states differ"
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def _surrogate(model: nn.Module) -> rb.surrogate.Surrogate:
    return model[2].surrogate  # type: ignore[return-value]


def test_other_random_numbers_than_the_networks_are_noticed(monkeypatch):
    model = network(lambda: rb.ProbLIF(tau=2.0))
    monkeypatch.setattr(Recorder, "_before", lambda self, module, inputs: vars(self).update(_random=start))
    start = torch.manual_seed(1).get_state()
    torch.manual_seed(2)
    with Recorder(model) as recorder:
        model(torch.randn(12, 4, 5))
    assert recorder.flips > 0


def test_recurrent_layers_are_recorded_as_they_run_under_autocast():
    torch.manual_seed(0)
    layer = rb.Recurrent(rb.LIF(), 5, 64)
    nn.init.normal_(layer.weight_hh)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16), Recorder(layer) as recorder:
        layer(torch.randn(30, 8, 5) * 4)
    assert 0.1 < recorder.layers[""].rate < 0.9 and recorder.flips < 0.001 * recorder.places


def test_batches_add_up_whatever_their_size():
    model = network(rb.CLIF)
    x = torch.randn(9, 10, 5, generator=torch.Generator().manual_seed(3)) * 3
    lengths = torch.tensor([9, 3, 7, 1, 9, 9, 2, 5, 4, 4])
    found = []
    for size in (10, 3):
        with Recorder(model) as recorder, torch.no_grad():
            for part, own in zip(x.split(size, 1), lengths.split(size), strict=True):
                recorder.lengths = own
                model(part[: int(own.max())])
        found.append(recorder.layers["2"])
    whole, parts = found
    for name in ("spikes", "places", "silent", "continuous", "overactive", "inside", "mean_interval", "cv"):
        assert getattr(whole, name) == pytest.approx(getattr(parts, name)), name
    for state, value in whole.autocorrelation.items():
        torch.testing.assert_close(value, parts.autocorrelation[state])


def test_a_network_without_spikes_is_refused():
    with pytest.raises(ValueError, match="no spiking layers"):
        Recorder(nn.Sequential(nn.Linear(2, 2)))


def test_norms_of_weights():
    norms = weight_norms(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Conv2d(1, 2, 3)))
    assert list(norms) == ["0.weight", "2.weight"]
    model = nn.Linear(2, 1)
    nn.init.constant_(model.weight, 2.0)
    assert weight_norms(model) == {"weight": pytest.approx(math.sqrt(8))}


def test_learned_values_are_what_the_equations_use():
    model = nn.Sequential(rb.PLIF(tau=4.0), rb.LIF(), rb.DALIF(learn_beta=False), rb.ProbPLIF(tau=5.0, features=3))
    found = learned(model)
    assert {name: set(row) for name, row in found.items()} == {
        "0": {"w", "rate"},
        "2": {"a", "alpha"},
        "3": {"tau", "alpha", "gain"},
    }
    assert float(found["0"]["rate"]) == pytest.approx(1 / 4)
    assert float(found["2"]["alpha"]) == pytest.approx(math.tanh(1))
    assert found["3"]["alpha"].tolist() == pytest.approx([math.exp(-1 / 5)] * 3)
    with torch.no_grad():
        model[3].tau.copy_(torch.tensor([2.0, 4.0, 6.0]))
    row = summary(learned(model))["3"]["tau"]
    assert row == {"mean": 4.0, "std": pytest.approx(math.sqrt(8 / 3))}
    assert learned(nn.Sequential(rb.LIF())) == {}
