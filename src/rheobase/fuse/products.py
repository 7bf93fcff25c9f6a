"""C of the matrix products inside the recurrent kernels: of spikes (a few rows of the weight) and of gradients.

Rows are padded to a whole number of tiles (`padded`) and lie next to each other, `stride` apart. Products of spikes add
in the order of their inner index, so that the sparse and the dense way give the same bits. The product of gradients
has a dense way and one for compact surrogates that computes only the entries `needed`, each as one dot product.
"""

from __future__ import annotations

ROWS = 8  # a tile of the dense product keeps ROWS x VECTORS vectors of sums in registers
VECTORS = 2
STRIPS = (16, 8, 4, 2)  # vectors that the sparse products keep in registers
FETCH_EVERY = 4  # steps of the dense product
SUMS = 4  # vectors of sums of a dot product
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
typedef F H __attribute__((vector_size(VBYTES / 2), aligned(sizeof(F)), may_alias));
static inline F total(V v) {
  H h = *(H *)&v + *((H *)&v + 1);
  F sum[WIDTH / 2];
  memcpy(sum, &h, sizeof h);
  for (int left = WIDTH / 4; left; left /= 2)
    for (int k = 0; k < left; k++) sum[k] += sum[k + left];
  return sum[0];
}
/* Memory that is read soon. It is fetched between other work: fetched at once it would be waited for. */
typedef struct { const char *from; int64_t bytes; } ahead;
static inline ahead *fetch_line(ahead *soon) {
  if (soon->bytes <= 0) return soon[1].bytes ? soon + 1 : 0;
  __builtin_prefetch(soon->from, 0, 2);
  soon->from += 64; soon->bytes -= 64;
  return soon;
}
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

/* Bit c of row r becomes bit r of row c. */
static inline void transpose(uint64_t *rows) {
  uint64_t mask = 0x00000000ffffffffull;
  for (int width = 32; width; width >>= 1, mask ^= mask << width)
    for (int k = 0; k < 64; k = ((k | width) + 1) & ~width) {
      const uint64_t swap = ((rows[k] >> width) ^ rows[k | width]) & mask;
      rows[k] ^= swap << width;
      rows[k | width] ^= swap;
    }
}

/* The spikes that arrive at step t, a row per sample of the block: neuron j's of step t - 1 - delay. Neurons of equal
   delay share a row of `masks`. */
static void arrivals(uint64_t *out, const uint64_t *bits, const uint64_t *masks, const int64_t *late, int64_t kinds,
                     int64_t t, int64_t batch, int64_t b0, int64_t rows, int64_t words) {
  memset(out, 0, (size_t)(rows * words) * 8);
  for (int64_t k = 0; k < kinds && t > late[k]; k++) {
    const uint64_t *from = bits + ((t - 1 - late[k]) * batch + b0) * words;
    for (int64_t b = 0; b < rows; b++)
      for (int64_t w = 0; w < words; w++) out[b * words + w] |= from[b * words + w] & masks[k * words + w];
  }
}

