/* PLIF, forward, float32 */
static void forward_blocks(const int64_t *a, int64_t *next, int64_t me) {
  const int64_t steps = a[0];
  const int64_t rows = a[1];
  const int64_t length = a[2];
  const int64_t width = a[3];
  const int64_t stream = a[4];
  const int64_t threads = a[5];
  const int64_t clock = a[6];
  const int64_t key = a[7];
  const int64_t swap_p = a[8];
  const int64_t swap_c = a[9];
  const int64_t x_step = a[11];
  const int64_t x_row = a[12];
  const S *x = (const S *)a[10];
  const int64_t total = rows * length, per_row = (length + width - 1) / width, blocks = rows * per_row;
  const F c_0 = (F)(*(const double *)a[15]);
  const F c_1 = (F)(*(const double *)a[18]);
  S *s = (S *)a[14];
  const F *first_0 = (const F *)a[21];
  F *last_0 = (F *)a[22];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  const int64_t piece = blocks / (PIECES * threads) + 1;
  for (int64_t turn = 0; turn < threads; turn++) {
    const int64_t share = (me + turn) % threads, end = share_of(blocks, share + 1, threads);
    for (int64_t b0; (b0 = take(next + LINE * share, piece)) < end;)
      for (int64_t b = b0; b < end && b < b0 + piece; b++) {
        const int64_t row = b / per_row, from = (b % per_row) * width, m = row * length + from;
        const int64_t n = length - from < width ? length - from : width;
        const S *xb = x + row * x_row + from;
        if (first_0) memcpy(v_0, first_0 + m, (size_t)n * sizeof(F)); else memset(v_0, 0, (size_t)n * sizeof(F));
        for (int64_t t = 0; t < steps; t++) {
          const S *RESTRICT xt = xb + t * x_step;
          S *RESTRICT st = stream ? out : s + t * total + m;
          fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
          if (!stream && steps >= 16 && t + 2 < steps) fetch_to_write(st + 2 * total, n);
          #pragma omp simd
          for (int64_t i = 0; i < n; i++) {
            const F n0 = LOAD(xt[i]);
            const F n1 = v_0[i];
            const F n2 = c_0;
            const F n3 = c_1;
            const F n4 = n2 * n1;
            const F n5 = n4 + n0;
            const F n6 = n5 - n3;
            const int n7 = n6 >= (F)(0.0);
            const F n8 = n7 ? (F)1 : (F)0;
            const F n9 = n3 * n8;
            const F n10 = n5 - n9;
            st[i] = STORE(n8);
            v_0[i] = n10;
          }
          if (stream) stream_out(s + t * total + m, out, (size_t)n * sizeof(S));
        }
        if (last_0) memcpy(last_0 + m, v_0, (size_t)n * sizeof(F));
      }
  }
  flush_back(mode);
}

void forward(const int64_t *a) {
  const int64_t threads = a[5], blocks = a[1] * ((a[2] + a[3] - 1) / a[3]);
  int64_t next[LINE * threads];
  for (int64_t k = 0; k < threads; k++) next[LINE * k] = share_of(blocks, k, threads);
  huge((void *)a[14], a[0] * a[1] * a[2] * (int64_t)sizeof(S));
  if (threads > 1) {
    #pragma omp parallel num_threads(threads)
    forward_blocks(a, next, omp_get_thread_num());
  } else forward_blocks(a, next, 0);
}

