"""Recipes: every published cell is a config of a network that exists, every twin trains, and the list says so."""

import json
import math
from pathlib import Path

import pytest
import torch

from rheobase import cli, models, recipes
from rheobase.models.parts import Parts
from rheobase.recipes.small import EVENTS, IMAGES
from rheobase.training import objective, results

DEEP = recipes.DEEP
RESULTS = Path(__file__).parents[1] / "results"
SHAPES = {IMAGES: (3, 32, 32), EVENTS: (2, 34, 34)}


def test_the_tables_and_figures_of_the_three_papers_are_there():
    sources = " ".join(cell.source for found in DEEP.values() for cell in found.cells)
    sources += " ".join(found.also for found in DEEP.values())
    for wanted in ("table 1", "table 2", "table 6", "table 8", "figure 2a", "figure 2b", "figure 3b", "figure 4a"):
        assert wanted in sources, f"CLIF {wanted}"
    for wanted in ("ILIF table 2", "ILIF table 3", "ILIF tables 1", "DA-LIF table I", "DA-LIF table II", "IV-D"):
        assert wanted in sources, wanted


@pytest.mark.parametrize("name", DEEP)
def test_a_recipe_carries_its_name_and_the_optimiser_of_its_paper(name):
    config = recipes.recipe(name)
    assert config.recipe == name
    lamb = name == "clif/gesture-transformer"
    assert (config.optimizer, config.schedule, config.clip) == ("lamb" if lamb else "sgd", "cosine", None)


def test_settings_are_those_of_the_papers_tables():
    wanted = {
        "clif/cifar10-r18": (128, 200, 0.1, 5e-5, {}, 2022),
        "clif/cifar100-r18": (128, 200, 0.1, 5e-4, {}, 2022),
        "clif/tiny-vgg13": (256, 300, 0.1, 5e-4, {}, 2022),
        "clif/cifar10dvs-vgg11": (128, 300, 0.05, 5e-4, {"dropout": 0.3}, 2022),
        "clif/gesture-vgg11": (16, 300, 0.1, 5e-4, {"dropout": 0.4}, 2022),
        "ilif/cifar10dvs-vgg11": (128, 200, 0.05, 5e-4, {"dropout": 0.3}, 1234),
        "ilif/gesture-vgg11": (16, 200, 0.1, 5e-4, {"dropout": 0.4}, 1234),
        "dalif/cifar100-resnet20": (128, 1000, 0.1, 5e-4, {}, 0),
    }
    for name, settings in wanted.items():
        c = recipes.recipe(name)
        assert (c.batch, c.epochs, c.learning_rate, c.weight_decay, c.model_options, c.seed) == settings, name


