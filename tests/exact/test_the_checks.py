"""Wrong kernels, each a plausible slip, and the proof that comparison with the reference catches them."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from networks import NEURONS, random_case
from test_engines import agree

from rheobase.exact import kernel

SLIPS = {
    "qif: the spike's time moves nothing": ("qif", "(g[n] - par[0] * pull)", "(g[n])"),
    "qif: kick ignores the moved potential": ("qif", "2 * gI[n] - h[n] * b[n] * b[n]", "2 * gI[n]"),
    "qif: no area from the current": ("qif", "xx * gI[n] + h[n] * K[n]", "xx * gI[n]"),
    "qif: decay of the area forgotten": ("qif", "h[n] *= x;", "h[n] *= 1;"),
    "qif: no double angles": ("qif", "doublings < 64", "doublings < 0"),
    "qif: second half turn missed": ("qif", "high * ss < (real)9.8", "1"),
    "lif: jump term missing": ("lif", "pull -= g[n] * I / par[0];", ""),
    "lif: smaller root": ("lif", "(v + I + sqrt(square))", "(v + I - sqrt(square))"),
    "lif: falling neurons fire": ("lif", "pull += w[n] * (2 * g[NP + n] - g[n])", "pull += w[n] * g[NP + n]"),
    "theta: kick does not move phases": ("theta", "shear * (2 * st[NP + n] - shear)", "shear * 2 * st[NP + n]"),
    "theta: reset keeps the scale": ("theta", "/ square(st, NP, n));\n    return pull", ");\n    return pull"),
    "osclif: no clip in the gradient": ("osclif", "const int clipped = y <= floor;", "const int clipped = 0;"),
}


def cases(kind):
    """Ordinary networks, and strong currents of either sign in neurons apart."""
    inhibited = random_case(kind, 0, K=6, coupled=False, scale=400.0)
    inhibited.w_in = -inhibited.w_in.abs()
    strong = 150.0 if kind == "qif" else 40.0
    return [
        inhibited,
        *(random_case(kind, seed, K=12) for seed in range(4)),
        *(random_case(kind, seed, K=6, coupled=False, scale=strong) for seed in range(2)),
        *(random_case(kind, seed, N=1, inputs=1, K=3, coupled=False, scale=strong / 4) for seed in range(8)),
    ]


@pytest.mark.parametrize(("kind", "right", "wrong"), SLIPS.values(), ids=SLIPS.keys())
def test_slips_are_caught(monkeypatch, kind, right, wrong):
    neuron = NEURONS[kind]
    assert neuron.source.count(right) >= 1
    broken = type(f"Broken{kind}", (type(neuron),), {"source": neuron.source.replace(right, wrong)})
    monkeypatch.setattr(kernel, "library", functools.cache(kernel.library.__wrapped__))

    with pytest.raises((AssertionError, RuntimeError, RuntimeWarning)):
        for case in cases(kind):
            agree(dataclasses.replace(case, neuron=broken(**dataclasses.asdict(neuron))), tolerance=1e-8)


def test_the_same_checks_pass_on_the_right_kernel():
    for kind in NEURONS:
        assert sum(int(agree(case, tolerance=1e-8).counts().sum()) for case in cases(kind)) > 100
