"""`rheobase check` on a user's own neuron in a file of ten lines."""

import pytest

import rheobase as rb
from rheobase import checks, cli
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


def test_a_parameter_that_gets_no_gradient_fails(tmp_path, say):
    (tmp_path / "my.py").write_text(WRONG)
    status, out = say("check", f"{tmp_path}/my.py:Mine")
    assert status == 1
    assert "FAIL contract.gradients" in out and "the gradient to leak differs" in out


def test_a_function_that_makes_neurons():
    subject = checks.Subject(lambda: rb.LIF(tau=4.0))
    assert subject.name == "LIF" and subject.options() == [{}] and subject.surrogates() == []
    assert checks.agreement.dyadic(subject) is None
