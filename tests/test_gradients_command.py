"""`rheobase gradients` and `rheobase exchange`: numbers and figures of trained networks, and mistakes by name."""

import json
from itertools import pairwise

import numpy
import pytest

from rheobase import cli
from rheobase.commands import exchange

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")

SMALL = ["--epochs", "1", "--batch", "400", "--hidden", "8", "--encoding", "poisson", "--steps", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two networks that were trained for an epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("runs"))
        for name in ("lif", "clif"):
            assert cli.main(["train", "digits", *SMALL, "--neuron", f"{name}:tau=2", "--out", name]) == 0
        yield tmp_path_factory.getbasetemp()


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(next(folder.glob("runs*")))


def test_gradients_of_networks_and_neurons(capsys):
    arguments = ["gradients", "lif", "clif", "--samples", "9", "--neurons", "lif", "clif:tau=3", "--out", "found"]
    assert cli.main(arguments) == 0
    assert "picture        found/parts.png" in capsys.readouterr().out
    with open("found/networks.json") as file:
        networks = json.load(file)["networks"]
    for name in ("lif", "clif"):
        assert len(networks[name]["layers"]["layers.0"]["whole"]) == 3
        assert networks[name]["layers"]["layers.0"]["temporal"][-1] == 0
        assert 0 <= networks[name]["summary"]["vanished"] <= 1 and networks[name]["reach"][0] == 1
    with open("found/neurons.json") as file:
        neurons = json.load(file)["neurons"]
    assert list(neurons) == ["lif", "clif:tau=3"] and len(neurons["lif"]) == 16
    assert neurons["lif"][8] / neurons["lif"][0] < neurons["clif:tau=3"][8] / neurons["clif:tau=3"][0]


def test_an_option_is_chosen_on_validation_data():
    arguments = ["exchange", "clif", "--neuron", "lif:reset=hard", "--search", "v_reset=-0.1:0.1:3", "--out", "found"]
    assert cli.main([*arguments, "--steps", "1,3"]) == 0
    with open("found/search-clif.json") as file:
        found = json.load(file)["search-clif"]
    scores = {float(value): (score["accuracy"], -score["loss"]) for value, score in found["search"].items()}
    assert list(scores) == [-0.1, 0.0, 0.1] and scores[found["best"]] == max(scores.values())
    names = ["clif, as trained", "lif, soft reset", "lif:reset=hard"]
    assert list(found["beside"])[:3] == names, "what the best is beside"
    assert scores[0.0][0] == found["beside"]["lif:reset=hard"]["validation"]["accuracy"]
    with open("found/steps.json") as file:
        assert list(json.load(file)["steps"]["clif"]) == ["1", "3"]


def test_the_papers_own_neuron_can_be_beside_the_search():
    """CLIF's table 8 puts a biased hard reset in; the soft reset beside it has no potential to reset to."""
    arguments = ["exchange", "clif", "--neuron", "lif:reset=hard:v_reset=-0.06", "--search", "tau=1.5:2:2"]
    assert cli.main([*arguments, "--out", "biased"]) == 0
    with open("biased/search-clif.json") as file:
        found = json.load(file)["search-clif"]["beside"]
    with open("found/search-clif.json") as file:
        unbiased = json.load(file)["search-clif"]["beside"]
    assert list(found)[1:3] == ["lif, soft reset", "lif:reset=hard:v_reset=-0.06"]
    assert found["lif, soft reset"] == unbiased["lif, soft reset"]


def test_a_neuron_that_cannot_be_built_ends_the_search_before_it_begins(capsys):
    assert cli.main(["exchange", "clif", "--neuron", "lif:threshold=-1", "--search", "tau=1.5:2:2"]) == 1
    found = capsys.readouterr()
    assert "threshold must be above 0" in found.err and "tau +1.5" not in found.out


def test_runs_of_the_same_name_are_kept_apart(tmp_path):
    import shutil
    from pathlib import Path

    for name in ("lif", "clif"):
        shutil.copytree(name, tmp_path / name / "run")
    runs = [str(tmp_path / name / "run") for name in ("lif", "clif")]
    out = ["--out", str(tmp_path)]
    assert cli.main(["gradients", *runs, "--samples", "9", *out]) == 0
    assert list(json.loads((tmp_path / "networks.json").read_text())["networks"]) == runs
    search = ["--neuron", "lif:reset=hard", "--search", "v_reset=-0.1:0.1:2"]
    assert cli.main(["exchange", *runs, *search, "--steps", "2", *out]) == 0
    assert list(json.loads((tmp_path / "steps.json").read_text())["steps"]) == runs
    searched = [json.loads(path.read_text()) for path in Path(tmp_path).glob("search-*.json")]
    assert len(searched) == 2 and {next(reversed(one.values()))["source"] for one in searched} == set(runs)