# Settings as the papers print them: tables of settings, captions, texts. Options of neuron, loss, data by their dots.
PRINTED = {
    "clif/cifar10-r18": {"steps": 6, "neuron_options.tau": 2.0, "loss": "tet", "loss_options": {}},
    "clif/tiny-vgg13": {"steps": 6, "augmentation": "tiny-imagenet", "neuron_options.tau": 2.0},
    "clif/gesture-vgg11": {"data_options.steps": 20, "loss": "tet", "loss_options": {}},
    "clif/gesture-transformer": {
        "data_options.steps": 16,
        "learning_rate": 3e-4,
        "weight_decay": 0.06,
        "loss_options.smoothing": 0.1,
        "batch": 16,
    },
    "clif/cifar10dvs-vgg11": {"data_options.steps": 16, "loss_options.target": "onehot"},
    "clif/cifar10dvs-vggsnn": {"data_options.steps": 10, "loss_options.target": "onehot", "learning_rate": 0.05},
    "clif/cifar10-cnn5": {"steps": 6, "neuron": "lif", "neuron_options.tau": 2},
    "ilif/cifar10-r18": {"steps": 6, "neuron": "ilif", "neuron_options": {"tau": 1.1}, "batch": 128, "epochs": 200},
    "ilif/cifar100-r18": {"steps": 6, "neuron_options": {"tau": 1.1}, "weight_decay": 5e-4},
    "ilif/cifar10dvs-vgg11": {"data_options.steps": 10, "loss_options.target": "onehot", "neuron_options.tau": 1.1},
    "ilif/gesture-vgg11": {"data_options.steps": 20, "neuron_options": {"tau": 1.1, "gamma_i": 0.05}},
    "ilif/cifar10-vgg16": {"steps": 6, "model": "vgg16"},
    "ilif/cifar10dvs-r18": {"data_options.steps": 10, "model": "spiking_resnet18"},
    "ilif/gesture-r18": {"data_options.steps": 20, "neuron_options.gamma_i": 0.05, "model": "spiking_resnet18"},
    "dalif/cifar10-resnet19": {"steps": 4, "neuron": "dalif", "neuron_options": {}, "epochs": 1000},
    "dalif/cifar10-resnet20": {"steps": 4, "model": "resnet20"},
    "dalif/cifar100-resnet20": {"steps": 2, "model": "resnet20"},
    "dalif/cifar10-vgg16": {"steps": 2, "model": "vgg16"},
    "dalif/cifar100-vgg16": {"steps": 2, "model": "vgg16"},
    "dalif/imagenet-resnet18": {"steps": 4, "epochs": 320, "model": "imagenet_resnet18"},
    "dalif/imagenet-resnet34": {"steps": 4, "epochs": 320, "model": "imagenet_resnet34"},
    "dalif/cifar10dvs-resnet19": {"data_options.steps": 10, "epochs": 1000},
    "dalif/cifar10dvs-resnet20": {"data_options": {"steps": 16, "size": 64}},
    "dalif/gesture-vgg11": {"data_options.steps": 16, "epochs": 200, "model": "vgg11_a"},
    "problif/shd": {"hidden": (128,), "neuron_options.sigma": 1.0, "batch": 32, "learn_readout_tau": False},
    "problif/shd-plif": {"hidden": (128,), "neuron_options.sigma": 1.3, "learn_readout_tau": True},
    "problif/smnist-paper": {
        "hidden": (256,),
        "encoding": "pixels",
        "neuron_options": {"sigma": 1.2},
        "learn_readout_tau": True,
        "model_options": {},
        "batch": 256,
        "loss": "every_step",
        "select": "loss",
    },
    "problif/smnist-plif-paper": {
        "hidden": (256,),
        "neuron_options": {"sigma": 1.0, "tau_std": 5.0},
        "learn_readout_tau": True,
        "model_options": {},
        "select": "loss",
    },
    "problif/smnist-undelayed": {"hidden": (256,), "learn_readout_tau": True, "model_options.longest_delay": 0},
    "problif/smnist-plif-undelayed": {"hidden": (256,), "learn_readout_tau": True, "model_options.longest_delay": 0},
    "problif/smnist": {"hidden": (256,), "encoding": "pixels", "model_options.longest_delay": 240},
    "problif/smnist-lif": {"hidden": (256,), "neuron": "problif", "neuron_options.sigma": 0.0},
    "problif/smnist-plif0": {"hidden": (256,), "neuron": "probplif", "neuron_options.sigma": 0.0},
    "problif/hd/baseline": {"neuron": "problif", "neuron_options.sigma": 0.0},
    "problif/hd-plif/baseline": {"neuron": "probplif", "neuron_options.sigma": 0.0},
    "exact/mnist": {
        "hidden": (100, 100),
        "neuron_options": {"tau": 6 / math.pi, "i0": 5 / 4},
        "model_options.duration": 2.0,
        "weight_gain": 0.5,
        "loss_options": {"T": 2.0, "gamma": 0.01},
        "optimizer": "adabelief",
        "learning_rate": 4e-3,
    },
}
# Test accuracies in %, of the recipe's own config, else the best of its cells.
ACCURACIES = {
    "clif/cifar10-r18": 95.41,
    "clif/cifar100-r18": 78.36,
    "clif/tiny-vgg13": 64.13,
    "clif/gesture-vgg11": 97.92,
    "clif/gesture-transformer": 99.31,
    "clif/cifar10dvs-vgg11": 79.00,
    "clif/cifar10dvs-vggsnn": 86.10,
    "ilif/cifar10-r18": 95.49,
    "ilif/cifar100-r18": 78.51,
    "ilif/cifar10dvs-vgg11": 78.60,
    "ilif/gesture-vgg11": 97.92,
    "ilif/cifar10-vgg16": 94.25,
    "ilif/cifar100-vgg16": 75.25,
    "ilif/cifar10dvs-r18": 77.71,
    "ilif/gesture-r18": 96.88,
    "dalif/cifar10-resnet19": 96.72,
    "dalif/cifar100-resnet19": 80.59,
    "dalif/imagenet-resnet34": 70.58,
    "dalif/gesture-vgg11": 98.61,
    "problif/smnist-paper": 95.78,
    "problif/smnist-plif-paper": 97.09,
    "problif/shd": 79.99,
    "problif/shd-plif": 87.72,
    "exact/mnist": 97.6,
}


