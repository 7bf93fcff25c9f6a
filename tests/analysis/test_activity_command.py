"""`rheobase activity` and `rheobase show --response`: numbers, figures, and what their errors say."""

from __future__ import annotations

import json

import pytest
import torch

import rheobase as rb
from rheobase import cli, plots, training
from rheobase.analysis.activity import LayerActivity
from rheobase.commands import terminal
from rheobase.show import from_spec

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(terminal, "console", terminal.Console(width=200))
    return tmp_path


def test_activity_of_two_networks_side_by_side(here, capsys):
    small = ["--epochs", "2", "--batch", "400", "--hidden", "8"]
    assert cli.main(["train", *small, "--out", "drawn"]) == 0
    assert cli.main(["train", *small, "--hidden", "6", "7", "--neuron", "clif", "--out", "clif"]) == 0
    before = (here / "drawn/weights.safetensors").read_bytes()
    command = ["activity", "drawn", "clif", "--part", "test", "--out", "found"]
    assert cli.main(command) == 0
    out = capsys.readouterr().out
    assert "layers.0" in out and "layers.1" in out and "ISI" in out
    found = json.loads((here / "found/activity.json").read_text())
    assert found["command"] == "rheobase " + " ".join(command)
    for name, layers in (("drawn", ["layers.0"]), ("clif", ["layers.0", "layers.1"])):
        network, tested = found["networks"][name], json.loads((here / name / "record.json").read_text())["test"]
        assert list(network["layers"]) == layers and network["flips"] == 0
        assert network["score"]["accuracy"] == tested["accuracy"], "recording changes nothing"
        rate = sum(one["rate"] * one["neurons"] for one in network["layers"].values())
        neurons = sum(one["neurons"] for one in network["layers"].values())
        assert rate / neurons == pytest.approx(tested["firing_rate"])
        assert network["layers"]["layers.0"]["autocorrelation"]["u"][0] == pytest.approx(1)
    learned = found["networks"]["drawn"]["learned"]
    assert [row["epoch"] for row in learned] == [0, 1, 2], "the record tells every epoch"
    assert found["networks"]["clif"]["learned"] == []
    kept = training.restore_task(here / "drawn").model.layers[0].neuron.tau
    best = json.loads((here / "drawn/record.json").read_text())["best_epoch"]
    assert learned[best]["values"]["layers.0.neuron"]["tau"]["mean"] == pytest.approx(float(kept.detach().mean()))
    assert learned[0]["values"] != learned[2]["values"]
    names = {path.stem for path in (here / "found").glob("*.png")}
    assert names == {"layers", "steps", "potentials", "intervals", "autocorrelation", "weights", "learned"}
    assert all(path.stat().st_size > 10_000 for path in (here / "found").glob("*.png"))
    assert (here / "drawn/weights.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["activity", "nowhere"], "nowhere"),
        (["activity"], "at least one source"),
        (["activity", "x", "--lags", "0"], "1 or more"),
        (["show", "--response", "lif,clift"], "'clif'"),
        (["show", "--response", "lif:tua=3"], "'tau'"),
        (["show", "--response", "lif", "--steps", "1"], "2 steps"),
        (["show", "--response", "lif:surrogate=Rectangel"], "Rectangle"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert cli.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_an_event_driven_network_is_refused(here, capsys):
    assert cli.main(["train", "exact/digits", "--epochs", "1", "--batch", "400", "--hidden", "4", "--out", "qif"]) == 0
    for command, message in (
        (["activity", "qif"], "no spiking layers with time steps"),
        (["gradients", "qif"], "no spiking layers with time steps"),
        (["energy", "qif"], "has no time steps"),
        (["export", "qif", "--out", "qif.nir"], "has no time steps, which nir needs"),
        (["export", "qif", "--format", "torch", "--out", "qif.pt2"], "has no time steps, which torch needs"),
        (["exchange", "qif", "--neuron", "lif", "--search", "tau=2:3:2"], "event-driven network has no other neurons"),
    ):
        assert cli.main(command) == 1
        assert message in capsys.readouterr().err.replace("\n", " ")
    assert cli.main(["curves", "qif"]) == 0, "it has an accuracy, if no firing rate"
    assert (here / "curves.png").stat().st_size > 10_000


def test_responses_side_by_side(here, capsys):
    command = ["show", "--response", "lif:tau=2,clif,problif:sigma=0.5:tau=2,glif", "--steps", "60", "--current", "0.6"]
    assert cli.main([*command, "--figure", "time.png"]) == 0
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in capsys.readouterr().out.splitlines() if line}
    # u before the 1st spike: .6, .9, 1.05; after it v = .05, so that the fixed cycle lasts 3 steps or less.
    u, fired = 0.0, []
    for t in range(60):
        u = u / 2 + 0.6
        if u >= 1:
            fired, u = [*fired, t], u - 1
    assert rows["lif:tau=2", "constant"][:2] == [str(len(fired)), str(fired[0])]
    assert int(rows["clif", "constant"][0]) < len(fired), "CLIF fires less"
    for view in ("function", "autocorrelation"):
        assert cli.main([*command, "--view", view, "--figure", f"{view}.png"]) == 0
    assert "clif                            m" in capsys.readouterr().out
    assert all((here / f"{name}.png").stat().st_size > 10_000 for name in ("time", "function", "autocorrelation"))


def test_a_neuron_that_sees_nothing_is_drawn(here, capsys):
    command = ["show", "--response", "lif", "--current", "0", "--steps", "9", "--lags", "3", "--figure", "quiet.png"]
    assert cli.main(command) == 0 and cli.main([*command, "--view", "autocorrelation"]) == 0
    out = capsys.readouterr().out
    assert "u   does not change" in out and "nan" not in out


def test_neurons_written_as_text(here):
    neuron = from_spec("clif:tau=4:surrogate=ATan(alpha=3)", 10)
    assert isinstance(neuron, rb.CLIF) and neuron.tau == 4 and neuron.surrogate == rb.surrogate.ATan(3.0)
    assert from_spec("psn", 10).steps == 10 and from_spec("glif:steps=4", 10).steps == 4
    (here / "my.py").write_text("import rheobase as rb\nclass Mine(rb.LIF):\n    pass\n")
    assert from_spec("my.py:Mine:tau=3", 10).tau == 3


def layer(seed: int) -> LayerActivity:
    torch.manual_seed(seed)
    made = LayerActivity(rb.surrogate.Rectangle(1.0))
    made.add(rb.LIF().trace(torch.rand(6, 3, 5) * 2))
    return made


def test_figures_have_units_and_a_panel_per_layer():
    networks = {"one": {f"l{k}": layer(k) for k in range(5)}, "two": {"l": layer(9)}}
    for draw in (plots.activity_steps, plots.activity_potentials, plots.activity_intervals):
        made = draw(networks)
        assert len(made.axes) == 5
        assert [len(axes.lines) for axes in made.axes] == [2, 1, 1, 1, 1]
        assert "(" in made.axes[4].get_xlabel() or "step" in made.axes[4].get_xlabel()
        assert made.axes[0].get_ylabel()
    made = plots.activity_layers(networks)
    drawn = made.axes[0].lines[0].get_ydata().tolist()
    assert drawn == [one.rate for one in networks["one"].values()]
    styles = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in made.axes[0].lines}
    assert len(styles) == 2 and len({style for _, _, style in styles}) == 2, "apart without colours, too"
    rows = [(0, {"a": {"w": {"mean": 1.0, "std": 0.0}}}), (3, {"a": {"w": {"mean": 2.0, "std": 0.5}}})]
    made = plots.learned_over_layers({"net": rows, "none": [(0, {})]})
    assert len(made.axes) == 1 and made.axes[0].get_legend_handles_labels()[1] == ["epoch 0", "epoch 3"]