def test_studies_are_drawn_from_their_records(tmp_path):
    from rheobase.recipes import studies
    from rheobase.training import record
    from rheobase.training.study import path_of

    rows = [{"epoch": epoch, "train_loss": 1 / epoch, "validation_accuracy": 0.5} for epoch in (1, 2)]
    for name in ("digits-exchange", "cifar10-part-truncation"):
        study = studies.study(name)
        for label in study.variants:
            content = {"config": study.configured(label, 0).as_dict(), "epochs": rows, "test": {"accuracy": 0.5}}
            record.write(path_of(tmp_path / name, label, 0), content)
    where = ["--results", str(tmp_path), "--out", str(tmp_path)]
    assert cli.main(["exchange", "--study", "digits-exchange", *where]) == 0
    assert cli.main(["gradients", "--study", "cifar10-part-truncation", *where]) == 0
    found = json.loads((tmp_path / "truncation.json").read_text())["truncation"]
    assert set(found) == {"LIF, τ = 1.1", "LIF, τ = 1.5", "LIF, τ = 2", "CLIF, τ = 2"}
    assert all((tmp_path / name).exists() for name in ("truncation.png", "losses-digits-exchange.png"))


def test_surrogates_are_drawn_beside_exact_gradients(tmp_path):
    from rheobase import plots
    from rheobase.analysis.gradients_exact import Comparison

    wild = Comparison(0.1, float("nan"), float("inf"))
    made = plots.exact_surrogates({"width 1": {0.5: [Comparison(0.2, 0.5, 2.0), wild], 0.25: [wild, wild]}}, "title")
    lines = [numpy.asarray(axes.lines[0].get_ydata()) for axes in made.axes]
    assert numpy.isfinite(lines).all(), "what explodes leaves the picture, not the axis"
    made.savefig(tmp_path / "exact.png")


def test_a_grid_is_written_in_words():
    assert exchange.grid("v_reset=-0.2:0.05:6") == ("v_reset", [-0.2, -0.15, -0.1, -0.05, 0.0, 0.05])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gradients"], "name a run, or ask for"),
        (["gradients", "--exact", "-1"], "--exact from 0"),
        (["gradients", "lif", "--samples", "0"], "--samples from 1"),
        (["gradients", "--neurons", "liff"], "liff"),
        (["gradients", "--study", "nmnist-part"], "cifar10-part-truncation or digits-width; got 'nmnist-part'"),
        (["gradients", "--study", "digits-width", "--results", "nowhere"], "rheobase study digits-width --train"),
        (["gradients", "lif", "lif"], "lif is named twice"),
        (["exchange", "clif"], "--neuron with --search, or --steps"),
        (["exchange", "clif", "--steps", "2", "--search", "tau=1.5:2:2"], "name it with --neuron"),
        (["exchange", "clif", "--neuron", "lif", "--search", "tau=2"], "option=first:last:count; got 'tau=2'"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert cli.main(arguments) == 1
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_the_learning_curve_marks_the_epoch_that_was_kept(monkeypatch):
    """Not the one of the lowest validation loss, which another rule of selection may pass by."""
    from pathlib import Path

    from rheobase.commands import train

    drawn = []
    monkeypatch.setattr("rheobase.plots.figure.save", lambda made, path: drawn.append(made) or path)
    with open("lif/record.json") as file:
        record = json.load(file)
    worse = {**record["epochs"][0], "epoch": 2, "validation_loss": 99.0}
    train._picture(Path("lif"), {**record, "epochs": [*record["epochs"], worse], "best_epoch": 2})
    assert "kept: epoch 2" in [text.get_text() for text in drawn[0].axes[1].get_legend().get_texts()]


def test_figures_stay_legible():
    import torch

    from rheobase import plots
    from rheobase.analysis.gradients import Split

    flat, steep = torch.tensor([1.0, 1.2, 0.5]), torch.tensor([1.0, 0.1, 1e-4])
    assert plots.gradient_reach({"one": flat}, "").axes[0].get_yscale() == "linear"
    assert plots.gradient_reach({"one": flat, "two": steep}, "").axes[0].get_yscale() == "log"
    split = Split(*torch.rand(5, 3))
    made = plots.gradient_parts({f"a network with a long name {k}": {"l": split} for k in range(3)})
    made.canvas.draw()
    names = sorted((axes.yaxis.label.get_window_extent().extents for axes in made.axes[:12:4]), key=lambda box: box[1])
    assert all(low[3] <= high[1] for low, high in pairwise(names)), "names of rows overlap"
    rows = [{"epoch": k, "validation_accuracy": 0.5, "firing_rate": None} for k in range(400)]
    above, below = plots.learning_with_activity({"long": [rows]}).axes
    assert len(rows) / above.lines[1].get_markevery() <= 41 and "no firing rate" in below.texts[0].get_text()
    runs = {str(k): [[{"epoch": 1, "train_loss": 1.0, "validation_accuracy": 0.5}]] * 2 for k in range(5)}
    assert not plots.exchange_losses(runs).axes[0].collections, "five bands would hide the lines"


def test_figures_take_tensors_as_they_come():
    """On a device, part of a graph: numpy() alone would refuse them."""
    import torch

    from rheobase import plots
    from rheobase.analysis.gradients import Split

    place = "cuda" if torch.cuda.is_available() else "cpu"
    values = torch.linspace(0.1, 1.0, 5, device=place, requires_grad=True)
    split = Split(*[values * 1] * 5)
    assert plots.gradient_parts({"lif": {"layers.0": split, "layers.1": split}}).axes
    assert plots.gradient_reach({"lif": values * 1}, "reach").axes
    assert (
        plots.spread({"layer": values * 1}, "tau").axes and plots.raster((values * 2).view(5, 1, 1)).lines is not None
    )
