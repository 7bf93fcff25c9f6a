"""The parts of the engine, each against its formula."""

import json
import subprocess

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import log_softmax

import rheobase as rb
from rheobase import models
from rheobase.training import Config, objective, record
from rheobase.training.averaging import Average
from rheobase.training.optimizers import LAMB, learning_rate, optimizer
from rheobase.training.stateless import compile_stateless, stateless_parts


def test_the_average_is_that_of_the_steps():
    model = nn.Linear(1, 1, bias=False)
    average, expected = Average(model, 0.5), model.weight.item()
    for step, value in enumerate((1.0, 2.0, 4.0), 1):
        model.weight.data.fill_(value)
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.applied():
        assert model.weight.item() == pytest.approx(expected)
    assert model.weight.item() == 4.0


def test_tet_is_its_formula():
    readout, labels = torch.randn(3, 4, 5, dtype=torch.float64), torch.tensor([0, 4, 2, 2])
    lengths = torch.tensor([3, 1, 2, 3])
    onehot = nn.functional.one_hot(labels, 5).double()
    for target, wanted in (("ones", torch.ones(4, 5)), ("onehot", onehot)):
        for ends in (None, lengths):
            each = []
            for b in range(4):
                steps = range(3 if ends is None else ends[b])
                entropy = sum(-log_softmax(readout[t, b], 0)[labels[b]] for t in steps) / len(steps)
                square = sum(((readout[t, b] - wanted[b]) ** 2).mean() for t in steps) / len(steps)
                each.append(0.9 * entropy + 0.1 * square)
            loss = objective("tet", {"weight": 0.1, "target": target}).loss
            torch.testing.assert_close(loss(readout, labels, ends), sum(each) / 4)
            soft = torch.zeros(4, 5, dtype=torch.float64).scatter(1, labels[:, None], 1.0)
            torch.testing.assert_close(loss(readout, soft, ends), sum(each) / 4)


@pytest.mark.parametrize("options", [{"target": "one"}, {"target": "Ones"}, {"weight": 5.0}, {"weight": -0.1}])
def test_tet_refuses_values_that_mean_nothing(options):
    with pytest.raises(ValueError, match=r"target of tet|weight must lie in"):
        objective("tet", options)


def test_smoothing_spreads_the_label():
    readout, labels = torch.randn(2, 3, 4), torch.tensor([0, 1, 3])
    soft = 0.9 * nn.functional.one_hot(labels, 4) + 0.1 / 4
    expected = -(soft * log_softmax(readout.mean(0), 1)).sum(1).mean()
    torch.testing.assert_close(objective("mean_readout", {"smoothing": 0.1}).loss(readout, labels, None), expected)
    square = (readout.mean(0) - soft).square().mean()
    torch.testing.assert_close(objective("mse", {"smoothing": 0.1}).loss(readout, labels, None), square)


def test_lamb_scales_adams_step_to_the_weights():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    chosen = LAMB([weight], lr=0.1, weight_decay=0.01)
    mean = square = torch.zeros(2)
    expected = weight.detach().clone()
    for step, gradient in enumerate((torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])), 1):
        weight.grad = gradient
        chosen.step()
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        change = (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)).sqrt() + 1e-6) + 0.01 * expected
        expected = expected - 0.1 * expected.norm() / change.norm() * change
        torch.testing.assert_close(weight.detach(), expected)


def test_the_learning_rate_rises_then_falls_to_nothing():
    chosen = Config(epochs=10, warmup=2.0, learning_rate=1.0, schedule="cosine")
    rates = [learning_rate(chosen, step, 5) for step in range(50)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10] == 1.0 and rates[30] == pytest.approx(0.5) and 0 < rates[49] < 0.01
    assert learning_rate(Config(learning_rate=1.0), 0, 5) == 1.0
    falling = [learning_rate(Config(epochs=10, learning_rate=1.0, schedule="linear"), step, 5) for step in range(50)]
    assert falling == pytest.approx([1 - step / 50 for step in range(50)])


def test_momentum_adds_up_gradients_and_a_weight_decay_that_is_not_there_is_refused():
    weight = nn.Parameter(torch.tensor([3.0]))
    chosen = optimizer(Config(optimizer="sgd", momentum=0.5, learning_rate=0.1), [("weight", weight)])
    for moved in (1.0, 1.5, 1.75):  # 1 + ½ + ¼ of a constant gradient of 1
        before, weight.grad = weight.item(), torch.ones(1)
        chosen.step()
        assert before - weight.item() == pytest.approx(0.1 * moved, rel=1e-5)
    with pytest.raises(ValueError, match=r"adabelief has no weight decay here; got 0\.1"):
        optimizer(Config(optimizer="adabelief", weight_decay=0.1), [("weight", weight)])