def test_a_single_layer_and_a_narrow_figure_stay_legible():
    networks = {f"a network with a long name {k}": {"l": layer(k)} for k in range(4)}
    made = plots.activity_layers(networks)
    for axes in made.axes:
        made.canvas.draw()
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
        assert max(line.get_ydata()[0] for line in axes.lines) < 0.95 * axes.get_ylim()[1], "a mark cut in two"
    made = plots.activity_autocorrelations(networks)
    made.canvas.draw()
    legend = made.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= made.bbox.x1, "names leave the figure"


def test_potentials_beyond_the_axis_are_counted_not_drawn():
    far = LayerActivity(rb.surrogate.Rectangle(1.0))
    far.add(rb.LIF().trace(torch.tensor([0.5, 0.5, 0.5, -100.0]).view(1, 1, 4)))
    (axes,) = plots.activity_potentials({"far": {"l": far}}).axes
    assert axes.lines[0].get_ydata().max() == pytest.approx(0.75 / 0.05)
    assert axes.lines[0].get_ydata()[0] < 0.01 and "not drawn 25 %" in axes.texts[0].get_text()


def test_no_two_lines_look_alike():
    from rheobase.plots.figure import style

    looks = [style(number) for number in range(28)]
    for number, one in enumerate(looks):
        for other in looks[:number]:
            differ = {part for part in ("color", "linestyle", "marker") if one[part] != other[part]}
            assert "color" in differ or differ == {"linestyle", "marker"}, (one, other)