@pytest.mark.parametrize("name", PRINTED)
def test_settings_are_as_printed(name):
    values = recipes.recipe(name).as_dict()
    for place, wanted in PRINTED[name].items():
        field, _, option = place.partition(".")
        found = values[field][option] if option else values[field]
        assert found == (pytest.approx(wanted) if isinstance(wanted, float) else wanted), place


def test_accuracies_are_as_published():
    found = {name: recipes.published(name)[0].accuracy for name in recipes.names() if recipes.published(name)}
    assert {name: accuracy for name, accuracy in found.items() if accuracy is not None} == ACCURACIES


@pytest.mark.parametrize(
    ("name", "inputs", "classes", "parameters"),
    [("smnist-paper", 1, 10, 68_362), ("smnist-plif-paper", 1, 10, 68_618), ("shd-plif", 700, 20, 108_692)],
)
def test_the_papers_networks_of_noisy_neurons_have_its_parameters(name, inputs, classes, parameters):
    config = recipes.recipe(f"problif/{name}")
    model = models.create(
        "recurrent",
        config.neuron,
        in_channels=inputs,
        num_classes=classes,
        hidden=config.hidden,
        neuron_options=config.neuron_options,
        learn_readout_tau=config.learn_readout_tau,
    )
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_the_twins_without_noise_are_cells_of_shd():
    for name, accuracy in (("problif/shd", 71.40), ("problif/shd-plif", 76.15)):
        base = recipes.recipe(name)
        (twin,) = [cell.config(base) for cell in recipes.published(name) if cell.accuracy == accuracy]
        assert twin == base.but(neuron_options={**base.neuron_options, "sigma": 0}), name


def test_gradients_of_k_steps_are_cells():
    """Corners of figure 6's tables; the whole gradient is not cut."""
    for name, k, accuracies in (("clif/cifar10-r18", 1, (92.89, 80.71)), ("clif/gesture-vgg11", 16, (97.57, 97.57))):
        found = [cell for cell in DEEP[name].cells if cell.source == f"CLIF figure 6, k={k}"]
        assert (found[0].accuracy, found[-1].accuracy) == accuracies
        options = found[-1].config(recipes.recipe(name)).neuron_options
        assert len(found) == 5 and options == {"tau": 2, "gradient_steps": k}
    rows = {cell.source for name in ("clif/gesture-vgg11", "clif/cifar10-cnn5") for cell in DEEP[name].cells}
    assert {f"CLIF figure 6, k={k}" for k in (1, 4, 8, 12, 16, 20)} < rows
    assert {f"CLIF figure 2a, k={k}" for k in range(1, 7)} < rows
    whole = [cell for cell in DEEP["clif/cifar10-r18"].cells if cell.source == "CLIF figure 6, k=6"]
    assert [cell.accuracy for cell in whole] == [94.80, 94.86, 94.94, 94.36, 93.73]
    assert all("gradient_steps" not in cell.changes["neuron"] for cell in whole)


def test_a_twin_of_the_recipes_neuron_has_its_options():
    """IPLIF beside ILIF on DVS-Gesture: the same decay of the inhibiting current; both start from the same τ."""
    base, cells = recipes.recipe("ilif/gesture-vgg11"), DEEP["ilif/gesture-vgg11"].cells
    configs = {cell.accuracy: cell.config(base) for cell in cells if cell.source == "ILIF table 3"}
    assert (configs[96.55].neuron, configs[96.55].neuron_options) == ("iplif", {"tau": 1.1, "gamma_i": 0.05})
    assert (configs[95.49].neuron, configs[95.49].neuron_options) == ("plif", {"variant": "soft", "tau": 1.1})