BOUNDED = {"epochs": 0, "batch": 0, "length_pool": 0, "accumulate": 0, "evaluation_batch": 0, "log_every": 0}
BOUNDED |= {"learning_rate": 0.0, "weight_gain": 0.0, "steps": 0, "clip": 0.0, "patience": 0, "tau_learning_rate": 0.0}
BOUNDED |= {"workers": -1, "weight_decay": -0.1, "warmup": -0.5, "momentum": -0.1}


@pytest.mark.parametrize(("name", "value"), BOUNDED.items())
def test_a_config_refuses_what_lies_outside_its_bounds(name, value):
    with pytest.raises(ValueError, match=rf"config: {name} must be .*; got {value}"):
        Config(**{name: value})


def test_a_config_takes_none_and_zero_where_they_mean_something():
    unlimited = dict.fromkeys(("steps", "clip", "patience", "tau_learning_rate"))
    assert Config(**unlimited, workers=0, weight_decay=0.0, warmup=0.0, momentum=0.0).clip is None


WRONG_TYPES = {
    "epochs": 2.5,
    "batch": "100",
    "learning_rate": "fast",
    "seed": True,
    "compile": 1,
    "data": 3,
    "clip": "none",
}
WRONG_TYPES |= {"hidden": "64", "feedback": (True, 1), "neuron_options": ("tau", 2.0), "steps": torch.ones(2)}


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES.items())
def test_a_config_refuses_other_types_by_name(name, value):
    with pytest.raises(ValueError, match=rf"config: {name} must be "):
        Config(**{name: value})


def test_a_config_holds_plain_python_whatever_numbers_it_is_given():
    given = Config(
        learning_rate=np.float32(0.5), epochs=torch.tensor(3), seed=np.int64(2), clip=1, hidden=[np.int32(4), 5],
        neuron_options={"tau": np.float64(3.0), "surrogate": rb.surrogate.ATan(2.0)},
    )  # fmt: skip
    plain = Config(
        learning_rate=0.5, epochs=3, seed=2, clip=1.0, hidden=(4, 5),
        neuron_options={"tau": 3.0, "surrogate": repr(rb.surrogate.ATan(2.0))},
    )  # fmt: skip
    assert given == plain and {type(v) for v in given.as_dict().values()} == {type(v) for v in plain.as_dict().values()}
    assert Config.from_dict(json.loads(json.dumps(given.as_dict()))) == given
    with pytest.raises(ValueError, match="neuron_options surrogate must be a number, text, True or False"):
        Config(neuron_options={"surrogate": lambda d: d})


def test_the_commit_of_changed_source_carries_a_plus(tmp_path):
    package = tmp_path / "package"
    (package / "training").mkdir(parents=True)
    (package / "module.py").touch()
    assert record._commit(package / "training") is None

    def git(*words):
        person = ("-c", "user.name=nobody", "-c", "user.email=nobody", "-c", "commit.gpgsign=false")
        made = subprocess.run(("git", *person, *words), cwd=tmp_path, check=True, capture_output=True, text=True)
        return made.stdout.strip()

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "notes.txt").touch()  # beside the package
    assert record._commit(package / "training") == commit
    (package / "module.py").write_text("changed = True")
    assert record._commit(package / "training") == f"{commit}+"


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lamb", "adabelief"])
def test_every_optimiser_goes_downhill(name):
    weight = nn.Parameter(torch.tensor([3.0]))
    decay = 0.0 if name == "adabelief" else 1e-3
    chosen = optimizer(Config(optimizer=name, weight_decay=decay, learning_rate=0.01), [("weight", weight)])
    for _ in range(100):
        chosen.zero_grad()
        weight.square().sum().backward()
        chosen.step()
    assert abs(weight.item()) < 2.9


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile looks at its inputs
def test_only_parts_without_neurons_are_compiled():
    model = models.create("spiking_resnet18", neuron="clif", width=0.05)
    kinds = {type(part).__name__ for part in stateless_parts(model)}
    assert {"Conv2d", "BatchNorm2d", "Linear"} <= kinds and not kinds & {"CLIF", "PreActivationBlock", "Sequential"}
    x = torch.rand(2, 2, 3, 32, 32)
    names = list(model.state_dict())
    before = model.eval()(x)
    compile_stateless(model, backend="eager")
    torch.testing.assert_close(model(x), before)
    assert list(model.state_dict()) == names
