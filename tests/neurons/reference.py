"""Every neuron and surrogate once more: from the project's equations, in plain Python, one number at a time.

A neuron here takes (x_t, states, p, o, g, r): Duals for the input, the states and the learnable parameters `p`, plain
constants `o`, the surrogate's derivative `g` and a random number, and returns (spike, new states).
"""

from __future__ import annotations

import math

from tests.neurons.dual import Dual, absolute, clamp_below, constant, exp, lift, relu, sigma, step, tanh


def reset(u: Dual, s: Dual, o: dict) -> Dual:
    s = constant(s) if o.get("detach_reset") else s
    if o.get("reset", "soft") == "soft":
        return u - o.get("threshold", 1.0) * s
    return u * (1 - s) + o.get("v_reset", 0.0) * s


def lif(x, states, p, o, g, r):
    (v,) = states
    tau = o.get("tau", 2.0)
    u = (1 - 1 / tau) * v + (x / tau if o.get("decay_input") else x)
    s = step(u - o.get("threshold", 1.0), g)
    return s, [reset(u, s, o)]


def plif(x, states, p, o, g, r):
    (v,) = states
    if o.get("variant", "original") == "original":
        u, o = v + sigma(p["w"]) * (x - v), {"reset": "hard", "detach_reset": True} | o
    else:
        u = (1 - sigma(p["w"])) * v + x
    s = step(u - o.get("threshold", 1.0), g)
    return s, [reset(u, s, o)]


def clif(x, states, p, o, g, r):
    v, m = states
    gamma, threshold = 1 - 1 / o.get("tau", 2.0), o.get("threshold", 1.0)
    u = gamma * v + x
    m = m * sigma((1 - gamma) * u)
    s = step(u - threshold, g)
    m = m + s
    return s, [u - s * (threshold + sigma(m)), m]


def ilif(x, states, p, o, g, r):
    v, M, Q, last = states
    gamma = 1 - sigma(p["w"]) if "w" in p else 1 - 1 / o.get("tau", 2.0)
    threshold = o.get("threshold", 1.0)
    u = gamma * v + x
    if o.get("ciu", True):
        Q = o.get("gamma_i", 0.03) * (Q + last)
        u = u - clamp_below(Q)
    s = step(u - threshold, g)
    v = u - threshold * s
    if o.get("mpiu", True):
        M = o.get("gamma_u", 1.0) * (M + s * v)
        v = v - s * sigma(M)
    return s, [v, M, Q, x * s if o.get("ciu", True) else last]


def dalif(x, states, p, o, g, r):
    (v,) = states
    activation = tanh if o.get("activation", "tanh") == "tanh" else sigma
    alpha = lift(o["alpha"]) if "alpha" in o else activation(p["a"])
    beta = lift(o["beta"]) if "beta" in o else activation(p["b"])
    u = beta * v + alpha * x
    s = step(u - o.get("threshold", 1.0), g)
    return s, [u * (1 - s)]


def klif(x, states, p, o, g, r):
    (v,) = states
    h = v + (x - v) / o.get("tau", 2.0)
    f = relu(p["k"] * h)
    s = step(f - o.get("threshold", 1.0), g)
    return s, [reset(f, s, o)]


def glif(x, states, p, o, g, r):
    v, last = states
    q = {name: sigma(value) for name, value in p.items()}
    leaky, integrated = 1 - q["alpha"] * (1 - q["tau"]), 1 - q["beta"] * (1 - q["g"])
    u = leaky * v * (1 - q["gamma"] * last) - (1 - q["alpha"]) * q["leak"]
    u = u + integrated * x - (1 - q["gamma"]) * q["v_re"] * last
    s = step(u - q["v_th"], g, strict=True)
    return s, [u, s]


