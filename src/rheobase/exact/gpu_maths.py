# pyright: reportOperatorIssue=false, reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false
"""Functions of the Triton kernels that neither Triton nor its interpreter has in both precisions; within 4 ulp."""

import triton
import triton.language as tl


@triton.jit
def rest(u):
    """1 - exp(-u) for u >= 0, exact to its own last digits when u is small."""
    small = tl.minimum(u, 0.125)
    series = 1.0 - small * (1.0 / 11)
    series = 1.0 - small * (1.0 / 10) * series
    series = 1.0 - small * (1.0 / 9) * series
    series = 1.0 - small * (1.0 / 8) * series
    series = 1.0 - small * (1.0 / 7) * series
    series = 1.0 - small * (1.0 / 6) * series
    series = 1.0 - small * (1.0 / 5) * series
    series = 1.0 - small * (1.0 / 4) * series
    series = 1.0 - small * (1.0 / 3) * series
    series = 1.0 - small * (1.0 / 2) * series
    return tl.where(u < 0.125, small * series, 1.0 - tl.exp(-u))


@triton.jit
def log_one(r):
    """log(1 + r), exact to its own last digits when r is small."""
    w = 1.0 + r
    moved = w - 1.0
    near = (moved == 0.0) | (w <= 0.0)
    return tl.where(moved == 0.0, r, tl.log(w) * (r / tl.where(near, 1.0, moved)))


@triton.jit
def angle(y, x):
    """atan2(y, x) for y >= 0, in [0, π]; 0 at the origin. A polynomial to 1e-4, then one step of Newton's kind."""
    size = tl.maximum(tl.abs(x), y)
    size = tl.where(size > 0.0, size, 1.0)
    y = y / size
    x = x / size
    wide = tl.abs(x)
    steep = y > wide
    low = tl.minimum(wide, y)
    high = tl.maximum(wide, y)
    m = low / tl.where(high > 0.0, high, 1.0)
    z = m * m
    near = m * (0.999866 + z * (-0.3302995 + z * (0.180141 + z * (-0.085133 + z * 0.0208351))))
    near = tl.where(steep, 1.5707963267948966 - near, near)
    near = tl.where(x < 0.0, 3.141592653589793 - near, near)
    length = tl.sqrt(x * x + y * y)
    off = (y * tl.cos(near) - x * tl.sin(near)) / tl.where(length > 0.0, length, 1.0)
    return tl.where(length > 0.0, near + off + off * off * off * (1.0 / 6), 0.0)
