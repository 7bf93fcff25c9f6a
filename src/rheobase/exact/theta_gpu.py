# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The theta neuron's pieces of the Triton kernels; the state is (p, q), the adjoint h, as in theta_source.py."""

import torch
import triton
import triton.language as tl

from rheobase.exact.gpu_maths import angle


def lift(par: list[float], x: torch.Tensor) -> torch.Tensor:
    """Public state [B, 1, N] to the kernel's [B, 3, N]."""
    turned = par[0] * x
    return torch.cat([torch.sin(turned).clamp(min=0), torch.cos(turned), torch.zeros_like(x)], 1)


def lower(par: list[float], state: torch.Tensor) -> torch.Tensor:
    return torch.atan2(state[:, :1], state[:, 1:2]) / par[0]


def lower_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    h = g / (par[0] * state[:, :2].square().sum(1, keepdim=True))
    return torch.cat([h, torch.zeros_like(h)], 1)


def lift_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g[:, :1] * par[0] * state[:, :2].square().sum(1, keepdim=True)


@triton.jit
def flow(a, b, c, dt, omega, r, p2):
    cosine = tl.cos(omega * dt).to(a.dtype)
    sine = tl.sin(omega * dt).to(a.dtype)
    p = tl.maximum(a * cosine + b * sine, 0.0)
    q = b * cosine - a * sine
    size = p + tl.abs(q)
    scaled = ((size > 1e8) | (size < 1e-8)) & (size > 0.0)
    f = tl.where(scaled, 1.0 / tl.where(size > 0.0, size, 1.0), 1.0)
    return p * f, q * f, c, c, f * f


@triton.jit
def flow_back(g, h, K, scale, dt, omega, r, p2):
    return g * scale, h


@triton.jit
def wait(a, b, c, omega, r, p2):
    """Time until the next spike if nothing arrives, in float64."""
    left = 3.141592653589793 - angle(a.to(tl.float64), b.to(tl.float64))
    return tl.maximum(left, 0.0) / omega


@triton.jit
def slope(a, b, c, omega, r, p2):
    return tl.full(a.shape, float("inf"), tl.float64)


@triton.jit
def reset(a, b, c):
    return tl.zeros_like(a), tl.zeros_like(b) + 1.0, c


@triton.jit
def kick(a, b, c, w, omega, r, p2):
    return a, b - w / r.to(w.dtype) * a, c


@triton.jit
def kick_back(a, b, c, w, g, h, omega, r, p2):
    """(adjoint before the kick, gradient of w, what each neuron adds to the derivative by the kick's time)."""
    shear = w / r.to(w.dtype) * a
    return g, h, g * a * a / r.to(w.dtype), (g * shear * (2.0 * b - shear)).to(tl.float64) * omega


@triton.jit
def spike_back(a, b, c, g, h, pull, omega, r, p2):
    """(adjoint before the spike, derivative by its time)."""
    size = a.to(tl.float64) * a + b.to(tl.float64) * b
    return ((g.to(tl.float64) - pull / omega) / tl.where(size > 0.0, size, 1.0)).to(g.dtype), h, pull
