"""A user's own neuron, FILE.py:CLASS, wherever a neuron is named: training, comparing, evaluating, deep networks."""

import os
import sys
import warnings

import pytest
import torch

import rheobase as rb
from rheobase import cli
from rheobase.neurons import named
from rheobase.training import Config, record, study

pytest.importorskip("sklearn")

NEURON = """
import rheobase as rb

class Leaky(rb.Neuron):
    states = ("v",)
    def __init__(self, leak: float = 0.5, *, surrogate: rb.surrogate.Surrogate = rb.surrogate.ATan()):
        super().__init__(surrogate)
        self.leak = self.parameter(leak)
    def coefficients(self):
        return {"leak": self.leak}
    def dynamics(self, x, v, *, leak):
        u = leak * v + x
        s = self.fire(u, 1.0)
        return s, u - s
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.py").write_text(NEURON)
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "name", "options"),
    [
        ("lif", "lif", {}),
        ("clif:tau=4:surrogate=ATan(alpha=3)", "clif", {"tau": 4, "surrogate": "ATan(alpha=3)"}),
        (
            "lif:reset=hard:v_reset=-.5:detach_reset=true",
            "lif",
            {"reset": "hard", "v_reset": -0.5, "detach_reset": True},
        ),
        ("a/my.py:Leaky", "a/my.py:Leaky", {}),
        ("/a/my.py:Leaky:leak=1e-3", "/a/my.py:Leaky", {"leak": 1e-3}),
        ("my.py:leak=1", "my.py", {"leak": 1}),
    ],
)
def test_names_and_options_are_told_apart(spec, name, options):
    assert named.split(spec) == (name, options)
    assert Config().with_neuron(spec).neuron == name


def test_a_neuron_names_one_folder():
    assert named.slug("lif:tau=4") == "lif-tau=4" and named.slug("my.py:Leaky") == "my.py-Leaky"
    assert named.slug("/a/my.py:Leaky:leak=1") == "a-my.py-Leaky-leak=1"
    assert named.slug("../my.py:Leaky") == "..-my.py-Leaky"


def test_an_option_without_a_value_is_refused():
    for spec in ("lif:tau", "my.py:Leaky:leak"):
        with pytest.raises(ValueError, match="options are written name:option=value"):
            named.split(spec)


def test_it_trains_resumes_and_is_evaluated(folder, capsys, monkeypatch):
    begin = ["train", "--hidden", "16", "--batch", "400", "--device", "cpu", "--neuron", "my.py:Leaky:leak=0.25"]
    assert cli.main([*begin, "--epochs", "2"]) == 0
    run = folder / "runs/digits-Leaky-seed0"
    found = record.read(run / "record.json")
    assert (found["config"]["neuron"], found["config"]["neuron_options"]) == ("my.py:Leaky", {"leak": 0.25})
    assert found["backend"] == "cpu" and len(found["neuron_sha256"]) == 64
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(["eval", str(run)]) == 0
    assert f"{found['test']['accuracy']:.2%}" in capsys.readouterr().out
    with (folder / "my.py").open("a") as file:
        file.write("\n# more\n")
    with pytest.warns(UserWarning, match=r"my\.py:Leaky has changed since"):
        cli.main(["eval", str(run)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cli.main(["eval", str(run), "--neuron", "problif"]) == 1, (
            "other values are learnt: no warning before that"
        )
    with pytest.warns(UserWarning, match=r"my\.py:Leaky has changed since"):
        cli.main(["train", "--resume", str(run)])
    assert cli.main(["compare", "--neurons", "lif,my.py:Leaky", *begin[1:-2], "--epochs", "1", "--seeds", "0"]) == 0
    assert "my.py:Leaky" in capsys.readouterr().out
    shorter = ["--seeds", "0", "--epochs", "1", *begin[1:-2], "--out", "out"]
    assert cli.main(["compare", "--neurons", f"{folder / 'my.py'}:Leaky", *shorter]) == 0
    assert len(list((folder / "out").glob("*-my.py-Leaky-seed0/record.json"))) == 1, "written beside the neuron"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for command in (["eval", str(run)], ["train", "--resume", str(run)]):
        assert cli.main(command) == 1
        assert f"it was {folder}/my.py: go to {folder}/, or" in capsys.readouterr().err
    assert cli.main(["eval", str(run), "--neuron", f"{folder}/my.py:Leaky:leak=0.25"]) == 0
    monkeypatch.chdir(folder)
    (folder / "my.py").unlink()
    assert cli.main(["eval", str(run)]) == 1
    assert "No file 'my.py'; write FILE.py:CLASS" in capsys.readouterr().err


def test_numbers_of_a_file_that_has_changed_since_are_told_apart(folder):
    pytest.importorskip("optuna")
    small = ["--epochs", "1", "--hidden", "8", "--batch", "400", "--device", "cpu"]
    compare = ["compare", "--neurons", "my.py:Leaky", "--seeds", "0", "--out", "c", *small]
    sweep = ["sweep", "--neurons", "my.py:Leaky", "--trials", "1", "--out", "s", *small]
    assert cli.main(compare) == cli.main(sweep) == 0
    config = Config(**record.read(folder / "c/my.py-Leaky-seed0/record.json")["config"])
    one = study.Study("", config, {"leaky": {}})
    (path := study.path_of(folder, "leaky", 0)).write_bytes((folder / "c/my.py-Leaky-seed0/record.json").read_bytes())
    with (folder / "my.py").open("a") as file:
        file.write("\n# more\n")
    with pytest.warns(UserWarning, match=r"my\.py:Leaky has changed since c/.*: its numbers are those of the old one"):
        assert cli.main(compare) == 0
    with pytest.warns(UserWarning, match=r"my\.py:Leaky has changed since s was .*trials that are done are"):
        assert cli.main(sweep) == 0
    with pytest.warns(UserWarning, match=f"has changed since {path}"):
        study.finished(one, folder, [0])


def test_it_stands_in_deep_networks(folder):
    model = rb.models.create("vgg11", neuron="my.py:Leaky", neuron_options={"leak": 0.9}, width=0.05, steps=2)
    layers = [layer for layer in model.modules() if isinstance(layer, rb.Neuron)]
    assert len(layers) >= 8 and {type(layer) for layer in layers} == {rb.neurons.kind("my.py:Leaky")}
    assert all(layer.leak.item() == pytest.approx(0.9) for layer in layers)
    assert model(torch.rand(2, 3, 32, 32)).shape[-1] == 10


def test_a_file_is_read_once_until_it_changes(folder):
    first = rb.neurons.kind("my.py:Leaky")
    assert rb.neurons.kind("my.py:Leaky") is first
    (folder / "my.py").write_text(NEURON.replace("0.5", "0.75"))
    os.utime(folder / "my.py", ns=(1, 1))
    assert rb.neurons.create("my.py:Leaky").leak.item() == 0.75


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("other.py:Leaky", "No file 'other.py'; write FILE.py:CLASS"),
        ("my.py:Other", r"my\.py has no neuron class 'Other'; .* It has: Leaky\."),
        ("my.py", r"my\.py has no neuron class ''; .* It has: Leaky\."),
        ("lof", "Did you mean 'lif'"),
    ],
)
def test_what_is_not_there_is_named_before_anything_is_written(folder, capsys, name, words):
    with pytest.raises(ValueError, match=words):
        rb.neurons.kind(name)
    assert cli.main(["train", "--neuron", name]) == 1
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import rheobase\nclass Mine(rheobase.Neuron:\n", "my.py, line 2: SyntaxError: "),
        ("x = 1\ny = x / 0\n", "my.py, line 2: ZeroDivisionError: division by zero"),
        ("import not_there_at_all\n", "my.py, line 1: ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("def f():\n    raise RuntimeError('two\\nlines')\n\nf()\n", "my.py, line 2: RuntimeError: two lines"),
        ("import json\njson.loads('{')\n", "my.py, line 2: JSONDecodeError: "),
        ("eval('1 +')\n", "my.py, line 1: SyntaxError: "),
        ("a = 1\0\n", "my.py: SyntaxError: "),
        ("import broken_neighbour\n", "broken_neighbour.py, line 1: NameError: name 'lost' is not defined"),
        ("import sys\nsys.exit(0)\n", "my.py, line 2: SystemExit: 0"),
    ],
    ids=["syntax", "error", "package", "function", "elsewhere", "eval", "zero byte", "neighbour", "exit"],
)
def test_a_file_that_cannot_be_imported_says_where_in_one_line(folder, capsys, text, words):
    (folder / "my.py").write_text(text)
    (folder / "broken_neighbour.py").write_text("lost\n")
    for command in (["check", "my.py:Mine"], ["train", "--neuron", "my.py:Mine"]):
        assert cli.main(command) == 1
        told = capsys.readouterr().err
        assert told.startswith(f"error: {words}") and told.count("\n") == 1
    assert not (folder / "runs").exists()


SET_FIRST = NEURON.replace("super().__init__(surrogate)", "").replace(
    "(leak)\n", "(leak)\n        super().__init__(surrogate)\n"
)


@pytest.mark.parametrize(
    "text",
    [
        NEURON.replace("super().__init__(surrogate)", "self.steepness = 1.0").replace("self.parameter(leak)", "leak"),
        NEURON.replace("super().__init__(surrogate)", ""),
        NEURON.replace("super()", "torch.nn.Module").replace("__init__(surrogate)", "__init__(self)"),
        SET_FIRST,
    ],
    ids=["not called", "parameters", "of Module", "too late"],
)
def test_a_neuron_whose_base_is_not_made_says_so(folder, capsys, text):
    (folder / "my.py").write_text("import torch" + text)
    assert cli.main(["check", "my.py:Leaky"]) == 1
    assert capsys.readouterr().err.startswith("error: Leaky: __init__ must call super().__init__(surrogate) before")
