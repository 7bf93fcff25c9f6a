"""C that every generated kernel stands on: denormals, huge pages, streaming, coefficients, random numbers."""

SUPPORT = r"""
#include <omp.h>
#include <sys/mman.h>
#define RESTRICT __restrict__
#if defined(__x86_64__) /* the builtins, because immintrin.h alone takes a third of the compile */
static inline uint64_t flush_on(void) {
  const unsigned w = __builtin_ia32_stmxcsr(); __builtin_ia32_ldmxcsr(w | 0x8040u); return w;
}
static inline void flush_back(uint64_t w) { __builtin_ia32_ldmxcsr((unsigned)w); }
#elif defined(__aarch64__)
static inline uint64_t flush_on(void) {
  uint64_t w;
  __asm__ volatile("mrs %0, fpcr" : "=r"(w));
  __asm__ volatile("msr fpcr, %0" ::"r"(w | (1ull << 24)));
  return w;
}
static inline void flush_back(uint64_t w) { __asm__ volatile("msr fpcr, %0" ::"r"(w)); }
#else
static inline uint64_t flush_on(void) { return 0; }
static inline void flush_back(uint64_t w) { (void)w; }
#endif

/* Fresh pages of a large output: ask for huge ones, or page faults cost more than the kernel. */
static void huge(void *p, int64_t bytes) {
#ifdef MADV_HUGEPAGE
  if (p && bytes >= (4 << 20)) {
    const uintptr_t a = ((uintptr_t)p + 4095) & ~(uintptr_t)4095;
    madvise((void *)a, ((uintptr_t)p + (uintptr_t)bytes - a) & ~(uintptr_t)4095, MADV_HUGEPAGE);
  }
#endif
}

/* Store past the caches what the next reader will not find there anyway: saves reading the lines first. */
#if defined(__AVX512F__)
typedef float wide __attribute__((vector_size(64)));
#define STREAM __builtin_ia32_movntps512
#elif defined(__AVX__)
typedef float wide __attribute__((vector_size(32)));
#define STREAM __builtin_ia32_movntps256
#endif
static void stream_out(void *to, const void *from, size_t bytes) {
  size_t i = 0;
#if defined(__clang__) || !defined(STREAM)
#else
  if (((uintptr_t)to & (sizeof(wide) - 1)) == 0)
    for (; i + sizeof(wide) <= bytes; i += sizeof(wide))
      STREAM((float *)((char *)to + i), *(const wide *)((const char *)from + i));
#endif
  memcpy((char *)to + i, (const char *)from + i, bytes - i);
}

/* Rows of a block lie far apart, out of the hardware prefetcher's sight: fetch the row that is needed in two steps. */
static inline void fetch(const S *row, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof(S)) __builtin_prefetch(row + i);
}
static inline void fetch_to_write(const S *row, int64_t n) {
  for (int64_t i = 0; i < n; i += 64 / (int64_t)sizeof(S)) __builtin_prefetch(row + i, 1);
}

/* Share k of n of the blocks begins at share_of(blocks, k, n); the counters of shares lie a cache LINE apart. */
#define PIECES 16
#define LINE 8
static inline int64_t share_of(int64_t blocks, int64_t k, int64_t n) { return blocks * k / n; }
static inline int64_t take(int64_t *next, int64_t count) { return __atomic_fetch_add(next, count, __ATOMIC_RELAXED); }

/* The sum over lanes; apart from their work, because doubles mixed into it would halve the vectors of everything. */
static __attribute__((noinline)) double sum_of(const F *RESTRICT lanes, int64_t n) {
  double part[32] = {0}; /* chains of additions that do not wait for each other */
  int64_t i = 0;
  for (; i + 32 <= n; i += 32)
    #pragma omp simd
    for (int k = 0; k < 32; k++) part[k] += (double)lanes[i + k];
  for (; i < n; i++) part[i % 32] += (double)lanes[i];
  double sum = 0;
  #pragma omp simd reduction(+:sum)
  for (int k = 0; k < 32; k++) sum += part[k];
  return sum;
}

/* The sum of each row of partial sums, into its first place. */
static inline void add_up(double *row, int64_t rows, int64_t blocks) {
  for (const double *end = row + rows * blocks; row < end; row += blocks)
    for (int64_t b = 1; b < blocks; b++) row[0] += row[b];
}

/* Lane i of a block that starts at element m gets entry ((m + i) / inner) % size. */
static void spread(F *RESTRICT out, const F *RESTRICT from, int64_t m, int64_t n, int64_t inner, int64_t size) {
  int64_t i = 0, entry = (m / inner) % size, left = inner - m % inner;
  while (i < n) {
    if (inner == 1) {
      const int64_t run = size - entry < n - i ? size - entry : n - i;
      memcpy(out + i, from + entry, (size_t)run * sizeof(F));
      i += run; entry = 0;
    } else {
      const int64_t run = left < n - i ? left : n - i;
      for (int64_t k = 0; k < run; k++) out[i + k] = from[entry];
      i += run; left = inner; entry = entry + 1 == size ? 0 : entry + 1;
    }
  }
}
"""

