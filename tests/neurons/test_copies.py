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


class Exponential(rb.surrogate.Surrogate):
    """Written without a dataclass, as Python allows."""

    def __init__(self, rate: float):
        self.rate = rate

    def derivative(self, d):
        return torch.exp(-self.rate * d.abs())


def gradients(neuron: rb.Neuron, x: torch.Tensor) -> dict[str, torch.Tensor]:
    found = {}
    for backend in ("eager", "cpu"):
        leaf = x.clone().requires_grad_()
        with rb.backend(backend):
            (found[backend],) = torch.autograd.grad(neuron(leaf).sum(), leaf)
    return found


def test_neurons_with_other_surrogates_of_one_kind_share_no_kernel():
    x = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    found = [gradients(rb.LIF(surrogate=Exponential(rate)), x) for rate in (1.0, 9.0)]
    for each in found:
        torch.testing.assert_close(each["cpu"], each["eager"])
    assert not torch.allclose(found[0]["cpu"], found[1]["cpu"])


def test_a_surrogate_in_use_does_not_change():
    neuron = rb.LIF(surrogate=Exponential(1.0))
    with pytest.raises(AttributeError, match=r"Exponential: a neuron uses it.*neuron.surrogate = Exponential"):
        neuron.surrogate.rate = 2.0
    copy.deepcopy(neuron).surrogate = Exponential(2.0)


class Moded(rb.Neuron):
    """Takes True for another mode than 1."""

    states = ("v",)

    def __init__(self, mode: object):
        super().__init__()
        self.mode = mode

    def dynamics(self, x, v):
        u = (0.5 if self.mode is True else 0.9) * v + x
        s = self.fire(u, 1.0)
        return s, u - s


def test_settings_that_only_look_equal_share_no_kernel():
    x = torch.randn(20, 50, generator=torch.Generator().manual_seed(0))
    for mode in (True, 1):
        neuron = Moded(mode)
        with rb.backend("eager"):
            wanted = neuron(x)
        assert torch.equal(neuron(x), wanted)


class Ordered(rb.Neuron):
    """Returns its coefficients in another order when it is evaluated; keeps the last input; a state of constants."""

    states = ("v", "last", "constant")

    def __init__(self, shift: float = 0.0):
        super().__init__()
        self.shift = shift

    def coefficients(self):
        values = {"a": 0.5, "b": 0.3, "shift": self.shift}
        return values if self.training else dict(reversed(values.items()))

    def dynamics(self, x, v, last, constant, *, a, b, shift):
        u = a * v + x + torch.rsub(b * last, x, alpha=0.3) + torch.atan(1 / shift).sign() * 0.25 + constant
        s = self.fire(u, 1.0)
        return s, u - s, x, a * 0.5


def test_coefficients_in_another_order_signed_zeros_and_kept_inputs_are_as_in_eager():
    x = torch.randn(6, 50, generator=torch.Generator().manual_seed(0))
    neuron, spikes = Ordered(), []
    for training in (True, False):
        for shift in (0.0, -0.0):
            neuron.shift = shift
            neuron.train(training)
            with rb.backend("eager"):
                wanted, state = neuron.scan(x)
            found, last = neuron.scan(x)
            assert torch.equal(found, wanted) and torch.equal(last["constant"], state["constant"])
            assert state["last"].data_ptr() != x[-1].data_ptr(), "a state shares memory with x"
            spikes.append(found)
    assert not torch.equal(spikes[0], spikes[1]), "the sign of 0 makes no difference here"


class Fewer(Ordered):
    def coefficients(self):
        values = super().coefficients()
        return values if self.training else {"a": values["a"], "b": values["b"]}


def test_coefficients_with_other_names_are_refused():
    neuron = Fewer()
    neuron(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="returns a, b where it returned a, b, shift before"):
        neuron.eval()(torch.zeros(2, 3))
