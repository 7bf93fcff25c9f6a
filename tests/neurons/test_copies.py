"""Neurons survive copying and pickling, after their kernels have run."""

import copy
import pickle

import pytest
import torch

import rheobase as rb


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