PHILOX = r"""
/* Words of Philox4x32-10 for steps 4 group ... 4 group + 3 of n lanes, as numbers in [0, 1). Element m of a
   channels-last step is the logical neuron ((m / (P C)) C + m % C) P + (m / C) % P; P = 1 for the logical order.
   Words lie in 64-bit lanes whose upper halves are ignored, which is what the processor's 32 x 32 bit product takes. */
#define UNIT(c) ((F)((c) >> 8) * (F)5.9604644775390625e-8)
#if defined(__AVX512F__) && !defined(__clang__)
#define QUAD_BYTES 64
typedef int half_words __attribute__((vector_size(64)));
typedef long long products __attribute__((vector_size(64)));
#define TIMES(a, b) (quad)__builtin_ia32_pmuludq512_mask((half_words)(a), (half_words)(b), (products){0}, 255)
#elif defined(__AVX2__) && !defined(__clang__)
#define QUAD_BYTES 32
typedef int half_words __attribute__((vector_size(32)));
#define TIMES(a, b) (quad)__builtin_ia32_pmuludq256((half_words)(a), (half_words)(b))
#else
#define QUAD_BYTES 16
#define TIMES(a, b) (((a) & 0xffffffffu) * (b))
#endif
#define QUAD_LANES (QUAD_BYTES / 8)
#define QUADS (16 / QUAD_LANES)
typedef uint64_t quad __attribute__((vector_size(QUAD_BYTES)));
static __attribute__((noinline)) void reorder(uint64_t id[16], int64_t e, int64_t P, int64_t C) {
  for (int j = 0; j < 16; j++, e++) id[j] = (uint64_t)(((e / (P * C)) * C + e % C) * P + (e / C) % P);
}
/* Arrays of quads are filled and emptied one by one, or the compiler keeps them in memory. */
static inline void philox_16(uint64_t w[4][16], const uint64_t *id, uint64_t m, uint64_t group,
                             const uint64_t keys[2][10]) {
  static const uint64_t counts[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  const quad zero = {0}, first = zero + 0xD2511F53u, second = zero + 0xCD9E8D57u;
  quad c0[QUADS], c1[QUADS], c2[QUADS], c3[QUADS], count;
  memcpy(&count, counts, QUAD_BYTES);
  for (int q = 0; q < QUADS; q++) {
    c1[q] = count + (m + (uint64_t)(q * QUAD_LANES));
    if (id) memcpy(&c1[q], id + q * QUAD_LANES, QUAD_BYTES);
    c0[q] = zero + group; c2[q] = c1[q] >> 32; c3[q] = zero;
  }
  #pragma GCC unroll 10
  for (int r = 0; r < 10; r++)
    for (int q = 0; q < QUADS; q++) {
      const quad a = TIMES(c0[q], first), b = TIMES(c2[q], second);
      c0[q] = (b >> 32) ^ c1[q] ^ keys[0][r]; c1[q] = b;
      c2[q] = (a >> 32) ^ c3[q] ^ keys[1][r]; c3[q] = a;
    }
  for (int q = 0; q < QUADS; q++) {
    memcpy(w[0] + q * QUAD_LANES, &c0[q], QUAD_BYTES); memcpy(w[1] + q * QUAD_LANES, &c1[q], QUAD_BYTES);
    memcpy(w[2] + q * QUAD_LANES, &c2[q], QUAD_BYTES); memcpy(w[3] + q * QUAD_LANES, &c3[q], QUAD_BYTES);
  }
}
static void philox(F *RESTRICT out, int64_t stride, int64_t m, int64_t n, int64_t group, uint64_t key,
                   int64_t P, int64_t C) {
  uint64_t keys[2][10], id[16], w[4][16];
  for (int r = 0; r < 10; r++) {
    keys[0][r] = (uint32_t)key + (uint32_t)r * 0x9E3779B9u;
    keys[1][r] = (uint32_t)(key >> 32) + (uint32_t)r * 0xBB67AE85u;
    for (int k = 0; k < 2; k++) keys[k][r] = (uint32_t)keys[k][r];
  }
  for (int64_t i = 0; i < n; i += 16) {
    if (P > 1) reorder(id, m + i, P, C);
    philox_16(w, P > 1 ? id : 0, (uint64_t)(m + i), (uint32_t)group, keys);
    for (int k = 0; k < 4; k++) {
      F number[16];
      #pragma omp simd
      for (int j = 0; j < 16; j++) number[j] = UNIT((uint32_t)w[k][j]);
      memcpy(out + k * stride + i, number, (size_t)(n - i < 16 ? n - i : 16) * sizeof(F));
    }
  }
}
"""
