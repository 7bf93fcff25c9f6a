/* GLIF, forward, float32 */
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
  const F c_2 = (F)(*(const double *)a[21]);
  const F *value_3 = (const F *)a[24];
  const F c_4 = (F)(*(const double *)a[27]);
  const F c_5 = (F)(*(const double *)a[30]);
  S *s = (S *)a[14];
  const F *first_0 = (const F *)a[33];
  F *last_0 = (F *)a[34];
  const F *first_1 = (const F *)a[35];
  F *last_1 = (F *)a[36];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
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
        if (first_1) memcpy(v_1, first_1 + m, (size_t)n * sizeof(F)); else memset(v_1, 0, (size_t)n * sizeof(F));
        for (int64_t t = 0; t < steps; t++) {
          const S *RESTRICT xt = xb + t * x_step;
          S *RESTRICT st = stream ? out : s + t * total + m;
          fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
          if (!stream && steps >= 16 && t + 2 < steps) fetch_to_write(st + 2 * total, n);
          const F c_3 = value_3[t];
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
            const F n8 = c_5;
            const F n9 = n3 * n1;
            const F n10 = n4 * n2;
            const F n11 = (F)(1.0) - n10;
            const F n12 = n9 * n11;
            const F n13 = n12 - n5;
            const F n14 = n6 * n0;
            const F n15 = n13 + n14;
            const F n16 = n7 * n2;
            const F n17 = n15 - n16;
            const F n18 = n17 - n8;
            const int n19 = n18 > (F)(0.0);
            const F n20 = n19 ? (F)1 : (F)0;
            st[i] = STORE(n20);
            v_0[i] = n17;
            v_1[i] = n20;
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

/* GLIF, backward, float32 */
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
  const F c_2 = (F)(*(const double *)a[23]);
  const F *value_3 = (const F *)a[26];
  const F c_4 = (F)(*(const double *)a[29]);
  const F c_5 = (F)(*(const double *)a[32]);
  const S *cot = (const S *)a[14];
  S *grad_x = (S *)a[15];
  double *partial = (double *)a[16];
  const int64_t span = steps;
  const F *first_0 = (const F *)a[41];
  const F *cot_0 = (const F *)a[42];
  F *grad_0 = (F *)a[43];
  const F *first_1 = (const F *)a[44];
  const F *cot_1 = (const F *)a[45];
  F *grad_1 = (F *)a[46];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F g_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
  F g_1[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  F q_0[336] __attribute__((aligned(64)));
  F q_1[336] __attribute__((aligned(64)));
  F q_2[336] __attribute__((aligned(64)));
  F q_3[336] __attribute__((aligned(64)));
  F q_4[336] __attribute__((aligned(64)));
  F q_5[336] __attribute__((aligned(64)));
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
        memset(q_0, 0, (size_t)n * sizeof(F));
        memset(q_1, 0, (size_t)n * sizeof(F));
        memset(q_2, 0, (size_t)n * sizeof(F));
        memset(q_4, 0, (size_t)n * sizeof(F));
        memset(q_5, 0, (size_t)n * sizeof(F));
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
            const F c_3 = value_3[t];
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
              const F n8 = c_5;
              const F n9 = n3 * n1;
              const F n10 = n4 * n2;
              const F n11 = (F)(1.0) - n10;
              const F n12 = n9 * n11;
              const F n13 = n12 - n5;
              const F n14 = n6 * n0;
              const F n15 = n13 + n14;
              const F n16 = n7 * n2;
              const F n17 = n15 - n16;
              const F n18 = n17 - n8;
              const int n19 = n18 > (F)(0.0);
              const F n20 = n19 ? (F)1 : (F)0;
              v_0[i] = n17;
              v_1[i] = n20;
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
            const F c_3 = value_3[t];
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
              const F n8 = c_5;
              const F n9 = n3 * n1;
              const F n10 = n4 * n2;
              const F n11 = (F)(1.0) - n10;
              const F n12 = n9 * n11;
              const F n13 = n12 - n5;
              const F n14 = n6 * n0;
              const F n15 = n13 + n14;
              const F n16 = n7 * n2;
              const F n17 = n15 - n16;
              const F n18 = n17 - n8;
              const int n19 = n18 > (F)(0.0);
              const F n20 = n19 ? (F)1 : (F)0;
              v_0[i] = n17;
              v_1[i] = n20;
              held[0 * pitch + i] = n1;
              held[1 * pitch + i] = n2;
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
            const F c_3 = value_3[t];
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = held[0 * pitch + i];
              const F n2 = held[1 * pitch + i];
              const F n3 = c_0;
              const F n4 = c_1;
              const F n5 = c_2;
              const F n6 = c_3;
              const F n7 = c_4;
              const F n8 = c_5;
              const F n9 = LOAD(ct[i]);
              const F n10 = g_0[i];
              const F n11 = g_1[i];
              const F n12 = n3 * n1;
              const F n13 = n4 * n2;
              const F n14 = (F)(1.0) - n13;
              const F n15 = n12 * n14;
              const F n16 = n15 - n5;
              const F n17 = n6 * n0;
              const F n18 = n16 + n17;
              const F n19 = n7 * n2;
              const F n20 = n18 - n19;
              const F n21 = n20 - n8;
              const F n24 = n9 + n11;
              const F n25 = ABS(n21);
              const int n26 = n25 <= (F)(0.5);
              const F n27 = n26 ? (F)1 : (F)0;
              const F n28 = n24 * n27;
              const F n29 = -n28;
              const F n30 = n10 + n28;
              const F n31 = -n30;
              const F n32 = n31 * n7;
              const F n33 = n31 * n2;
              const F n34 = n30 * n6;
              const F n35 = n30 * n0;
              const F n36 = n30 * n12;
              const F n37 = n30 * n14;
              const F n38 = -n36;
              const F n39 = n38 * n4;
              const F n40 = n38 * n2;
              const F n41 = n32 + n39;
              const F n42 = n37 * n3;
              const F n43 = n37 * n1;
              gt[i] = STORE(n34);
              g_0[i] = n42;
              g_1[i] = n41;
              q_0[i] += n43;
              q_1[i] += n40;
              q_2[i] += n31;
              q_3[i] = n35;
              q_4[i] += n33;
              q_5[i] += n29;
            }
            if (stream) stream_out(grad_x + t * total + m, out, (size_t)n * sizeof(S));
            partial[(3 * span + t) * blocks + b] = sum_of(q_3, n);
          }
        }
        if (grad_0) memcpy(grad_0 + m, g_0, (size_t)n * sizeof(F));
        if (grad_1) memcpy(grad_1 + m, g_1, (size_t)n * sizeof(F));
        partial[0 * span * blocks + b] = sum_of(q_0, n);
        partial[1 * span * blocks + b] = sum_of(q_1, n);
        partial[2 * span * blocks + b] = sum_of(q_2, n);
        partial[4 * span * blocks + b] = sum_of(q_4, n);
        partial[5 * span * blocks + b] = sum_of(q_5, n);
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
  add_up((double *)a[16] + 0 * a[0] * blocks, 1, blocks);
  add_up((double *)a[16] + 1 * a[0] * blocks, 1, blocks);
  add_up((double *)a[16] + 2 * a[0] * blocks, 1, blocks);
  add_up((double *)a[16] + 3 * a[0] * blocks, a[0], blocks);
  add_up((double *)a[16] + 4 * a[0] * blocks, 1, blocks);
  add_up((double *)a[16] + 5 * a[0] * blocks, 1, blocks);
}
