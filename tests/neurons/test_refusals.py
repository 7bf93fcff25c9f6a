"""Wrong settings of single neurons: each message says what is wrong and what was given."""

import numpy as np
import pytest
import torch

import rheobase as rb

X = torch.zeros(3, 2, 4)


def leaky(leak: object, timed: tuple[str, ...] = (), fused: bool = True) -> rb.Neuron:
    """A neuron whose coefficients are `{"leak": leak}`, or what is given in place of them all."""

    class Leaky(rb.Neuron):
        states = ("u",)

        def coefficients(self):
            return leak if isinstance(leak, set) else {"leak": leak}  # type: ignore[return-value]

        def dynamics(self, x, u, *, leak):
            u = leak * u + x
            s = self.fire(u, 1.0)
            return s, u - s

    Leaky.timed, Leaky.fused = timed, fused
    return Leaky(rb.surrogate.ATan())


CASES = [
    (lambda: rb.LIF(tau=0.5), ValueError, "LIF: tau must be above 1 step; got 0.5."),
    (lambda: rb.CLIF(tau=1.0), ValueError, "CLIF: tau must be above 1 step; got 1.0."),
    (lambda: rb.PLIF(tau=1), ValueError, "PLIF: tau must be above 1 step"),
    (lambda: rb.IPLIF(tau=0.9), ValueError, "IPLIF: tau must be above 1 step"),
    (lambda: rb.KLIF(tau=1), ValueError, "KLIF: tau must be above 1 step"),
    (lambda: rb.ALIF(tau=0.0), ValueError, "ALIF: tau must be above 0"),
    (lambda: rb.ProbLIF(tau=-1.0), ValueError, "ProbLIF: tau must be above 0"),
    (lambda: rb.ProbPLIF(tau=0), ValueError, "ProbPLIF: tau must be above 0"),
    (lambda: rb.LIF(tau=float("nan")), ValueError, "tau must be above 1"),
    (lambda: rb.LIF(tau="2"), TypeError, "LIF: tau must be a number; got '2'."),
    (lambda: rb.LIF(threshold=-1.0), ValueError, "LIF: threshold must be above 0; got -1.0."),
    (lambda: rb.DietLIF(threshold=0.0), ValueError, "DietLIF: threshold must be above 0"),
    (lambda: rb.ProbLIF(sigma=-1.0), ValueError, "sigma must be above 0 .or 0, the deterministic neuron"),
    (lambda: rb.LIF(v_reset=0.1), ValueError, "v_reset=0.1 needs reset='hard'"),
    (lambda: rb.LIF(reset="hard", v_reset=1.0), ValueError, "v_reset must be below threshold 1.0; got 1.0"),
    (lambda: rb.LIF(tua=2.0), TypeError, "LIF: unknown argument 'tua'; did you mean 'tau'"),
    (lambda: rb.PLIF(variant="sof"), ValueError, "unknown variant 'sof'; did you mean 'soft'"),
    (lambda: rb.DALIF(activation="tan"), ValueError, "unknown activation 'tan'; did you mean 'tanh'"),
    (lambda: rb.DALIF(alpha=0.5, learn_alpha=True), ValueError, "alpha=0.5 fixes the decay; leave out learn_alpha"),
    (lambda: rb.ILIF(gamma_i=1.5), ValueError, r"gamma_i must lie in \[0, 1\]; got 1.5"),
    (lambda: rb.PLIF(channels=0), ValueError, "channels or features must be a whole number >= 1"),
    (lambda: rb.ProbLIF(seed=-1), ValueError, "seed must be a whole number >= 0 below 2.64"),
    (
        lambda: leaky([0.5]),
        TypeError,
        r"Leaky: coefficient leak must be a number or a tensor; got a list. torch",
    ),
    (lambda: leaky(X.numpy()), TypeError, "Leaky: coefficient leak must be a number or a tensor; got a ndarray"),
    (lambda: leaky(torch.tensor(1j)), TypeError, "Leaky: coefficient leak must be real; got torch.complex64"),
    (lambda: leaky(None), TypeError, "Leaky: coefficient leak must be a number or a tensor; got a NoneType"),
    (lambda: leaky([0.5], fused=False)(X), TypeError, "Leaky: coefficient leak must be a number or a tensor"),
    (lambda: leaky([0.5] * 3, ("leak",)), TypeError, r"Leaky: coefficient leak must be a tensor \[T, .*got a list"),
    (lambda: leaky(torch.tensor(0.5), ("leak",)), TypeError, r"leak must be a tensor \[T, .*got a single number"),
    (lambda: leaky(0.5, ("lek",)), TypeError, "Leaky: coefficients.. lacks 'lek', .*; did you mean 'leak'"),
    (lambda: leaky({0.5}), TypeError, "Leaky: coefficients.. must return a dict of values by name; got a set"),
    (lambda: rb.GLIF(), TypeError, "steps"),
    (lambda: rb.GLIF(steps=2)(X), ValueError, "GLIF: made for steps=2; asked for step 3"),
    (
        lambda: rb.GLIF(steps=4).scan(X, rb.GLIF(steps=4).scan(X)[1]),
        ValueError,
        "GLIF: made for steps=4; asked for step 6",
    ),
    (lambda: rb.PSN(steps=2)(X), ValueError, "PSN: made for steps=2; got T=3"),
    (lambda: rb.PSN(), ValueError, "PSN: steps must be a whole number >= 1 for variant 'full'"),
    (lambda: rb.PSN(steps=3, variant="masked"), ValueError, "order must be a whole number >= 1 for variant"),
    (lambda: rb.PSN(steps=3).step(X[0]), TypeError, "no single step"),
    (lambda: rb.PSN(steps=3).scan(X, {"v": X[0]}), ValueError, "keeps no state"),
    (lambda: rb.neurons.create("clfi"), ValueError, "(?i)unknown neuron 'clfi'. did you mean 'clif'"),
    (lambda: rb.ILIF(mpiu="off"), TypeError, "mpiu must be True or False; got 'off'"),
    (lambda: rb.LIF(detach_reset="no"), TypeError, "detach_reset must be True or False"),
    (lambda: rb.DALIF(learn_alpha="no"), TypeError, "learn_alpha must be True or False"),
    (lambda: rb.LeakyReadout(3, 4, "no"), TypeError, "learn_tau must be True or False"),
    (lambda: rb.LIF().scan(X, X[0]), TypeError, "state must be a dict of v, as scan returns it; got Tensor"),
    (lambda: rb.LIF().scan(X, {"v": 0.5}), TypeError, "state v must be a tensor; got 0.5"),
    (lambda: rb.neurons.create("lif:tau=3", tau=2.0), ValueError, "tau is given again as 2.0; leave one out"),
    (lambda: rb.Recurrent(rb.LIF(), 4, 0), ValueError, "Recurrent: features must be a whole number >= 1; got 0"),
    (lambda: rb.LeakyReadout(4, 3)(X[0]), ValueError, r"LeakyReadout: x must be \[T, B, 4\]; got shape \(2, 4\)"),
    (lambda: rb.LeakyReadout(4, 3)(X[None]), ValueError, r"LeakyReadout: x must be \[T, B, 4\]"),
    (lambda: rb.TimeFlatten(torch.nn.Sequential(rb.LIF())), TypeError, "TimeFlatten: 0 is LIF, which needs time"),
    (lambda: torch.vmap(rb.ProbLIF(), randomness="different")(X), ValueError, "inside torch.vmap it needs seed="),
    (lambda: rb.LIF().recur(X, torch.zeros(3, 3)), ValueError, r"recurrent weight must be \[4, 4\]"),
]


