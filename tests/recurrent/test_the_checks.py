"""Wrong kernels, planted; the comparison with eager must catch each."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse import recurrent, recurrent_backward, recurrent_launch
from tests.recurrent import cases

pytestmark = pytest.mark.skipif(rb.fuse.build.compiler() is None, reason="needs a C compiler")

FORWARD = {
    "spikes of step t - 2 in place of t - 1": ("now - batch * words", "now - (t > 1 ? 2 : 1) * batch * words"),
    "no spikes from before the first step": ("if (t == 0 && before)", "if (0)"),
    "one spike too few is added": ("if (count) gather", "if (count > 1) gather"),
    "random numbers of the wrong step": ("((clock + t) % 4)", "(t % 4)"),
    "strict comparison": (">= ", "> "),
    "states saved for backward from another step": ("t % chunk == 0", "t % chunk == (t > 0)"),
}
BACKWARD = {
    "spikes of step t in the currents": ("bits + ((t - 1) * batch + b0) * words", "bits + (t * batch + b0) * words"),
    "spikes of step t in the weight's gradient": ("bits + ((from - 1) * batch", "bits + (from * batch"),
    "nothing flows to the spikes": ("product(back, delta", "if (0) product(back, delta"),
    "what flowed before is not cleared": ("memset(back, 0, (size_t)slot", "memset(back, 0, 0 * slot"),
    "initial spikes left out of the weight's gradient": ("if (t0 == 0 && before)", "if (0)"),
    "the first step of a chunk left out": ("t0 == 0 ? 1 : t0", "t0 + 1"),
    "all chunks start from the first": ("marks + ((c * ", "marks + ((0 * "),
    "a coefficient's gradient counted twice": ("memset(q + 0 * pad, 0, (size_t)n", "memset(q + 0 * pad, 0, 0 * n"),
}


def check() -> None:
    for name in ("lif", "probplif"):
        neuron = cases.make(name, 17)
        inputs = cases.dyadic(neuron, name, (cases.STEPS, 5, 17), torch.float32)
        cases.compare(cases.call(neuron, inputs, "eager"), cases.call(neuron, inputs, "cpu"))


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(recurrent_launch, "_kernels", {})
    return monkeypatch


def plant(monkeypatch, module, name: str, old: str, new: str) -> None:
    whole, hits = getattr(module, name), []

    def changed(program, variant):
        source = whole(program, variant)
        hits.append(old in source)
        return source.replace(old, new)

    monkeypatch.setattr(module, name, changed)
    with pytest.raises(AssertionError, match=r"flips|off by"):
        check()
    assert any(hits), f"there is no {old!r} to change any more"


@pytest.mark.parametrize("wrong", FORWARD)
def test_wrong_forward(fresh, wrong):
    plant(fresh, recurrent, "forward_source", *FORWARD[wrong])


@pytest.mark.parametrize("wrong", BACKWARD)
def test_wrong_backward(fresh, wrong):
    plant(fresh, recurrent_backward, "backward_source", *BACKWARD[wrong])


@pytest.mark.parametrize(
    "wrong",
    [lambda w: w.T, lambda w: w - torch.diag(torch.diag(w)), lambda w: w.abs()],
    ids=["transposed", "no self-connections", "sign lost"],
)
def test_wrong_weight(fresh, wrong):
    right = recurrent_launch.Loop._rows
    fresh.setattr(recurrent_launch.Loop, "_rows", lambda self, matrix: right(self, wrong(matrix)))
    with pytest.raises(AssertionError, match=r"flips|off by"):
        check()


def test_the_right_kernel_passes():
    check()
