"""Wrong kernels, planted; the comparison with eager must catch each."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse import build, recurrent, recurrent_backward, recurrent_launch
from tests.recurrent import cases

pytestmark = pytest.mark.skipif(rb.fuse.build.compiler() is None, reason="needs a C compiler")

FORWARD = {
    "spikes of step t - 2 in place of t - 1": ("t, batch, b0, rows, words);", "t - (t > 1), batch, b0, rows, words);"),
    "a delay one step too long": (
        "(t - 1 - late[k]) * batch",
        "(t - 1 - late[k] - (k > 0 && t > late[k] + 1)) * batch",
    ),
    "all neurons as late as the first": ("& masks[k * words + w]", "& masks[w]"),
    "no spikes from before the first step": ("if (before && t < history)", "if (0)"),
    "only the last spikes from before the first step": ("if (before && t < history)", "if (before && t == 0)"),
    "one spike too few is added": ("if (count) gather", "if (count > 1) gather"),
    "random numbers of the wrong step": ("((clock + t) % 4)", "(t % 4)"),
    "strict comparison": (">= ", "> "),
    "states saved for backward from another step": ("t % chunk == 0", "t % chunk == (t > 0)"),
}
BACKWARD = {
    "spikes of step t in the weight's gradient": ("t, batch, b0, rows, words);", "t + 1, batch, b0, rows, words);"),
    "nothing flows to the spikes": ("LOAD(ct[i]) + bt[i]", "LOAD(ct[i])"),
    "what flowed before is not cleared": ("memset(back, 0, (size_t)(rows", "memset(back, 0, 0 * (size_t)(rows"),
    "what flows to the last step is not cleared": ("else memset(back", "else if (0) memset(back"),
    "nothing flows from one chunk to the one before": ("if (history == 1) memcpy(ring", "if (0) memcpy(ring"),
    "a gate of the step before": ("incoming, needed + (t - t0)", "incoming, needed + (t > t0 ? t - 1 - t0 : 0)"),
    "a gate never set": ("any |= (n", "any |= 0 * (n"),
    "delays forgotten on the way back": ("t + 1 + delay[j]", "t + 1"),
    "initial spikes left out of the weight's gradient": ("before && t < t1 && t < history", "0"),
    "initial spikes in the wrong order": ("grad_before + (h * batch", "grad_before + ((history - 1 - h) * batch"),
    "the first step of a chunk left out": (
        "no = t0 || before ? 0 : rows,",
        "no = rows,",
    ),
    "all chunks start from the first": ("marks + ((c * ", "marks + ((0 * "),
    "currents of another chunk": (
        "kept + (t * batch + b0 + b) * n, (size_t)",
        "kept + ((t - t0) * batch + b0 + b) * n, (size_t)",
    ),
    "a coefficient's gradient counted twice": ("memset(q + 0 * pad, 0, (size_t)n", "memset(q + 0 * pad, 0, 0 * n"),
}


def check() -> None:
    for name, delays in (("lif", None), ("lif", torch.arange(17) % 3 * 5), ("probplif", None)):
        neuron = cases.make(name, 17)
        inputs = cases.dyadic(neuron, name, (cases.STEPS, 5, 17), torch.float32, delays=delays)
        cases.compare(cases.call(neuron, inputs, "eager"), cases.call(neuron, inputs, "cpu"))


@pytest.fixture
def fresh(monkeypatch):
    monkeypatch.setattr(recurrent_launch, "_kernels", {})
    monkeypatch.setattr(recurrent_launch, "reach_limit", lambda _: 1024)
    quick = tuple("-O1" if flag == "-O3" else flag for flag in build.flags())  # a third of the compiler's time
    monkeypatch.setattr(build, "flags", lambda: quick)
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
