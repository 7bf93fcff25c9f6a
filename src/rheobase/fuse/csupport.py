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
   channels-last step is the logical neuron ((m / (P C)) C + m % C) P + (m / C) % P; P = 1 for the logical order. */
#define UNIT(c) ((F)((c) >> 8) * (F)5.9604644775390625e-8)
static void philox(F *RESTRICT out, int64_t stride, int64_t m, int64_t n, int64_t group, uint64_t key,
                   int64_t P, int64_t C) {
  #pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    const int64_t e = m + i, id = P == 1 ? e : ((e / (P * C)) * C + e % C) * P + (e / C) % P;
    uint32_t c0 = (uint32_t)group, c1 = (uint32_t)id, c2 = (uint32_t)((uint64_t)id >> 32), c3 = 0;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int r = 0; r < 10; r++) {
      const uint64_t a = (uint64_t)c0 * 0xD2511F53u, b = (uint64_t)c2 * 0xCD9E8D57u;
      c0 = (uint32_t)(b >> 32) ^ c1 ^ k0; c1 = (uint32_t)b;
      c2 = (uint32_t)(a >> 32) ^ c3 ^ k1; c3 = (uint32_t)a;
      k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    out[i] = UNIT(c0);
    out[stride + i] = UNIT(c1);
    out[2 * stride + i] = UNIT(c2);
    out[3 * stride + i] = UNIT(c3);
  }
}
"""
