# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The LIF neuron's pieces of the Triton kernels; state and adjoint are V, I, the third row is not used."""

import torch
import triton
import triton.language as tl

from rheobase.exact.gpu_maths import rest


def lift(par: list[float], x: torch.Tensor) -> torch.Tensor:
    """Public state [B, 2, N] to the kernel's [B, 3, N]."""
    return torch.cat([x, torch.zeros_like(x[:, :1])], 1)


def lower(par: list[float], state: torch.Tensor) -> torch.Tensor:
    return state[:, :2]


def lower_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g


def lift_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return g


@triton.jit
def flow(a, b, c, dt, tau, theta, p2):
    x = tl.exp(-dt / tau).to(a.dtype)
    s = rest(dt / tau).to(a.dtype)
    return x * (a + s * b), x * x * b, c, c, c


@triton.jit
def flow_back(g, h, K, scale, dt, tau, theta, p2):
    x = tl.exp(-dt / tau).to(g.dtype)
    s = rest(dt / tau).to(g.dtype)
    return g * x, x * (x * h + s * g)


@triton.jit
def wait(a, b, c, tau, theta, p2):
    """Time until the next spike if nothing arrives, in float64; inf without one."""
    v = a.to(tl.float64)
    current = b.to(tl.float64)
    square = (v + current) * (v + current) - 4.0 * current * theta
    rising = (current > 0.0) & (current > v) & (square > 0.0)
    x = (v + current + tl.sqrt(tl.where(rising, square, 0.0))) / tl.where(rising, 2.0 * current, 1.0)
    x = tl.where(rising, x, 1.0)
    return tl.where(rising, tl.where(x < 1.0, -tau * tl.log(tl.maximum(x, 1e-300)), 0.0), float("inf"))


@triton.jit
def slope(a, b, c, tau, theta, p2):
    return b.to(tl.float64) / theta - 1.0


@triton.jit
def reset(a, b, c):
    return tl.zeros_like(a), b, c


@triton.jit
def kick(a, b, c, w, tau, theta, p2):
    return a, b + w, c


@triton.jit
def kick_back(a, b, c, w, g, h, tau, theta, p2):
    """(adjoint before the kick, gradient of w, what each neuron adds to the derivative by the kick's time)."""
    return g, h, h, (w * (2.0 * h - g)).to(tl.float64) / tau


@triton.jit
def spike_back(a, b, c, g, h, pull, tau, theta, p2):
    """(adjoint before the spike, derivative by its time)."""
    current = b.to(tl.float64)
    pull = pull - g.to(tl.float64) * current / tau
    return (-pull * tau / tl.where(current == theta, 1.0, current - theta)).to(g.dtype), h, pull