@pytest.mark.parametrize("name", DEEP)
def test_every_cell_is_another_config_and_its_neuron_exists(name):
    base, cells = recipes.recipe(name), DEEP[name].cells
    configs = [json.dumps(cell.config(base).as_dict(), sort_keys=True) for cell in cells]
    sources = {(config, cell.source) for config, cell in zip(configs, cells, strict=True)}
    assert len(sources) == len(cells), "the same cell twice"
    neurons = {(one.neuron, tuple(one.neuron_options.items())) for one in (cell.config(base) for cell in cells)}
    for neuron, options in sorted(neurons, key=str)[:: 1 + len(neurons) // 8]:  # every one is traced: some seconds
        Parts(neuron, dict(options), steps=2).spiking(4)


@pytest.mark.parametrize("name", DEEP)
def test_every_twin_takes_a_step(name):
    config = recipes.recipe(f"{name}-small")
    assert config.recipe == f"{name}-small" and config.optimizer == recipes.recipe(name).optimizer
    channels, *size = SHAPES[config.data]
    model = models.create(
        config.model,
        neuron=config.neuron,
        neuron_options=config.neuron_options,
        in_channels=channels,
        image_size=tuple(size),
        steps=2,
        **config.model_options,
    )
    readout = model(2 * torch.rand(2, 2, channels, *size))
    objective(config.loss, config.loss_options).loss(readout, torch.tensor([1, 7])).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_a_recipe_shows_its_options_as_they_are_typed(capsys, tmp_path):
    assert cli.main(["recipes", "digits", "--results", str(tmp_path)]) == 0
    assert "--neuron-options tau 2.0 tau_std 0.5 sigma 0.1 mix 0.2" in capsys.readouterr().out.splitlines()


def test_what_a_sweep_found_stands_beside_the_recipe_that_it_started_from(tmp_path, capsys):
    base, test = recipes.recipe("exact/digits"), {"accuracy": 0.94, "loss": 1.0, "firing_rate": None}
    start = {**base.as_dict(), "epochs": 5}
    runs = [{"config": {**start, "learning_rate": 0.02, "seed": seed}, "epochs": [], "test": test} for seed in (0, 1)]
    studies = {"qif": {"config": start, "final": {"runs": runs}}, "lif": {"config": base.but(neuron="lif").as_dict()}}
    (tmp_path / "sweep.json").write_text(json.dumps({"recipe": "exact/digits", "studies": studies}))
    found = list(results.records(tmp_path))
    assert results.summary(results.of(found, base)) == "94.00 ± 0.00 (2 swept)"
    assert not results.of(found, base.but(neuron="lif")) and not results.of(found, base.but(batch=7))
    assert cli.main(["recipes", "--results", str(tmp_path)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "94.00" in line]
    assert [row.split()[0] for row in rows] == ["exact/digits"]


def test_two_names_of_one_recipe_show_the_same_runs(tmp_path, capsys):
    assert cli.main(["recipes", "--results", str(RESULTS)]) == 0
    measured = {row.split()[0]: row.split()[2:] for row in capsys.readouterr().out.splitlines() if row}
    assert measured["smnist"] == measured["problif/smnist-plif"] == ["98.56"]
    assert measured["exact/hd"][0] == "76.85" and measured["exact/digits"][0] == "94.06"


def test_the_list_shows_what_is_published_and_what_was_measured(tmp_path, capsys):
    config = recipes.recipe("ilif/cifar10-r18").but(seed=5, precision="bfloat16")
    for accuracy, name in ((0.9, "a"), (0.92, "b")):
        test = {"accuracy": accuracy, "loss": 1.0, "firing_rate": 0.1}
        record = {"config": config.as_dict(), "epochs": [], "test": test}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    found = list(results.records(tmp_path))
    assert results.summary([one for one in found if results.same(one, recipes.recipe("ilif/cifar10-r18"))]) == (
        "91.00 ± 1.41 (2 runs)"
    )
    assert not any(results.same(one, recipes.recipe("ilif/cifar10-r18").but(steps=4)) for one in found)
    assert cli.main(["recipes", "ilif/cifar10-r18", "--results", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    whole = next(line for line in lines if line.startswith("ILIF tables 1 and 2"))
    assert "95.49" in whole and "91.00 ± 1.41 (2 runs)" in whole and whole.endswith("rheobase train ilif/cifar10-r18")
    ablated = next(line for line in lines if "ilif:ciu=false" in line)
    assert "95.11" in ablated and "91.00" not in ablated
