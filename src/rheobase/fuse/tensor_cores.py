"""Products with the recurrent weight on a GPU's tensor cores, in Triton, without losing bits of float32.

A number of float32 is the sum of three of bfloat16 (fuse/parts_gpu.py splits the weight). Spikes are one.
"""

# `short` is bfloat16, as tensor cores take it; Triton's interpreter multiplies bit patterns, so there it is float32.
PRODUCTS = '''

@triton.jit
def short(x):
    """x rounded to bfloat16."""
    return x.to(tl.bfloat16){widen}


@triton.jit
def part(weight, k, first, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """ROWS rows of part k of the weight, from row `first`."""
    row = first + tl.arange(0, ROWS)
    return tl.load(weight + (k * WIDTH + row[:, None]) * WIDTH + tl.arange(0, WIDTH)[None, :]){widen}


@triton.jit
def rest(x, high):
    """What is left of x after its first part; 0 where that is not finite."""
    left = x - high.to(tl.float32)
    return tl.where(left == left, left, 0.0)


@triton.jit
def parts(weight, first, ROWS: tl.constexpr, WIDTH: tl.constexpr, PARTS: tl.constexpr):
    """All parts of ROWS rows, the largest first."""
    high = part(weight, 0, first, ROWS, WIDTH)
    if PARTS == 1:
        return high, high, high
    else:
        return high, part(weight, 1, first, ROWS, WIDTH), part(weight, 2, first, ROWS, WIDTH)


@triton.jit
def plus(a, b):
    """a + b. As a sum Triton would make it the start of a product's own sum, and products would wait for each other."""
    return tl.fma(a, 1.0, b)


@triton.jit
def send(spikes, high, middle, low, PARTS: tl.constexpr):
    """Spikes of some neurons times their rows of the weight: the smallest part first."""
    s = short(spikes)
    if PARTS == 1:
        return tl.dot(s, high)
    else:
        return plus(plus(tl.dot(s, low), tl.dot(s, middle)), tl.dot(s, high))


@triton.jit
def send_back(delta, high, middle, low, PARTS: tl.constexpr):
    """Delta of some neurons times their rows of the weight: pairs of parts, the smallest first."""
    d_high = short(delta)
    left = rest(delta, d_high)
    d_middle = short(left)
    d_low = short(rest(left, d_middle))
    total = tl.dot(d_low, high)
    if PARTS == 3:
        total = plus(plus(total, tl.dot(d_high, low)), tl.dot(d_middle, middle))
        total = plus(plus(total, tl.dot(d_high, middle)), tl.dot(d_middle, high))
    else:
        total = plus(total, tl.dot(d_middle, high))
    return plus(total, tl.dot(d_high, high))


@triton.jit
def written(source, late, t, total, row, batch, n, first, ROWS: tl.constexpr, DELAYED: tl.constexpr):
    """What this program wrote at step t, of ROWS neurons; DELAYED: of each neuron at its step t - late."""
    column = first + tl.arange(0, ROWS)[None, :]
    inside = (row < batch) & (column < n)
    at = t
    if DELAYED:
        at = t - tl.load(late + column, mask=column < n, other=0)
        inside = inside & (at >= 0)
    found = tl.load(source + at * total + row * n + column, mask=inside, other=0.0)
    return found.to(tl.float32)
'''
