/* ProbPLIF, forward, float32 */
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
  const F *uniform = (const F *)a[13];
  const F c_0 = (F)(*(const double *)a[15]);
  const F c_1 = (F)(*(const double *)a[18]);
  const F c_2 = (F)(*(const double *)a[21]);
  const F c_3 = (F)(*(const double *)a[24]);
  const F c_4 = (F)(*(const double *)a[27]);
  S *s = (S *)a[14];
  const F *first_0 = (const F *)a[30];
  F *last_0 = (F *)a[31];
  const F *first_1 = (const F *)a[32];
  F *last_1 = (F *)a[33];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  F r4[4 * 336] __attribute__((aligned(64)));
  const int64_t piece = blocks / (PIECES * threads) + 1;
  for (int64_t turn = 0; turn < threads; turn++) {
    const int64_t share = (me + turn) % threads, end = share_of(blocks, share + 1, threads);
    for (int64_t b0; (b0 = take(next + LINE * share, piece)) < end;)
      for (int64_t b = b0; b < end && b < b0 + piece; b++) {
        const int64_t row = b / per_row, from = (b % per_row) * width, m = row * length + from;
        const int64_t n = length - from < width ? length - from : width;
        const S *xb = x + row * x_row + from;
        int64_t group = -1;
        if (first_0) memcpy(v_0, first_0 + m, (size_t)n * sizeof(F)); else memset(v_0, 0, (size_t)n * sizeof(F));
        if (first_1) memcpy(v_1, first_1 + m, (size_t)n * sizeof(F)); else memset(v_1, 0, (size_t)n * sizeof(F));
        for (int64_t t = 0; t < steps; t++) {
          const S *RESTRICT xt = xb + t * x_step;
          S *RESTRICT st = stream ? out : s + t * total + m;
          fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
          if (!stream && steps >= 16 && t + 2 < steps) fetch_to_write(st + 2 * total, n);
          if ((clock + t) / 4 != group) { group = (clock + t) / 4; philox(r4, 336, m, n, group, (uint64_t)key, swap_p, swap_c); }
          const F *RESTRICT rt = r4 + ((clock + t) % 4) * 336;
          #pragma omp simd
          for (int64_t i = 0; i < n; i++) {
            const F n0 = LOAD(xt[i]);
            const F n1 = v_0[i];
            const F n2 = v_1[i];
            const F n3 = c_0;
            const F n4 = c_1;
            const F n5 = c_2;
            const F n6 = c_3;
            const F n8 = rt[i];
            const F n9 = n3 * n1;
            const F n10 = n4 * n0;
            const F n11 = n9 + n10;
            const F n12 = n5 * n2;
            const F n13 = n11 - n12;
            const F n14 = n13 - n5;
            const F n15 = n14 * n6;
            const F n16 = (n15 < (F)(0.0) || n15 != n15 ? n15 : (F)(0.0));
            const F n17 = rb_exp(n16);
            const int n18 = n8 < n17;
            const F n19 = n18 ? (F)1 : (F)0;
            st[i] = STORE(n19);
            v_0[i] = n13;
            v_1[i] = n19;
          }
          if (stream) stream_out(s + t * total + m, out, (size_t)n * sizeof(S));
        }
        if (last_0) memcpy(last_0 + m, v_0, (size_t)n * sizeof(F));
        if (last_1) memcpy(last_1 + m, v_1, (size_t)n * sizeof(F));
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

/* ProbPLIF, backward, float32 */
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
  const F *uniform = (const F *)a[13];
  const F c_0 = (F)(*(const double *)a[17]);
  const F c_1 = (F)(*(const double *)a[20]);
  const F c_2 = (F)(*(const double *)a[23]);
  const F c_3 = (F)(*(const double *)a[26]);
  const F c_4 = (F)(*(const double *)a[29]);
  const S *cot = (const S *)a[14];
  S *grad_x = (S *)a[15];
  double *partial = (double *)a[16];
  const int64_t span = 1;
  const F *first_0 = (const F *)a[37];
  const F *cot_0 = (const F *)a[38];
  F *grad_0 = (F *)a[39];
  const F *first_1 = (const F *)a[40];
  const F *cot_1 = (const F *)a[41];
  F *grad_1 = (F *)a[42];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F g_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
  F g_1[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  F r4[4 * 336] __attribute__((aligned(64)));
  F q_0[336] __attribute__((aligned(64)));
  F q_1[336] __attribute__((aligned(64)));
  const int64_t pitch = width + 16;
  const int64_t most = steps < 128 ? steps : 128, chunks = (steps + 127) / 128;
  const int64_t numbers = (most * 2 + chunks * 2) * pitch;
  F *scratch = (F *)aligned_alloc(64, (size_t)((numbers * (int64_t)sizeof(F) + most * 0 * pitch + 127) & ~(int64_t)63));
  F *marks = scratch + most * 2 * pitch;
  unsigned char *flags = (unsigned char *)(scratch + numbers);
  const int64_t piece = blocks / (PIECES * threads) + 1;
  for (int64_t turn = 0; turn < threads; turn++) {
    const int64_t share = (me + turn) % threads, end = share_of(blocks, share + 1, threads);
    for (int64_t b0; (b0 = take(next + LINE * share, piece)) < end;)
      for (int64_t b = b0; b < end && b < b0 + piece; b++) {
        const int64_t row = b / per_row, from = (b % per_row) * width, m = row * length + from;
        const int64_t n = length - from < width ? length - from : width;
        const S *xb = x + row * x_row + from;
        int64_t group = -1;
        memset(q_0, 0, (size_t)n * sizeof(F));
        memset(q_1, 0, (size_t)n * sizeof(F));
        if (cot_0) memcpy(g_0, cot_0 + m, (size_t)n * sizeof(F)); else memset(g_0, 0, (size_t)n * sizeof(F));
        if (first_0) memcpy(marks + 0 * pitch, first_0 + m, (size_t)n * sizeof(F));
        else memset(marks + 0 * pitch, 0, (size_t)n * sizeof(F));
        if (cot_1) memcpy(g_1, cot_1 + m, (size_t)n * sizeof(F)); else memset(g_1, 0, (size_t)n * sizeof(F));
        if (first_1) memcpy(marks + 1 * pitch, first_1 + m, (size_t)n * sizeof(F));
        else memset(marks + 1 * pitch, 0, (size_t)n * sizeof(F));
        for (int64_t c = 0; c + 1 < chunks; c++) {
          memcpy(v_0, marks + (c * 2 + 0) * pitch, (size_t)n * sizeof(F));
          memcpy(v_1, marks + (c * 2 + 1) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = c * 128; t < (c + 1) * 128; t++) {
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            if ((clock + t) / 4 != group) { group = (clock + t) / 4; philox(r4, 336, m, n, group, (uint64_t)key, swap_p, swap_c); }
            const F *RESTRICT rt = r4 + ((clock + t) % 4) * 336;
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = v_1[i];
              const F n3 = c_0;
              const F n4 = c_1;
              const F n5 = c_2;
              const F n6 = c_3;
              const F n8 = rt[i];
              const F n9 = n3 * n1;
              const F n10 = n4 * n0;
              const F n11 = n9 + n10;
              const F n12 = n5 * n2;
              const F n13 = n11 - n12;
              const F n14 = n13 - n5;
              const F n15 = n14 * n6;
              const F n16 = (n15 < (F)(0.0) || n15 != n15 ? n15 : (F)(0.0));
              const F n17 = rb_exp(n16);
              const int n18 = n8 < n17;
              const F n19 = n18 ? (F)1 : (F)0;
              v_0[i] = n13;
              v_1[i] = n19;
            }
          }
          memcpy(marks + ((c + 1) * 2 + 0) * pitch, v_0, (size_t)n * sizeof(F));
          memcpy(marks + ((c + 1) * 2 + 1) * pitch, v_1, (size_t)n * sizeof(F));
        }
        for (int64_t c = chunks - 1; c >= 0; c--) {
          const int64_t t0 = c * 128, t1 = steps < t0 + 128 ? steps : t0 + 128;
          memcpy(v_0, marks + (c * 2 + 0) * pitch, (size_t)n * sizeof(F));
          memcpy(v_1, marks + (c * 2 + 1) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = t1 - 1; t >= t0 && t >= t1 - 2; t--) fetch(cot + t * total + m, n);
          for (int64_t t = t0; t < t1; t++) {
            F *RESTRICT held = scratch + (t - t0) * 2 * pitch;
            unsigned char *RESTRICT flag = flags + (t - t0) * 0 * pitch;
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            if ((clock + t) / 4 != group) { group = (clock + t) / 4; philox(r4, 336, m, n, group, (uint64_t)key, swap_p, swap_c); }
            const F *RESTRICT rt = r4 + ((clock + t) % 4) * 336;
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = v_1[i];
              const F n3 = c_0;
              const F n4 = c_1;
              const F n5 = c_2;
              const F n6 = c_3;
              const F n7 = c_4;
              const F n8 = rt[i];
              const F n9 = n3 * n1;
              const F n10 = n4 * n0;
              const F n11 = n9 + n10;
              const F n12 = n5 * n2;
              const F n13 = n11 - n12;
              const F n14 = n13 - n5;
              const F n15 = n14 * n6;
              const F n16 = (n15 < (F)(0.0) || n15 != n15 ? n15 : (F)(0.0));
              const F n17 = rb_exp(n16);
              const int n18 = n8 < n17;
              const F n19 = n18 ? (F)1 : (F)0;
              const int n20 = n14 < (F)(0.0);
              const F n21 = n17 * n6;
              const F n22 = n20 ? n21 : (F)(0.0);
              const F n23 = n14 - (F)(0.0);
              const F n24 = n23 * (F)(2.0);
              const F n25 = n24 * (F)(-0.5);
              const F n26 = n25 * n24;
              const F n27 = rb_exp(n26);
              const F n28 = n27 * (F)(0.7978845608028654);
              const F n29 = n28 * (F)(1.15);
              const F n30 = n23 * (F)(0.3333333333333333);
              const F n31 = n30 * (F)(-0.5);
              const F n32 = n31 * n30;
              const F n33 = rb_exp(n32);
              const F n34 = n33 * (F)(0.1329807601338109);
              const F n35 = n34 * (F)(0.3);
              const F n36 = n29 - n35;
              const F n37 = n36 * (F)(0.5);
              const F n38 = n7 * n22;
              const F n39 = n37 + n38;
              v_0[i] = n13;
              v_1[i] = n19;
              held[0 * pitch + i] = n1;
              held[1 * pitch + i] = n39;
            }
          }
          for (int64_t t = t1 - 1; t >= t0; t--) {
            const F *RESTRICT held = scratch + (t - t0) * 2 * pitch;
            const unsigned char *RESTRICT flag = flags + (t - t0) * 0 * pitch;
            const S *RESTRICT xt = xb + t * x_step;
            const S *RESTRICT ct = cot + t * total + m;
            S *RESTRICT gt = stream ? out : grad_x + t * total + m;
            if (t >= 2) {
              fetch(ct - 2 * total, n);
              if (!stream && steps >= 16) fetch_to_write(gt - 2 * total, n);
            }
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = held[0 * pitch + i];
              const F n3 = c_0;
              const F n4 = c_1;
              const F n5 = c_2;
              const F n9 = LOAD(ct[i]);
              const F n10 = g_0[i];
              const F n11 = g_1[i];
              const F n42 = held[1 * pitch + i];
              const F n43 = n9 + n11;
              const F n44 = n43 * n42;
              const F n45 = n10 + n44;
              const F n46 = -n45;
              const F n47 = n46 * n5;
              const F n49 = n45 * n4;
              const F n50 = n45 * n0;
              const F n51 = n45 * n3;
              const F n52 = n45 * n1;
              gt[i] = STORE(n49);
              g_0[i] = n51;
              g_1[i] = n47;
              q_0[i] += n52;
              q_1[i] += n50;
            }
            if (stream) stream_out(grad_x + t * total + m, out, (size_t)n * sizeof(S));
          }
        }
        if (grad_0) memcpy(grad_0 + m, g_0, (size_t)n * sizeof(F));
        if (grad_1) memcpy(grad_1 + m, g_1, (size_t)n * sizeof(F));
        partial[0 * span * blocks + b] = sum_of(q_0, n);
        partial[1 * span * blocks + b] = sum_of(q_1, n);
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
  add_up((double *)a[16] + 1 * 1 * blocks, 1, blocks);
}
