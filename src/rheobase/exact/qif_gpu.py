# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The QIF neuron's pieces of the Triton kernels; the state is (a, b, I), the adjoint (h, g_I), as in qif_source.py."""

import torch
import triton
import triton.language as tl

from rheobase.exact.gpu_maths import angle, log_one, rest


def lift(par: list[float], x: torch.Tensor) -> torch.Tensor:
    """Public state [B, 2, N] to the kernel's [B, 3, N]."""
    return torch.stack([x[:, 0], torch.ones_like(x[:, 0]), x[:, 1]], 1)


def lower(par: list[float], state: torch.Tensor) -> torch.Tensor:
    return torch.stack([state[:, 0] / state[:, 1].clamp(min=_tiny(state)), state[:, 2]], 1)


def lower_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    b = state[:, 1].clamp(min=_tiny(state))
    return torch.stack([g[:, 0] / b / b, g[:, 1]], 1)


def lift_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g


def _tiny(state: torch.Tensor) -> float:
    return 1e-18 if state.dtype == torch.float32 else 1e-150


@triton.jit
def flow(a, b, c, dt, tau, p1, p2):
    """(state after dt, K, square of the factor by which (a, b) was scaled)."""
    x = tl.exp(-dt / tau).to(a.dtype)
    s = rest(dt / tau).to(a.dtype)
    top = tl.max(tl.abs(c * s * s))
    doublings = 0
    half = s
    while (top >= 0.5) & (doublings < 64):
        top = top * 0.25
        half = half * 0.5
        doublings += 1
    z = c * half * half
    even = -1.0 / 6402373705728000
    even = 1.0 / 20922789888000 + z * even
    even = -1.0 / 87178291200 + z * even
    even = 1.0 / 479001600 + z * even
    even = -1.0 / 3628800 + z * even
    even = 1.0 / 40320 + z * even
    even = -1.0 / 720 + z * even
    even = 1.0 / 24 + z * even
    U = z * (-0.5 + z * even)
    odd = -1.0 / 121645100408832000
    odd = 1.0 / 355687428096000 + z * odd
    odd = -1.0 / 1307674368000 + z * odd
    odd = 1.0 / 6227020800 + z * odd
    odd = -1.0 / 39916800 + z * odd
    odd = 1.0 / 362880 + z * odd
    odd = -1.0 / 5040 + z * odd
    odd = 1.0 / 120 + z * odd
    odd = -1.0 / 6 + z * odd
    S = half * (1.0 + z * odd)
    slope = -9.0 / 121645100408832000
    slope = 8.0 / 355687428096000 + z * slope
    slope = -7.0 / 1307674368000 + z * slope
    slope = 6.0 / 6227020800 + z * slope
    slope = -5.0 / 39916800 + z * slope
    slope = 4.0 / 362880 + z * slope
    slope = -3.0 / 5040 + z * slope
    slope = 2.0 / 120 + z * slope
    D = half * half * half * (-1.0 / 6 + z * slope)
    for _ in range(0, doublings):
        C = 1.0 + U
        D = 2.0 * D * C - half * S * S
        S = 2.0 * S * C
        U = 2.0 * U * (U + 2.0)
        half = half * 2.0
    C = 1.0 + U
    an = x * (a * C + b * c * S)
    bn = tl.maximum(b * C - a * S, 0.0)
    SS = S * S
    K = x * (b * b * ((s + S * C) * 0.5) - a * b * SS + a * a * (s * SS * 0.5 + C * D))
    # strong inhibition, as in qif_source.py: cosh and sinh are both exp(q s)/2, which is left out
    q = tl.sqrt(tl.maximum(-c, 0.0))
    far = q * s > 20.0
    left = b - a / tl.where(far, q, 1.0)
    an = tl.where(far, -x * q * left, an)
    bn = tl.where(far, tl.maximum(left, 0.0), bn)
    K = tl.where(far, x * left * left / (2.0 * tl.where(far, q, 1.0)), K)
    size = tl.abs(an) + bn
    scaled = (far | (size > 1e8) | (size < 1e-8)) & (size > 0.0)
    f = tl.where(scaled, 1.0 / tl.where(size > 0.0, size, 1.0), 1.0)
    factor = tl.where(far, 4.0 * tl.exp(-2.0 * tl.where(far, q * s, 0.0)), 1.0)
    return an * f, bn * f, x * x * c, K * f * f, f * f * factor


@triton.jit
def flow_back(g, h, K, scale, dt, tau, p1, p2):
    x = tl.exp(-dt / tau).to(g.dtype)
    return g * x * scale, x * x * h + g * K


@triton.jit
def wait(a, b, c, tau, p1, p2):
    """Time until the next spike if nothing arrives, in float64; inf without one."""
    root = tl.sqrt(tl.abs(c)).to(tl.float64)
    a = a.to(tl.float64)
    b = b.to(tl.float64)
    y = root * b
    safe = tl.where(root > 0.0, root, 1.0)
    above = angle(y, a) / safe
    falls = (c < 0.0) & (a > y)
    below = 0.5 * log_one(tl.where(falls, 2.0 * y / tl.where(falls, a - y, 1.0), 0.0)) / safe
    free = b / tl.where(a > 0.0, a, 1.0)
    s = tl.where(c > 0.0, above, tl.where(falls, below, tl.where((c == 0.0) & (a > 0.0), free, 2.0)))
    return tl.where(s < 1.0, -tau * log_one(-tl.minimum(s, 0.9999999999999999)), float("inf"))


@triton.jit
def slope(a, b, c, tau, p1, p2):
    return tl.full(a.shape, float("inf"), tl.float64)


@triton.jit
def reset(a, b, c):
    return tl.zeros_like(a) - 1.0, tl.zeros_like(b), c


@triton.jit
def kick(a, b, c, w, tau, p1, p2):
    return a, b, c + w


@triton.jit
def kick_back(a, b, c, w, g, h, tau, p1, p2):
    """(adjoint before the kick, gradient of w, what each neuron adds to the derivative by the kick's time)."""
    return g, h, h, (w * (2.0 * h - g * b * b)).to(tl.float64) / tau


@triton.jit
def spike_back(a, b, c, g, h, pull, tau, p1, p2):
    """(adjoint before the spike, derivative by its time)."""
    a = a.to(tl.float64)
    return ((g.to(tl.float64) - tau * pull) / tl.where(a == 0.0, 1.0, a * a)).to(g.dtype), h, pull
