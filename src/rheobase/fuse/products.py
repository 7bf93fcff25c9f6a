"""C of the matrix products inside the recurrent kernels: of spikes (a few rows of the weight) and of gradients (all).

Rows are padded to a whole number of tiles (`padded`) and lie next to each other, `stride` apart. Every function adds in
the order of its inner index, so that the sparse and the dense way give the same bits.
"""

from __future__ import annotations

ROWS = 8  # a tile of the dense product keeps ROWS x VECTORS vectors of sums in registers
VECTORS = 2
STRIPS = (16, 8, 4, 2)  # vectors of sums that the sparse product keeps in registers
LARGEST = 65535  # neurons that a list of 16-bit numbers can name

# A vector is what one register holds. Products and sums may be contracted here, and only here: rounded once instead of
# twice, and exact where one factor is 0 or 1. (gcc takes it as an attribute, clang as a pragma.)
_HEAD = r"""
#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX__)
#define VBYTES 32
#else
#define VBYTES 16
#endif
typedef F V __attribute__((vector_size(VBYTES), aligned(sizeof(F)), may_alias));
enum { WIDTH = VBYTES / sizeof(F) };
#if defined(__clang__)
#define CONTRACT _Pragma("clang fp contract(fast)")
#define TILE static __attribute__((noinline)) void
#else
#define CONTRACT
#define TILE static __attribute__((noinline, optimize("fp-contract=fast"))) void
#endif
"""

_BITS = r"""
/* Numbers of the bits that are set, in order; returns how many. */
static inline int64_t unpack(uint16_t *list, const uint64_t *bits, int64_t words) {
  int64_t count = 0;
  for (int64_t w = 0; w < words; w++)
    for (uint64_t left = bits[w]; left; left &= left - 1) list[count++] = (uint16_t)(64 * w + __builtin_ctzll(left));
  return count;
}

static inline int64_t population(const uint64_t *bits, int64_t words) {
  int64_t count = 0;
  for (int64_t w = 0; w < words; w++) count += __builtin_popcountll(bits[w]);
  return count;
}

/* Bits as numbers 0 and 1. */
static inline void expand(F *RESTRICT out, const uint64_t *RESTRICT bits, int64_t n) {
  for (int64_t i = 0; i < n; i += 64) {
    const uint64_t word = bits[i / 64];
    const int64_t end = n - i < 64 ? n - i : 64;
    for (int64_t k = 0; k < end; k++) out[i + k] = (word >> k) & 1 ? (F)1 : (F)0;
  }
}

/* Bytes 0 and 1, zeros behind the last, as bits: eight at a time by one multiplication. */
static inline void pack(uint64_t *RESTRICT bits, const uint8_t *RESTRICT bytes, int64_t words) {
  for (int64_t w = 0; w < words; w++) {
    uint64_t word = 0;
    for (int k = 0; k < 8; k++) {
      uint64_t eight;
      memcpy(&eight, bytes + 64 * w + 8 * k, 8);
      word |= ((eight * 0x0102040810204080ull) >> 56) << (8 * k);
    }
    bits[w] = word;
  }
}
"""

_WHOLE = r"""
/* out += the rows of `from` that the list names. */
static inline void gather(F *out, const F *from, int64_t stride, const uint16_t *list, int64_t count) {
  int64_t at = 0;
%(gathers)s
}

/* out [rows, stride] += left [rows, inner] (rows `left_stride` apart) times right [inner, stride]. */
static void product(F *out, const F *left, int64_t left_stride, const F *right, int64_t rows, int64_t inner,
                    int64_t stride) {
  for (int64_t at = 0; at < stride; at += %(tile)d * WIDTH) {
    int64_t row = 0;
%(products)s
  }
}
"""


