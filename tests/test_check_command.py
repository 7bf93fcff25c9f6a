"""`rheobase check` on a user's own neuron in a file of ten lines."""

import json
import sys

import pytest

import rheobase as rb
from rheobase import checks, cli, neurons
from rheobase.commands import terminal

NEURON = '''
import rheobase as rb

class Mine(rb.Neuron):
    """Two leaks: the potential's and the input's."""
    states = ("v", "i")
    def __init__(self, leak: float = 0.5, *, surrogate: rb.surrogate.Surrogate = rb.surrogate.Sigmoid()):
        super().__init__(surrogate)
        self.leak = self.parameter(leak)
    def coefficients(self):
        return {"leak": self.leak, "threshold": 1.0}
    def dynamics(self, x, v, i, *, leak, threshold):
        i = 0.5 * i + x
        u = leak * v + i
        s = self.fire(u, threshold)
        return s, u - threshold * s, i
'''
AWKWARD = """
from __future__ import annotations
import dataclasses
from rheobase import Neuron
from rheobase.surrogate import Rectangle
from neighbour_of_awkward import LEAK

@dataclasses.dataclass(frozen=True)
class Settings:
    leak: float = LEAK

class Awkward(Neuron):
    states = ("v",)
    def __init__(self):
        super().__init__(Rectangle(1.0))
        self.settings = Settings()
    def dynamics(self, x, v):
        u = self.settings.leak * v + x
        s = self.fire(u, 1.0)
        return s, u * (1 - s)
"""
WRONG = NEURON.replace('{"leak": self.leak,', '{"leak": float(self.leak.detach()),')


@pytest.fixture
def say(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "console", terminal.Console(width=200))
    return lambda *arguments: (cli.main(arguments), capsys.readouterr().out)


def test_a_neuron_of_ten_lines_passes(tmp_path, say):
    (tmp_path / "my.py").write_text(NEURON)
    status, out = say("check", f"{tmp_path}/my.py:Mine")
    assert status == 0, out
    assert "agreement.dyadic_surrogates" in out and "FAIL" not in out


def test_a_file_with_numbers_for_coefficients_a_dataclass_and_a_neighbour_passes(tmp_path, say, monkeypatch):
    monkeypatch.setattr("sys.path", sys.path[:])
    (tmp_path / "neighbour_of_awkward.py").write_text("LEAK = 0.5")
    (tmp_path / "json.py").write_text(AWKWARD)  # the name of a module that is there already, and stays
    status, out = say("check", f"{tmp_path}/json.py:Awkward")
    assert status == 0, out
    assert sys.modules["json"] is json


@pytest.mark.parametrize("name", ["my.py", "my.py:Yours"])
def test_a_file_without_the_class_names_what_it_has(tmp_path, monkeypatch, name):
    monkeypatch.setattr("sys.path", sys.path[:])
    (tmp_path / "my.py").write_text(NEURON)
    with pytest.raises(ValueError, match=r"write .*my\.py:CLASS\. It has: Mine\."):
        neurons.kind(f"{tmp_path}/{name}")


def test_a_parameter_that_gets_no_gradient_fails(tmp_path, say):
    (tmp_path / "my.py").write_text(WRONG)
    status, out = say("check", f"{tmp_path}/my.py:Mine")
    assert status == 1
    assert "FAIL contract.gradients" in out and "the gradient to leak differs" in out


def test_a_function_that_makes_neurons():
    subject = checks.Subject(lambda: rb.LIF(tau=4.0))
    assert subject.name == "LIF" and subject.options() == [{}] and subject.surrogates() == []
    assert checks.agreement.dyadic(subject) is None


GIVEN = """
import torch
from rheobase import Neuron
from rheobase.surrogate import Surrogate

class Falling(Surrogate):
    def __init__(self, slope):
        vars(self)["slope"] = slope
    def derivative(self, d):
        return torch.exp(-self.slope * d.abs())

class Given(Neuron):
    states, random = ("v",), True
    def __init__(self, leak: float, kind: str = "soft"):
        assert leak == 0.25 and kind == "hard"
        super().__init__(Falling(2.0))
        self.leak = leak
    def coefficients(self):
        return {"leak": self.leak}
    def dynamics(self, x, v, *, leak, uniform):
        u = leak * v + x
        s = self.fire(u, 0.5 + uniform)
        return s, u * (1 - s)
"""


def test_options_stay_and_what_is_missing_is_done_without(tmp_path, say):
    """A constructor's argument without default, a surrogate without primitive, a random neuron without seed."""
    (tmp_path / "my.py").write_text(GIVEN)
    status, out = say("check", f"{tmp_path}/my.py:Given:leak=0.25:kind=hard")
    assert status == 0, out
    assert "skip contract.gradients: the surrogate has no primitive" in out and "skip contract.surrogate" in out
    assert "ok   agreement.dyadic_options" in out and "contract.gradients  " not in out


def test_options_of_the_packages_neurons(say):
    subject = checks.Subject(checks.maker("lif:tau=4:reset=hard:surrogate=Sigmoid(alpha=2)"))
    neuron = subject.dyadic(4)
    assert (neuron.tau, neuron.reset, neuron.surrogate) == (4.0, "hard", rb.surrogate.Sigmoid(alpha=2.0))
    assert all({"tau", "reset", "surrogate"}.isdisjoint(moved) for moved in subject.options())
    with pytest.raises(TypeError, match=r"LIF: unknown argument 'tao'.*tau"):
        checks.Subject(checks.maker("lif:tao=4"))
    with pytest.raises(ValueError, match="options are written"):
        checks.maker("lif:tau")


def test_show_and_bench_take_options(tmp_path, say):
    (tmp_path / "my.py").write_text(NEURON)
    status, out = say("show", f"{tmp_path}/my.py:Mine:leak=0.25:surrogate=Sigmoid(alpha=2)")
    assert status == 0 and "surrogate=Sigmoid(alpha=2.0)" in out
    status, out = say("bench", "--neuron", "lif:tau=4", "--steps", "2", "--elements", "9", "--rounds", "1")
    assert status == 0 and "lif:tau=4" in out