/* PLIF, backward, float32 */
static void backward_blocks(const int64_t *a, int64_t *next, int64_t me) {
  const int64_t steps = a[0];
  const int64_t rows = a[1];
  const int64_t length = a[2];
  const int64_t width = a[3];
  const int64_t stream = a[4];
  const int64_t threads = a[5];
  const int64_t clock = a[6];
  const int64_t key = a[7];
  const int64_t swap_p = a[8];
  const int64_t swap_c = a[9];
  const int64_t x_step = a[11];
  const int64_t x_row = a[12];
  const S *x = (const S *)a[10];
  const int64_t total = rows * length, per_row = (length + width - 1) / width, blocks = rows * per_row;
  const F c_0 = (F)(*(const double *)a[17]);
  const F c_1 = (F)(*(const double *)a[20]);
  const S *cot = (const S *)a[14];
  S *grad_x = (S *)a[15];
  double *partial = (double *)a[16];
  const int64_t span = 1;
  const F *first_0 = (const F *)a[25];
  const F *cot_0 = (const F *)a[26];
  F *grad_0 = (F *)a[27];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F g_0[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  F q_0[336] __attribute__((aligned(64)));
  const int64_t pitch = width + 16;
  const int64_t most = steps < 128 ? steps : 128, chunks = (steps + 127) / 128;
  const int64_t numbers = (most * 1 + chunks * 1) * pitch;
  F *scratch = (F *)aligned_alloc(64, (size_t)((numbers * (int64_t)sizeof(F) + most * 1 * pitch + 127) & ~(int64_t)63));
  F *marks = scratch + most * 1 * pitch;
  unsigned char *flags = (unsigned char *)(scratch + numbers);
  const int64_t piece = blocks / (PIECES * threads) + 1;
  for (int64_t turn = 0; turn < threads; turn++) {
    const int64_t share = (me + turn) % threads, end = share_of(blocks, share + 1, threads);
    for (int64_t b0; (b0 = take(next + LINE * share, piece)) < end;)
      for (int64_t b = b0; b < end && b < b0 + piece; b++) {
        const int64_t row = b / per_row, from = (b % per_row) * width, m = row * length + from;
        const int64_t n = length - from < width ? length - from : width;
        const S *xb = x + row * x_row + from;
        memset(q_0, 0, (size_t)n * sizeof(F));
        if (cot_0) memcpy(g_0, cot_0 + m, (size_t)n * sizeof(F)); else memset(g_0, 0, (size_t)n * sizeof(F));
        if (first_0) memcpy(marks + 0 * pitch, first_0 + m, (size_t)n * sizeof(F));
        else memset(marks + 0 * pitch, 0, (size_t)n * sizeof(F));
        for (int64_t c = 0; c + 1 < chunks; c++) {
          memcpy(v_0, marks + (c * 1 + 0) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = c * 128; t < (c + 1) * 128; t++) {
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = c_0;
              const F n3 = c_1;
              const F n4 = n2 * n1;
              const F n5 = n4 + n0;
              const F n6 = n5 - n3;
              const int n7 = n6 >= (F)(0.0);
              const F n8 = n7 ? (F)1 : (F)0;
              const F n9 = n3 * n8;
              const F n10 = n5 - n9;
              v_0[i] = n10;
            }
          }
          memcpy(marks + ((c + 1) * 1 + 0) * pitch, v_0, (size_t)n * sizeof(F));
        }
        for (int64_t c = chunks - 1; c >= 0; c--) {
          const int64_t t0 = c * 128, t1 = steps < t0 + 128 ? steps : t0 + 128;
          memcpy(v_0, marks + (c * 1 + 0) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = t1 - 1; t >= t0 && t >= t1 - 2; t--) fetch(cot + t * total + m, n);
          for (int64_t t = t0; t < t1; t++) {
            F *RESTRICT held = scratch + (t - t0) * 1 * pitch;
            unsigned char *RESTRICT flag = flags + (t - t0) * 1 * pitch;
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = c_0;
              const F n3 = c_1;
              const F n4 = n2 * n1;
              const F n5 = n4 + n0;
              const F n6 = n5 - n3;
              const int n7 = n6 >= (F)(0.0);
              const F n8 = n7 ? (F)1 : (F)0;
              const F n9 = n3 * n8;
              const F n10 = n5 - n9;
              const F n11 = ABS(n6);
              const int n12 = n11 <= (F)(0.5);
              v_0[i] = n10;
              held[0 * pitch + i] = n1;
              flag[0 * pitch + i] = n12;
            }
          }
          for (int64_t t = t1 - 1; t >= t0; t--) {
            const F *RESTRICT held = scratch + (t - t0) * 1 * pitch;
            const unsigned char *RESTRICT flag = flags + (t - t0) * 1 * pitch;
            const S *RESTRICT xt = xb + t * x_step;
            const S *RESTRICT ct = cot + t * total + m;
            S *RESTRICT gt = stream ? out : grad_x + t * total + m;
            if (t >= 2) {
              fetch(ct - 2 * total, n);
              if (!stream && steps >= 16) fetch_to_write(gt - 2 * total, n);
            }
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n1 = held[0 * pitch + i];
              const F n2 = c_0;
              const F n3 = c_1;
              const F n4 = LOAD(ct[i]);
              const F n5 = g_0[i];
              const F n13 = -n5;
              const F n14 = n13 * n3;
              const F n16 = n4 + n14;
              const int n18 = flag[0 * pitch + i];
              const F n19 = n18 ? (F)1 : (F)0;
              const F n20 = n16 * n19;
              const F n22 = n5 + n20;
              const F n24 = n22 * n2;
              const F n25 = n22 * n1;
              gt[i] = STORE(n22);
              g_0[i] = n24;
              q_0[i] += n25;
            }
            if (stream) stream_out(grad_x + t * total + m, out, (size_t)n * sizeof(S));
          }
        }
        if (grad_0) memcpy(grad_0 + m, g_0, (size_t)n * sizeof(F));
        partial[0 * span * blocks + b] = sum_of(q_0, n);
      }
  }
  free(scratch);
  flush_back(mode);
}

void backward(const int64_t *a) {
  const int64_t threads = a[5], blocks = a[1] * ((a[2] + a[3] - 1) / a[3]);
  int64_t next[LINE * threads];
  for (int64_t k = 0; k < threads; k++) next[LINE * k] = share_of(blocks, k, threads);
  huge((void *)a[15], a[0] * a[1] * a[2] * (int64_t)sizeof(S));
  if (threads > 1) {
    #pragma omp parallel num_threads(threads)
    backward_blocks(a, next, omp_get_thread_num());
  } else backward_blocks(a, next, 0);
  add_up((double *)a[16] + 0 * 1 * blocks, 1, blocks);
}