def alif(x, states, p, o, g, r):
    u, b, last = states
    dt = o.get("dt", 1.0)
    alpha, rho = math.exp(-dt / o.get("tau", 20.0)), math.exp(-dt / o.get("tau_a", 200.0))
    b = rho * b + (1 - rho) * last
    threshold = o.get("threshold", 1.0) + o.get("beta", 1.6) * b
    u = alpha * u + (1 - alpha) * x - threshold * last
    s = step(u - threshold, g)
    return s, [u, b, s]


def tclif(x, states, p, o, g, r):
    v1, v2 = states
    v1 = v1 - sigma(p["c1"]) * v2 + x
    v2 = v2 + sigma(p["c2"]) * v1
    s = step(v2 - o.get("threshold", 1.0), g)
    return s, [v1 - o.get("gamma", 0.5) * s, v2 - o.get("threshold", 1.0) * s]


def dietlif(x, states, p, o, g, r):
    (u,) = states
    u = p["leak"] * u + x
    s = step(u / p["threshold"] - 1, g, strict=True)
    return s, [u - p["threshold"] * (constant(s) if o.get("detach_reset", True) else s)]


def problif(x, states, p, o, g, r):
    u, last = states
    tau = absolute(p["tau"]) if "tau" in p else lift(o.get("tau", 20.0))
    alpha, threshold = exp(-o.get("dt", 1.0) / tau), o.get("threshold", 1.0)
    u = alpha * u + (1 - alpha) * x - threshold * last
    sigma_ = o.get("sigma", 1.0)
    if sigma_ == 0:
        z = step(u - threshold, g)
        return z, [u, z]
    d = u.value - threshold
    probability = math.exp(min(0.0, d / (sigma_ * threshold)))
    slope = g(d) + o.get("mix", 1.0) * (probability / (sigma_ * threshold) if d < 0 else 0.0)
    z = u.apply(float(r < probability), slope)
    return z, [u, z]


NEURONS = {
    "lif": lif, "plif": plif, "clif": clif, "ilif": ilif, "iplif": ilif, "dalif": dalif, "klif": klif, "glif": glif,
    "alif": alif, "tclif": tclif, "dietlif": dietlif, "problif": problif, "probplif": problif,
}  # fmt: skip


def psn(x: list[Dual], weight: list[list[Dual]], bias: list[Dual], g) -> list[Dual]:
    """`H = W x ; s = Θ(H + b)`; weights outside the variant's band are None."""
    rows = [sum((w * value for w, value in zip(row, x, strict=True) if w is not None), Dual(0.0)) for row in weight]
    return [step(h + b, g) for h, b in zip(rows, bias, strict=True)]


def _normal(d: float, mean: float, std: float) -> float:
    return math.exp(-((d - mean) ** 2) / (2 * std * std)) / (std * math.sqrt(2 * math.pi))


def _logistic(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def rectangle(d, width=1.0):
    return 1 / width if abs(d) <= width / 2 else 0.0


def sigmoid(d, alpha=4.0):
    return alpha * _logistic(alpha * d) * (1 - _logistic(alpha * d))


def atan(d, alpha=2.0):
    return (alpha / 2) / (1 + (math.pi * alpha * d / 2) ** 2)


def triangle(d, height=0.3, width=1.0):
    return height * max(0.0, 1 - abs(d) / width)


def gaussian(d, sigma=0.5):
    return _normal(d, 0.0, sigma)


def doublegaussian(d, p=0.15, gamma=0.5):
    return gamma * ((1 + p) * _normal(d, 0.0, 0.5) - 2 * p * _normal(d, 0.0, 3.0))


def multigaussian(d, h=0.15, length=0.5, gamma=0.5):
    sides = _normal(d, length, 6 * length) + _normal(d, -length, 6 * length)
    return gamma * ((1 + h) * _normal(d, 0.0, length) - h * sides)


def fastsigmoid(d, slope=25.0):
    return 1 / (1 + slope * abs(d)) ** 2


SURROGATES = {
    f.__name__: f for f in (rectangle, sigmoid, atan, triangle, gaussian, doublegaussian, multigaussian, fastsigmoid)
}
