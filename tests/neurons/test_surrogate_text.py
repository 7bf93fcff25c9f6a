"""Surrogates written as text in configs."""

import pytest

import rheobase as rb
from rheobase import surrogate


@pytest.mark.parametrize("name", surrogate.names())
def test_a_surrogate_is_read_back_from_what_it_prints(name):
    kind = getattr(surrogate, name)
    assert surrogate.from_text(name) == kind()
    changed = kind(*(0.75 for _ in vars(kind())))
    assert surrogate.from_text(repr(changed)) == changed != kind()


def test_a_neuron_takes_its_surrogate_as_text():
    neuron = rb.neurons.create("lif", surrogate="DoubleGaussian(gamma=0.25)")
    assert neuron.surrogate == surrogate.DoubleGaussian(gamma=0.25)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("DoubleGausian", "Did you mean 'DoubleGaussian'"),
        ("ATan(alpa=2)", "Did you mean 'alpha'"),
        ("ATan(alpha=wide)", "must be a number; got 'wide'"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        surrogate.from_text(text)
