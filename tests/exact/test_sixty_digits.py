"""Recurrent networks against a simulation in 60-digit arithmetic that shares nothing with ours but the equations."""

from __future__ import annotations

import random

import pytest
import torch
from mpmath import atan, atanh, cos, cosh, exp, inf, log, mp, mpf, pi, sin, sinh, sqrt

from rheobase import backend, exact

N, INPUTS, K, T = 4, 4, 8, 4
STEP = mpf(10) ** -18


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(60):
        yield


def lif_wait(v, i):
    square = (v + i) ** 2 - 4 * i
    if i <= 0 or square <= 0:
        return inf
    x = (v + i + sqrt(square)) / (2 * i)
    return -log(x) if 0 < x < 1 else inf


def qif_wait(v, i):
    """v None is V = -∞."""
    if i > 0:
        s = pi / sqrt(i) if v is None else (pi / 2 - atan(v / sqrt(i))) / sqrt(i)
    elif v is None or v <= sqrt(-i):
        return inf
    else:
        s = atanh(sqrt(-i) / v) / sqrt(-i) if i < 0 else 1 / v
    return -log(1 - s) if s < 1 else inf


def flow(kind, v, i, dt):
    x = exp(-dt)
    s, root = 1 - x, sqrt(abs(i))
    if kind == "lif":
        return v * x + i * (x - x * x), i * x * x
    if i == 0:
        C, S = mpf(1), s
    else:
        C, S = (cos(root * s), sin(root * s) / root) if i > 0 else (cosh(root * s), sinh(root * s) / root)
    a, b = (mpf(-1), mpf(0)) if v is None else (v, mpf(1))
    return x * (a * C + b * i * S) / (b * C - a * S), i * x * x


def spikes(kind, w_in, w_net, x0, times, ids):
    """[(time, neuron)] of the network."""
    wait, (v, i), now, fired, following = {"lif": lif_wait, "qif": qif_wait}[kind], map(list, x0), mpf(0), [], 0
    while True:
        waits = [wait(*state) for state in zip(v, i, strict=True)]
        first = min(range(N), key=lambda n: waits[n])
        arrival = times[following] if following < K else inf
        t = min(arrival, now + waits[first], mpf(T))
        for n in range(N):
            firing = n == first and t == now + waits[first] and t < arrival
            v[n], i[n] = (0, i[n] * exp(2 * (now - t))) if firing else flow(kind, v[n], i[n], t - now)
        if t == T:
            return fired
        if t == arrival:
            i = [i[n] + w_in[n][ids[following]] for n in range(N)]
            following += 1
        else:
            v[first] = mpf(0) if kind == "lif" else None
            i = [i[n] + (w_net[n][first] if n != first else 0) for n in range(N)]
            fired.append((t, first))
        now = t


def loss(fired):
    return sum((k % 5 + 1) * t**2 for k, (t, _) in enumerate(fired))


def matrix(draw, low, high, rows, columns):
    return [[mpf(round(draw.uniform(low, high), 4)) for _ in range(columns)] for _ in range(rows)]


def moved(values, direction, size):
    if isinstance(values, list):
        return [moved(one, other, size) for one, other in zip(values, direction, strict=True)]
    return values + size * direction


def like(draw, values):
    """A direction of the shape of values."""
    if isinstance(values, list):
        return [like(draw, one) for one in values]
    return mpf(draw.uniform(-1, 1))


def floats(values):
    return [floats(one) for one in values] if isinstance(values, list) else float(values)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["lif", "qif"])
def test_times_and_gradients_of_recurrent_networks(kind, seed):
    draw = random.Random(seed)
    problem = {
        "w_in": matrix(draw, 0.3, 3 if kind == "lif" else 4, N, INPUTS),
        "w_net": matrix(draw, -1.5, 1.5, N, N),
        "x0": matrix(draw, -0.3, 0.5, 2, N),
        "times": sorted(matrix(draw, 0, 2.5, 1, K)[0]),
    }
    ids = [draw.randrange(INPUTS) for _ in range(K)]
    truth = spikes(kind, **problem, ids=ids)
    assert len(truth) >= 4
    directions = {name: like(draw, values) for name, values in problem.items()}
    slopes = {}
    for name, direction in directions.items():
        ends = []
        for size in (STEP, -STEP):
            changed = {**problem, name: moved(problem[name], direction, size)}
            ends.append(loss(spikes(kind, **changed, ids=ids)))
        slopes[name] = float((ends[0] - ends[1]) / (2 * STEP))
    for engine in ("cpu", "eager"):
        leaves = {
            name: torch.tensor(floats(values), dtype=torch.float64, requires_grad=True)
            for name, values in problem.items()
        }
        with backend(engine):
            events = exact.simulate(
                exact.LIF() if kind == "lif" else exact.QIF(),
                leaves["w_in"],
                leaves["w_net"],
                leaves["times"],
                torch.tensor(ids),
                T,
                x0=leaves["x0"],
            )
            times = events.times[~events.is_input]
            (times.square() * (torch.arange(len(times)) % 5 + 1)).sum().backward()
        assert events.ids[~events.is_input].tolist() == [n for _, n in truth]
        assert times.tolist() == pytest.approx([float(t) for t, _ in truth], rel=1e-13)
        for name, slope in slopes.items():
            along = leaves[name].grad * torch.tensor(floats(directions[name]), dtype=torch.float64)
            assert along.sum().item() == pytest.approx(slope, abs=1e-12 * along.abs().sum().item()), name
