"""The counter-based generator: published vectors, the mapping to [0, 1), and what depends on the seed."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse import philox

ONES = 0xFFFFFFFF
# Random123's kat_vectors, philox4x32 with 10 rounds: counter, key, output.
PUBLISHED = [
    ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([ONES] * 4, (ONES, ONES), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def words(counter, key):
    """Philox4x32-10 by Python's integers of any size."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        a, b = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (b >> 32) ^ c1 ^ k0, b & ONES, (a >> 32) ^ c3 ^ k1, a & ONES
        k0, k1 = (k0 + 0x9E3779B9) & ONES, (k1 + 0xBB67AE85) & ONES
    return [c0, c1, c2, c3]


@pytest.mark.parametrize(("counter", "key", "wanted"), PUBLISHED, ids=["zeros", "ones", "pi"])
def test_published_vectors(counter, key, wanted):
    assert [int(w) for w in philox.philox([torch.tensor(c) for c in counter], key)] == wanted
    assert words(counter, key) == wanted


@pytest.mark.parametrize("seed", [0, 1, 2**63 + 12345, 2**64 - 1])
def test_draws_are_words_of_the_counter(seed):
    """r[t, n] = (word >> 8) 2⁻²⁴, word t mod 4 of counter (t div 4, n, 0, 0) under the seed."""
    signed = seed - 2**64 if seed >= 2**63 else seed
    drawn = philox.uniform(signed, 3, 7, torch.Size([2, 5]), torch.float64, torch.device("cpu"))
    for t in range(7):
        for n in range(10):
            word = words([(t + 3) // 4, n, 0, 0], (seed & ONES, seed >> 32))[(t + 3) % 4]
            assert drawn[t].flatten()[n] == (word >> 8) * 2.0**-24


def test_draws_lie_below_one_and_are_uniform():
    r = philox.uniform(7, 0, 64, torch.Size([4096]), torch.float32, torch.device("cpu"))
    assert r.min() >= 0 and r.max() < 1
    assert torch.equal(r * 2**24, (r * 2**24).round())
    counts = torch.histc(r, 64, 0, 1)
    assert ((counts - 4096).square().sum() / 4096) < 110  # chi squared of 63 degrees: 1 in 5,000 is above


@pytest.mark.parametrize("backend", ["eager", "cpu"])
@pytest.mark.parametrize("kind", [rb.ProbLIF, rb.ProbPLIF])
class TestSeeds:
    x = torch.randn(8, 3, 40, generator=torch.Generator().manual_seed(0)) * 4

    def test_a_number_gives_the_same_draws_each_call(self, kind, backend):
        with rb.backend(backend):
            assert torch.equal(kind(seed=3)(self.x), kind(seed=3)(self.x))
            assert not torch.equal(kind(seed=3)(self.x), kind(seed=4)(self.x))

    def test_none_takes_a_new_key_from_torch(self, kind, backend):
        neuron = kind()
        with rb.backend(backend):
            torch.manual_seed(5)
            first, second = neuron(self.x), neuron(self.x)
            torch.manual_seed(5)
            again = neuron(self.x)
        assert torch.equal(first, again) and not torch.equal(first, second)

    def test_backward_takes_nothing_from_torch(self, kind, backend):
        x = self.x.clone().requires_grad_()
        with rb.backend(backend):
            spikes = kind()(x)
            before = torch.get_rng_state()
            spikes.sum().backward()
        assert torch.equal(before, torch.get_rng_state())

    def test_uniform_from_outside_equals_drawing(self, kind, backend):
        key = 2**64 - 3
        drawn = philox.uniform(-3, 0, 8, self.x.shape[1:], torch.float32, self.x.device)
        with rb.backend(backend):
            assert torch.equal(kind(seed=key)(self.x), kind()(self.x, uniform=drawn))

    def test_a_spike_needs_r_below_p(self, kind, backend):
        """p = 1 at the threshold and above: r = 1 would not fire, the largest r below 1 does."""
        x, r = torch.full((1, 4), 1e4), torch.tensor([[0.0, 0.5, 1 - 2**-24, 1.0]])
        with rb.backend(backend):
            assert kind()(x, uniform=r).tolist() == [[1.0, 1.0, 1.0, 0.0]]
            assert kind()(-x, uniform=r * 0).tolist() == [[0.0] * 4]  # p underflows to 0, and 0 < 0 is false


def test_training_and_evaluation_both_sample():
    x = torch.zeros(50, 100)
    neuron = rb.ProbLIF(seed=1)
    assert torch.equal(neuron.train()(x), neuron.eval()(x)) and neuron(x).any()


class Jittered(rb.Neuron):
    """A random neuron without a seed of its own."""

    states, random = ("u",), True

    def __init__(self):
        super().__init__(rb.surrogate.ATan())

    def dynamics(self, x, u, *, uniform):
        u = 0.5 * u + x
        s = self.fire(u, 0.5 + uniform)
        return s, u - s


def test_uniform_is_for_every_random_neuron():
    x, found = torch.randn(8, 3, 40, generator=torch.Generator().manual_seed(0)) * 2, []
    for backend in ("eager", "auto"):
        with rb.backend(backend):
            found.append(Jittered()(x, uniform=torch.full_like(x, 0.25)))
    assert found[0].any() and torch.equal(*found)