/* The same of neurons whose spikes were sent before the first step: any numbers, from `before` [history, batch, n]. */
static void arrivals_before(F *out, const F *before, const int64_t *delay, int64_t history, int64_t t, int64_t batch,
                            int64_t b0, int64_t rows, int64_t n, int64_t pad) {
  for (int64_t b = 0; b < rows; b++)
    for (int64_t j = 0; j < n; j++) {
      const int64_t step = history + t - 1 - delay[j];
      out[b * pad + j] = step < history ? before[(step * batch + b0 + b) * n + j] : (F)0;
    }
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

/* For every bit b of `needed`: out[b * stride] += the dot product of row b of `left` with `row`, both of `stride`. */
static inline void dots(F *out, const F *left, const F *row, uint32_t needed, int64_t stride) {
  int64_t at = 0;
%(dots)s
}

/* out [rows, stride] += left [rows, inner] (rows `left_stride` apart) times right [inner, stride]. */
static void product(F *out, const F *left, int64_t left_stride, const F *right, int64_t rows, int64_t inner,
                    int64_t stride, ahead *soon) {
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
                     int64_t limit, F *ones, uint16_t *list, ahead *soon) {
  const int64_t words = (n + 63) / 64;
  for (int64_t b = 0; b < rows; b++)
    for (int64_t i = 0; i < n; i++) cur[b * pad + i] = LOAD(x[b * n + i]);
  if (population(bits, rows * words) * 1024 > limit * rows * n) {
    for (int64_t b = 0; b < rows; b++) expand(ones + b * pad, bits + b * words, n);
    product(cur, ones, pad, outgoing, rows, n, pad, soon);
    return;
  }
  for (int64_t b = 0; b < rows; b++) {
    const int64_t count = unpack(list, bits + b * words, words);
    for (int64_t i = 0; soon && i < n; i += 16) soon = fetch_line(soon);
    if (count) gather(cur + b * pad, outgoing, pad, list, count);
  }
}

static int all_finite(const F *values, int64_t count) {
  F sum = 0;
  #pragma omp simd reduction(+:sum)
  for (int64_t i = 0; i < count; i++) sum += values[i] * (F)0;
  return sum == 0;
}

/* back = delta times the weight. Bit b of needed[j]: entry (b, j) matters; others may stay 0. Dense where many do,
   where `needed` is not given, and where delta is not finite, because 0 * NaN is NaN. */
static void send_back(F *back, const F *delta, const F *outgoing, const F *incoming, const uint32_t *needed,
                      int64_t rows, int64_t n, int64_t pad, int64_t limit, ahead *soon) {
  memset(back, 0, (size_t)(rows * pad) * sizeof(F));
  int64_t count = 0;
  if (needed)
    for (int64_t j = 0; j < n; j++) count += __builtin_popcount(needed[j]);
  if (!needed || count * 1024 > limit * rows * n || !all_finite(delta, rows * pad))
    product(back, delta, pad, incoming, rows, n, pad, soon);
  else
    for (int64_t j = 0; j < n; j++) {
      for (int k = 0; soon && k < 4; k++) soon = fetch_line(soon);
      if (needed[j]) dots(back + j, delta, outgoing + j * pad, needed[j], pad);
    }
}

/* The gradient of the spikes of step t where they arrive later: entry j of `delta W` of step t + 1 + delay[j]. */
static void sent_later(F *back, const F *ring, const int64_t *delay, int64_t history, int64_t t, int64_t steps,
                       int64_t rows, int64_t n, int64_t pad, int64_t slot) {
  for (int64_t b = 0; b < rows; b++)
    for (int64_t j = 0; j < n; j++) {
      const int64_t at = t + 1 + delay[j];
      back[b * pad + j] = at >= 0 && at < steps ? ring[(at % history) * slot + b * pad + j] : (F)0;
    }
}

/* grad[j] += the rows of delta at which neuron j's spikes arrived, in order. Dense where many did, and where delta is
   not finite. `columns` (64 per 64 rows), `list` (one per row) and `ones` are scratch. */
static void weight_rows(F *grad, const F *delta, const uint64_t *bits, int64_t rows, int64_t n, int64_t pad,
                        int64_t limit, F *ones, uint64_t *columns, uint16_t *list) {
  const int64_t words = (n + 63) / 64, runs = (rows + RUN - 1) / RUN;
  const int sparse = population(bits, rows * words) * 1024 <= limit * rows * n && all_finite(delta, rows * pad);
  for (int64_t w = 0; w < words; w++) {
    const int64_t j0 = 64 * w, these = n - j0 < 64 ? n - j0 : 64;
    for (int64_t r = 0; r < runs * RUN; r++) columns[r] = r < rows ? bits[r * words + w] : 0;
    for (int64_t k = 0; k < runs; k++) transpose(columns + k * RUN);
    for (int64_t j = 0; sparse && j < these; j++) {
      int64_t count = 0;
      for (int64_t k = 0; k < runs; k++)
        for (uint64_t left = columns[k * RUN + j]; left; left &= left - 1)
          list[count++] = (uint16_t)(k * RUN + __builtin_ctzll(left));
      if (count) gather(grad + (j0 + j) * pad, delta, pad, list, count);
    }
    for (int64_t k = 0; !sparse && k < runs; k++) {
      const int64_t run = rows - k * RUN < RUN ? rows - k * RUN : RUN;
      for (int64_t j = 0; j < these; j++) expand(ones + j * RUN, columns + k * RUN + j, RUN);
      product(grad + j0 * pad, ones, RUN, delta + k * RUN * pad, these, run, pad, 0);
    }
  }
}

static void store(void *to, const void *from, size_t bytes, int stream) {
  if (stream) stream_out(to, from, bytes);
  else memcpy(to, from, bytes);
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


def _dots(strip: int) -> str:
    """Dot products of rows of `left` with one row, `strip` vectors of which stay in registers."""
    load = " ".join(f"const V w{k} = r[{k}];" for k in range(strip))
    sums = min(SUMS, strip)
    first = " ".join(f"V s{k} = w{k} * l[{k}];" for k in range(sums))
    more = " ".join(f"s{k % sums} += w{k} * l[{k}];" for k in range(sums, strip))
    total = " + ".join(f"s{k}" for k in range(sums))
    return (
        f"TILE dots_{strip}(F *out, const F *left, const F *row, uint32_t needed, int64_t stride) {{\n"
        f"  CONTRACT\n  const V *r = (const V *)row; {load}\n"
        "  for (; needed; needed &= needed - 1) {\n"
        "    const int64_t b = __builtin_ctz(needed);\n"
        f"    const V *l = (const V *)(left + b * stride); {first} {more}\n"
        f"    out[b * stride] += total({total});\n"
        "  }\n}\n"
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
        f"int64_t stride, ahead *soon) {{\n  CONTRACT\n  {load}\n"
        "  for (int64_t k = 0; k < inner; k++) {\n"
        f"    if (k % {FETCH_EVERY} == 0 && soon) soon = fetch_line(soon);\n"
        f"    const F *b = right + k * stride; {right}\n" + "\n".join(steps) + f"\n  }}\n  {store}\n}}\n"
    )


def products() -> str:
    """The functions `currents`, `send_back` and `weight_rows`, and what they are made of."""
    gathers = "\n".join(
        f"  for (; stride - at >= {s} * WIDTH; at += {s} * WIDTH) gather_{s}(out + at, from + at, stride, list, count);"
        for s in STRIPS
    )
    dots = "\n".join(
        f"  for (; stride - at >= {s} * WIDTH; at += {s} * WIDTH) dots_{s}(out, left + at, row + at, needed, stride);"
        for s in STRIPS
    )
    heights = [rows for rows in (8, 4, 2, 1) if rows <= ROWS]
    calls = "\n".join(
        f"    for (; rows - row >= {h}; row += {h})\n"
        f"      product_{h}(out + row * stride + at, left + row * left_stride, left_stride, right + at, inner, stride, "
        "soon);"
        for h in heights
    )
    whole = _WHOLE % {"gathers": gathers, "dots": dots, "products": calls, "tile": VECTORS}
    tiles = [*map(_gather, STRIPS), *map(_dots, STRIPS), *map(_product, heights)]
    return _HEAD + _BITS + "".join(tiles) + whole + _SPIKES
