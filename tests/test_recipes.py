"""Recipes: every published cell is a config of a network that exists, every twin trains, and the list says so."""

import json

import pytest
import torch

from rheobase import cli, models, recipes
from rheobase.models.parts import Parts
from rheobase.recipes.small import EVENTS, IMAGES
from rheobase.training import objective, results

DEEP = recipes.DEEP
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
