"""Wrong settings of single neurons: each message says what is wrong and what was given."""

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
    (lambda: rb.PLIF(channels=0), ValueError, "channels or features must be positive"),
    (lambda: rb.ProbLIF(seed=-1), ValueError, "seed must be None or an integer of 64 bits"),
    (
        lambda: leaky([0.5]),
        TypeError,
        r"Leaky: coefficient leak must be a number or a tensor; got a list. torch",
    ),
    (lambda: leaky(X.numpy()), TypeError, "Leaky: coefficient leak must be a number or a tensor; got a ndarray"),
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
    (lambda: rb.PSN(), ValueError, "PSN: variant 'full' needs steps"),
    (lambda: rb.PSN(steps=3, variant="masked"), ValueError, "needs order"),
    (lambda: rb.PSN(steps=3).step(X[0]), TypeError, "no single step"),
    (lambda: rb.PSN(steps=3).scan(X, {"v": X[0]}), ValueError, "keeps no state"),
    (lambda: rb.LIF().trace(X[:0]), ValueError, "trace needs at least one time step"),
    (lambda: rb.neurons.create("clfi"), ValueError, "(?i)unknown neuron 'clfi'. did you mean 'clif'"),
    (lambda: rb.LIF().recur(X, torch.zeros(3, 3)), ValueError, r"recurrent weight must be \[4, 4\]"),
]


@pytest.mark.parametrize(("call", "kind", "words"), CASES, ids=[words for *_, words in CASES])
def test_refused_in_words(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
