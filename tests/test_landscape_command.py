"""Landscapes of trained networks, exact and with time steps: numbers, figures, and weights that stay."""

from __future__ import annotations

import json

import pytest
import torch

from rheobase import cli, exact
from rheobase.analysis import landscapes, traces
from rheobase.commands import landscape
from rheobase.exact.classifier import EventClassifier

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_lines_and_planes_of_both_kinds_of_networks(here, capsys):
    small = ["--epochs", "1", "--batch", "400"]
    assert cli.main(["train", "exact/digits", *small, "--hidden", "8", "6", "--out", "qif"]) == 0
    assert cli.main(["train", "digits", *small, "--hidden", "8", "--out", "steps"]) == 0
    epochs = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert ["firing rate" in line for line in epochs] == [False, True], "networks without steps have no such rate"
    before = (here / "qif/weights.safetensors").read_bytes()
    arguments = ["landscape", "qif", "steps", "--points", "7", "--plane", "3", "--samples", "9", "--single", "1"]
    assert cli.main([*arguments, "--out", "found"]) == 0
    assert "numbers        found/landscape.json" in capsys.readouterr().out
    found = json.loads((here / "found/landscape.json").read_text())
    for name in ("qif", "steps"):
        assert len(found["lines"][name]) == 2 and "9 samples" in found["lines"][name]
        line = found["lines"][name]["9 samples"]
        assert len(line["loss"]) == 7 and len(line["cosine"]) == 6 and len(set(line["loss"])) > 2
        assert {"largest_gap", "total_variation", "jumps", "order_changes", "count_changes"} <= set(line["measures"])
        assert torch.tensor(found["planes"][name]["loss"]).shape == (3, 3)
        assert found["planes"][name]["slope"][0] != found["planes"][name]["slope"][1]
        middle = found["lines"][name]["9 samples"]["loss"][3]
        assert found["planes"][name]["loss"][1][1] == pytest.approx(middle, rel=1e-5), "the weights themselves"
    assert all((here / "found" / name).stat().st_size > 10_000 for name in ("lines.png", "planes.png"))
    assert (here / "qif/weights.safetensors").read_bytes() == before
    assert cli.main([*arguments, "--out", "again"]) == 0
    again = json.loads((here / "again/landscape.json").read_text())["lines"]
    losses = [{name: one["9 samples"]["loss"] for name, one in lines.items()} for lines in (again, found["lines"])]
    assert losses[0] == losses[1], "noise is fixed"
    if not torch.cuda.is_available():  # there gradients of weights are summed in any order
        assert again == found["lines"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere"),
        ([], "at least one"),
        (["x", "--points", "2"], "points and plane of 3 or more"),
        (["x", "--single", "-1"], "--plane and --single of 0 (none) or more; got 0 and -1"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert cli.main(["landscape", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_spikes_of_steps_are_listed_in_order():
    spikes = torch.zeros(3, 2, 2)
    spikes[0, 0, 1] = spikes[2, 0, 0] = spikes[1, 1, 0] = 1
    later = torch.zeros(3, 2, 1)
    later[1, 0, 0] = 1
    assert traces.of_steps([spikes, later]).tolist() == [[1, 2, 0], [0, -1, -1]]
    assert traces.of_steps([torch.zeros(3, 2, 2)]).shape == (2, 0)


def test_spikes_of_event_driven_layers_are_listed_in_order():
    torch.manual_seed(0)
    model = EventClassifier(exact.LIF(), (4, 3, 2), 5.0, shift=8.0, pseudospikes=False)
    x = torch.rand(1, 2, 4)
    layers = model.events(*model.coded(x))
    readout, trace = traces.traced(model, x)
    assert torch.equal(readout, model(x))
    for sample in range(2):
        spikes = sorted(
            (float(time), int(id) + first)
            for events, first in zip(layers, (0, 3), strict=True)
            for time, id, given in zip(
                events.times.detach()[sample], events.ids[sample], events.is_input[sample], strict=True
            )
            if not given and id >= 0
        )
        assert len(spikes) > 3 and [id for id in trace[sample].tolist() if id >= 0] == [id for _, id in spikes]


def test_the_unused_diagonal_of_recurrent_weights_does_not_move():
    model = EventClassifier(exact.QIF(), (4, 3, 2), 5.0, recurrent_gain=0.1)
    with torch.no_grad():
        model.recurrent[0].fill_diagonal_(100.0)
    x = torch.rand(1, 2, 4)
    before, weights = model(x), landscape._moved(model, False)
    assert weights[-1] is model.recurrent[0] and torch.equal(model(x), before)
    moved = landscapes.direction(weights)[-1]
    assert moved.diagonal().tolist() == [0.0] * 3
    torch.testing.assert_close(moved.norm(dim=1), weights[-1].detach().norm(dim=1))
    assert moved.norm() < 1


def test_event_driven_networks_are_looked_at_in_double_precision(here):
    """The loss at the weights is the same; steps down to 1e-16 change it."""
    assert cli.main(["train", "exact/digits", "--epochs", "1", "--batch", "400", "--hidden", "8", "--out", "qif"]) == 0
    network = landscape.Network(here / "qif", landscape.Options(sources=(here / "qif",)))
    _, evaluate = next(network.evaluations())
    loss, _ = evaluate()
    with landscapes.moved(network.parameters, network.directions[:1], (1e-12,)):
        other, _ = evaluate()
    assert loss.dtype == torch.float64 and 0 < abs((other - loss).item()) < 1e-9