@pytest.mark.parametrize(("call", "kind", "words"), CASES, ids=[words for *_, words in CASES])
def test_refused_in_words(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


@pytest.mark.parametrize("backend", ["cpu", "triton"])
def test_a_named_backend_refuses_psn(backend):
    with rb.backend(backend), pytest.raises(RuntimeError, match="PSN sets fused = False"):
        rb.PSN(steps=3)(X)


SETTINGS = [
    (lambda: rb.LIF(), "reset", "Hard", ValueError, "unknown reset 'Hard'"),
    (lambda: rb.LIF(), "threshold", -1.0, ValueError, "threshold must be above 0"),
    (lambda: rb.LIF(), "v_reset", 0.2, ValueError, "v_reset=0.2 needs reset='hard'"),
    (lambda: rb.ProbLIF(), "seed", -1, ValueError, "seed must be a whole number"),
    (lambda: rb.PLIF(), "tau", 50.0, AttributeError, r"tau says how parameters start; make a new neuron, PLIF\(tau=50"),
    (lambda: rb.IPLIF(), "tau", 50.0, AttributeError, "tau says how parameters start"),
    (lambda: rb.GLIF(steps=3), "steps", 4, AttributeError, "steps says how parameters start"),
]


@pytest.mark.parametrize(
    ("make", "name", "value", "kind", "words"), SETTINGS, ids=[f"{n}={v}" for _, n, v, *_ in SETTINGS]
)
def test_a_setting_of_a_finished_neuron_is_checked_and_kept_where_it_is_refused(make, name, value, kind, words):
    neuron = make()
    before = repr(neuron)
    with pytest.raises(kind, match=words):
        setattr(neuron, name, value)
    assert repr(neuron) == before


def test_a_setting_takes_effect_as_the_constructor_would_have_it():
    x = torch.randn(8, 2, 3, generator=torch.Generator().manual_seed(0)) * 2
    neuron = rb.ProbLIF(seed=1, sigma=0)
    neuron.sigma = 1
    assert torch.equal(neuron(x), rb.ProbLIF(seed=1, sigma=1)(x)) and not torch.equal(neuron(x), rb.ProbLIF(sigma=0)(x))
    neuron.sigma = 0
    assert torch.equal(neuron(x), rb.ProbLIF(sigma=0)(x))


def test_numbers_of_numpy_are_numbers():
    assert rb.LIF(tau=np.float32(2)).tau == 2.0 and rb.CLIF(tau=np.int64(2)).tau == 2.0
    assert rb.GLIF(steps=np.int64(3)).steps == 3 and rb.ProbLIF(seed=np.int64(3)).seed == 3
    assert rb.PLIF(channels=np.int64(3)).w.shape == (3,)