_SPIKES = r"""
enum { RUN = 64 };  /* rows of spikes written out at a time where the weight's gradient is dense */

/* x plus what the spikes in `bits` send, for the rows of a block. `ones` holds a block, `list` n numbers. */
static void currents(F *cur, const S *x, const F *outgoing, const uint64_t *bits, int64_t rows, int64_t n, int64_t pad,
                     int64_t limit, F *ones, uint16_t *list) {
  const int64_t words = (n + 63) / 64;
  for (int64_t b = 0; b < rows; b++)
    for (int64_t i = 0; i < n; i++) cur[b * pad + i] = LOAD(x[b * n + i]);
  if (!bits) return;
  if (population(bits, rows * words) * 1024 > limit * rows * n) {
    for (int64_t b = 0; b < rows; b++) expand(ones + b * pad, bits + b * words, n);
    product(cur, ones, pad, outgoing, rows, n, pad);
    return;
  }
  for (int64_t b = 0; b < rows; b++) {
    const int64_t count = unpack(list, bits + b * words, words);
    if (count) gather(cur + b * pad, outgoing, pad, list, count);
  }
}

/* For every spike j of row r, in order of r: BODY. Row r = (step, sample) lies at step * bits_step + sample * words. */
#define EACH_SPIKE(r, j, BODY) { \
  const uint64_t *row_ = bits + ((r) / step_rows) * bits_step + ((r) % step_rows) * words; \
  for (int64_t w_ = 0; w_ < words; w_++) \
    for (uint64_t left_ = row_[w_]; left_; left_ &= left_ - 1) { \
      const int64_t j = 64 * w_ + __builtin_ctzll(left_); BODY; \
    } }

static int all_finite(const F *values, int64_t count) {
  F sum = 0;
  #pragma omp simd reduction(+:sum)
  for (int64_t i = 0; i < count; i++) sum += values[i] * (F)0;
  return sum == 0;
}

/* grad[j] += the rows of delta at which neuron j had fired, in order. Dense where many fired, and where delta is not
   finite, because 0 * NaN is NaN. `end` (n + 1 numbers), `list` (one per spike) and `ones` are scratch. */
static void weight_rows(F *grad, const F *delta, const uint64_t *bits, int64_t rows, int64_t step_rows,
                        int64_t bits_step, int64_t n, int64_t pad, int64_t limit, F *ones, int64_t *end,
                        uint16_t *list) {
  const int64_t words = (n + 63) / 64;
  memset(end, 0, (size_t)(n + 1) * sizeof(int64_t));
  for (int64_t r = 0; r < rows; r++) EACH_SPIKE(r, j, end[j]++)
  for (int64_t j = 1; j <= n; j++) end[j] += end[j - 1];
  if (end[n] * 1024 <= limit * rows * n && all_finite(delta, rows * pad)) {
    for (int64_t r = rows - 1; r >= 0; r--) EACH_SPIKE(r, j, list[--end[j]] = (uint16_t)r)
    for (int64_t j = 0; j < n; j++)  /* end[j] is now where the list of j begins */
      if (end[j + 1] > end[j]) gather(grad + j * pad, delta, pad, list + end[j], end[j + 1] - end[j]);
    return;
  }
  for (int64_t r0 = 0; r0 < rows; r0 += RUN) {
    const int64_t run = rows - r0 < RUN ? rows - r0 : RUN;
    memset(ones, 0, (size_t)(n * RUN) * sizeof(F));
    for (int64_t r = 0; r < run; r++) EACH_SPIKE(r0 + r, j, ones[j * RUN + r] = (F)1)
    product(grad, ones, RUN, delta + r0 * pad, n, run, pad);
  }
}

static F *numbers(int64_t count) {
  F *p = (F *)aligned_alloc(64, (size_t)((count * (int64_t)sizeof(F) + 63) & ~(int64_t)63));
  memset(p, 0, (size_t)count * sizeof(F));
  return p;
}
"""


def padded(n: int, item: int) -> int:
    """Length of a padded row of n numbers of `item` bytes: a multiple of the widest tile of any processor."""
    tile = VECTORS * 64 // item
    return -(-n // tile) * tile


def _gather(strip: int) -> str:
    """out[: strip vectors] += rows; the sums are named one by one, because gcc keeps no array in registers."""
    names = [f"a{k}" for k in range(strip)]
    load = " ".join(f"V {a} = o[{k}];" for k, a in enumerate(names))
    add = " ".join(f"{a} += r[{k}];" for k, a in enumerate(names))
    store = " ".join(f"o[{k}] = {a};" for k, a in enumerate(names))
    arguments = "F *out, const F *from, int64_t stride, const uint16_t *list, int64_t count"
    return (
        f"static inline void gather_{strip}({arguments}) {{\n"
        f"  V *o = (V *)out; {load}\n"
        "  for (int64_t c = 0; c < count; c++) {\n"
        f"    const V *r = (const V *)(from + (int64_t)list[c] * stride); {add}\n"
        f"  }}\n  {store}\n}}\n"
    )


def _product(rows: int) -> str:
    """A tile of `rows` rows and VECTORS vectors of the dense product."""
    sums = [(r, v) for r in range(rows) for v in range(VECTORS)]
    load = " ".join(f"V s{r}_{v} = *(V *)(out + {r} * stride + {v} * WIDTH);" for r, v in sums)
    right = " ".join(f"const V b{v} = ((const V *)b)[{v}];" for v in range(VECTORS))
    steps = []
    for r in range(rows):
        adds = " ".join(f"s{r}_{v} += a{r} * b{v};" for v in range(VECTORS))
        steps.append(f"    {{ const V a{r} = left[{r} * left_stride + k] - (V){{}}; {adds} }}")
    store = " ".join(f"*(V *)(out + {r} * stride + {v} * WIDTH) = s{r}_{v};" for r, v in sums)
    return (
        f"TILE product_{rows}(F *out, const F *left, int64_t left_stride, const F *right, int64_t inner, "
        f"int64_t stride) {{\n  CONTRACT\n  {load}\n"
        "  for (int64_t k = 0; k < inner; k++) {\n"
        f"    const F *b = right + k * stride; {right}\n" + "\n".join(steps) + f"\n  }}\n  {store}\n}}\n"
    )


def products() -> str:
    """The functions `currents` and `weight_rows`, and what they are made of."""
    gathers = "\n".join(
        f"  for (; stride - at >= {s} * WIDTH; at += {s} * WIDTH) gather_{s}(out + at, from + at, stride, list, count);"
        for s in STRIPS
    )
    heights = [rows for rows in (8, 4, 2, 1) if rows <= ROWS]
    calls = "\n".join(
        f"    for (; rows - row >= {h}; row += {h})\n"
        f"      product_{h}(out + row * stride + at, left + row * left_stride, left_stride, right + at, inner, stride);"
        for h in heights
    )
    whole = _WHOLE % {"gathers": gathers, "products": calls, "tile": VECTORS}
    return _HEAD + _BITS + "".join(map(_gather, STRIPS)) + "".join(map(_product, heights)) + whole + _SPIKES
