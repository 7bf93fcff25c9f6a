"""Neurons survive copying and pickling, after their kernels have run."""

import copy
import pickle

import pytest
import torch

import rheobase as rb


class Resets(rb.Neuron):
    """A neuron whose step depends on what is easily overlooked: a private attribute, a parameter, a module."""

    states = ("v",)

    def __init__(self, hard=False, slope: float | None = None, inner: torch.nn.Module | None = None):
        super().__init__(rb.surrogate.Rectangle())
        self._hard = hard
        self.slope = None if slope is None else torch.nn.Parameter(torch.tensor(slope))
        self.inner = inner

    def coefficients(self):
        return {"threshold": 0.75 if self.training else 0.5} | ({} if self.slope is None else {"slope": self.slope})

    def dynamics(self, x, v, *, threshold, slope=1.0):
        u = slope * (0.5 * v + x)
        u = u if self.inner is None else self.inner(u)
        s = self.fire(u, threshold)
        return s, (u * (1 - s) if self._hard else u - s)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))], ids=["copy", "pickle"])
def test_a_duplicate_gives_the_same_spikes(duplicate):
    torch.manual_seed(0)
    x = torch.randn(6, 3, 5) * 2
    neuron = rb.PLIF(tau=3.0, channels=5)
    spikes = neuron(x)
    assert spikes.any()
    other = duplicate(neuron)
    assert torch.equal(other(x), spikes)
    assert other.w is not neuron.w


def test_changing_a_setting_changes_the_kernel():
    x = torch.tensor([[1.5], [0.8], [0.0]])  # soft: v = .5, then u = 1.05; hard: u = .8
    neuron = rb.LIF()
    compiled_as = neuron._key
    assert neuron(x).tolist() == [[1.0], [1.0], [0.0]]
    neuron.reset = "hard"
    assert neuron(x).tolist() == [[1.0], [0.0], [0.0]]
    assert neuron._key != compiled_as


OWN = [
    {}, {"hard": True}, {"slope": 2.0}, {"inner": torch.nn.Tanh()}, {"inner": torch.nn.ReLU()},
]  # fmt: skip


@pytest.mark.parametrize("options", OWN, ids=str)
def test_neurons_of_one_class_share_no_kernel_that_differs(options):
    for other in OWN:
        Resets(**other)
    neuron, x = Resets(**options), torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(0)) * 2
    for mode in (True, False):
        neuron.train(mode)
        with rb.backend("eager"):
            wanted = neuron(x)
        with rb.backend("cpu"):
            assert wanted.any() and torch.equal(neuron(x), wanted)


def test_states_may_be_a_list():
    kind = type("Listed", (Resets,), {"states": ["v"]})
    assert torch.equal(kind()(torch.ones(3, 2)), Resets()(torch.ones(3, 2)))


def test_a_parameter_may_be_parametrized():
    class Clamp(torch.nn.Module):
        def forward(self, w):
            return w.clamp(0.0, 1.0)

    neuron, x = rb.PLIF(tau=1.2), torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(0)) * 2
    neuron(x)
    torch.nn.utils.parametrize.register_parametrization(neuron, "w", Clamp())
    with rb.backend("cpu"):
        spikes = neuron(x)
    with rb.backend("eager"):
        assert torch.equal(neuron(x), spikes)
    with rb.backend("cpu"):
        assert torch.equal(copy.deepcopy(neuron)(x), spikes)
