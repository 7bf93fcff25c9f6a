# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""The oscillating LIF neuron's pieces of the Triton kernels; the state is y = exp(-φ/τ), one row of three."""

import torch
import triton
import triton.language as tl


def lift(par: list[float], x: torch.Tensor) -> torch.Tensor:
    """Public state [B, 1, N] to the kernel's [B, 3, N]."""
    return torch.cat([torch.exp(-x / par[0]), torch.zeros_like(x), torch.zeros_like(x)], 1)


def lower(par: list[float], state: torch.Tensor) -> torch.Tensor:
    return -par[0] * torch.log(state[:, :1])


def lower_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    h = -g * par[0] / state[:, :1]
    return torch.cat([h, torch.zeros_like(h)], 1)


def lift_adjoint(par: list[float], state: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    return -g[:, :1] * state[:, :1] / par[0]


@triton.jit
def flow(a, b, c, dt, tau, i0, floor):
    x = tl.exp(-dt / tau).to(a.dtype)
    return tl.maximum(x * a, floor.to(a.dtype)), b, c, c, c


@triton.jit
def flow_back(g, h, K, scale, dt, tau, i0, floor):
    return g * tl.exp(-dt / tau).to(g.dtype), h


@triton.jit
def wait(a, b, c, tau, i0, floor):
    """Time until the next spike if nothing arrives, in float64."""
    above = a > floor.to(a.dtype)
    return tl.where(above, tau * tl.log(tl.where(above, a.to(tl.float64) / floor, 1.0)), 0.0)


@triton.jit
def slope(a, b, c, tau, i0, floor):
    return tl.full(a.shape, float("inf"), tl.float64)


@triton.jit
def reset(a, b, c):
    return tl.zeros_like(a) + 1.0, b, c


@triton.jit
def kick(a, b, c, w, tau, i0, floor):
    return tl.maximum(a - w / i0.to(w.dtype), floor.to(w.dtype)), b, c


@triton.jit
def kick_back(a, b, c, w, g, h, tau, i0, floor):
    """(adjoint before the kick, gradient of w, what each neuron adds to the derivative by the kick's time).

    Where a kick clips, the neuron fires with it: its gradient moves to the time of the kick.
    """
    share = w / i0.to(w.dtype)
    clipped = a - share <= floor.to(w.dtype)
    pull = g * tl.where(clipped, floor.to(w.dtype), -share)
    gw = tl.where(clipped, 0.0, -g / i0.to(w.dtype))
    return tl.where(clipped, 0.0, g), h, gw, pull.to(tl.float64) / tau


@triton.jit
def spike_back(a, b, c, g, h, pull, tau, i0, floor):
    """(adjoint before the spike, derivative by its time)."""
    pull = pull + g.to(tl.float64) / tau
    return (pull * tau / floor).to(g.dtype), h, pull
