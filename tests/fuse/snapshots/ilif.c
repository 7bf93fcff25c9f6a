/* ILIF, forward, float32 */
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
  const F c_3 = (F)(*(const double *)a[24]);
  S *s = (S *)a[14];
  const F *first_0 = (const F *)a[27];
  F *last_0 = (F *)a[28];
  const F *first_1 = (const F *)a[29];
  F *last_1 = (F *)a[30];
  const F *first_2 = (const F *)a[31];
  F *last_2 = (F *)a[32];
  const F *first_3 = (const F *)a[33];
  F *last_3 = (F *)a[34];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
  F v_2[336] __attribute__((aligned(64)));
  F v_3[336] __attribute__((aligned(64)));
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
        if (first_2) memcpy(v_2, first_2 + m, (size_t)n * sizeof(F)); else memset(v_2, 0, (size_t)n * sizeof(F));
        if (first_3) memcpy(v_3, first_3 + m, (size_t)n * sizeof(F)); else memset(v_3, 0, (size_t)n * sizeof(F));
        for (int64_t t = 0; t < steps; t++) {
          const S *RESTRICT xt = xb + t * x_step;
          S *RESTRICT st = stream ? out : s + t * total + m;
          fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
          if (!stream && steps >= 16 && t + 2 < steps) fetch_to_write(st + 2 * total, n);
          #pragma omp simd
          for (int64_t i = 0; i < n; i++) {
            const F n0 = LOAD(xt[i]);
            const F n1 = v_0[i];
            const F n2 = v_1[i];
            const F n3 = v_2[i];
            const F n4 = v_3[i];
            const F n5 = c_0;
            const F n6 = c_1;
            const F n7 = c_2;
            const F n8 = c_3;
            const F n9 = n5 * n1;
            const F n10 = n9 + n0;
            const F n11 = n3 + n4;
            const F n12 = n8 * n11;
            const F n13 = (n12 > (F)(0.0) || n12 != n12 ? n12 : (F)(0.0));
            const F n14 = n10 - n13;
            const F n15 = n14 - n6;
            const int n16 = n15 >= (F)(0.0);
            const F n17 = n16 ? (F)1 : (F)0;
            const F n18 = n6 * n17;
            const F n19 = n14 - n18;
            const F n20 = n17 * n19;
            const F n21 = n2 + n20;
            const F n22 = n7 * n21;
            const F n23 = rb_sigmoid(n22);
            const F n24 = n17 * n23;
            const F n25 = n19 - n24;
            const F n26 = n0 * n17;
            st[i] = STORE(n17);
            v_0[i] = n25;
            v_1[i] = n22;
            v_2[i] = n12;
            v_3[i] = n26;
          }
          if (stream) stream_out(s + t * total + m, out, (size_t)n * sizeof(S));
        }
        if (last_0) memcpy(last_0 + m, v_0, (size_t)n * sizeof(F));
        if (last_1) memcpy(last_1 + m, v_1, (size_t)n * sizeof(F));
        if (last_2) memcpy(last_2 + m, v_2, (size_t)n * sizeof(F));
        if (last_3) memcpy(last_3 + m, v_3, (size_t)n * sizeof(F));
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

/* ILIF, backward, float32 */
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
  const F c_3 = (F)(*(const double *)a[26]);
  const S *cot = (const S *)a[14];
  S *grad_x = (S *)a[15];
  double *partial = (double *)a[16];
  const int64_t span = 1;
  const F *first_0 = (const F *)a[33];
  const F *cot_0 = (const F *)a[34];
  F *grad_0 = (F *)a[35];
  const F *first_1 = (const F *)a[36];
  const F *cot_1 = (const F *)a[37];
  F *grad_1 = (F *)a[38];
  const F *first_2 = (const F *)a[39];
  const F *cot_2 = (const F *)a[40];
  F *grad_2 = (F *)a[41];
  const F *first_3 = (const F *)a[42];
  const F *cot_3 = (const F *)a[43];
  F *grad_3 = (F *)a[44];
  const uint64_t mode = flush_on();
  F v_0[336] __attribute__((aligned(64)));
  F g_0[336] __attribute__((aligned(64)));
  F v_1[336] __attribute__((aligned(64)));
  F g_1[336] __attribute__((aligned(64)));
  F v_2[336] __attribute__((aligned(64)));
  F g_2[336] __attribute__((aligned(64)));
  F v_3[336] __attribute__((aligned(64)));
  F g_3[336] __attribute__((aligned(64)));
  S out[336] __attribute__((aligned(64)));
  const int64_t pitch = width + 16;
  const int64_t most = steps < 64 ? steps : 64, chunks = (steps + 63) / 64;
  const int64_t numbers = (most * 2 + chunks * 4) * pitch;
  F *scratch = (F *)aligned_alloc(64, (size_t)((numbers * (int64_t)sizeof(F) + most * 1 * pitch + 127) & ~(int64_t)63));
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
        if (cot_0) memcpy(g_0, cot_0 + m, (size_t)n * sizeof(F)); else memset(g_0, 0, (size_t)n * sizeof(F));
        if (first_0) memcpy(marks + 0 * pitch, first_0 + m, (size_t)n * sizeof(F));
        else memset(marks + 0 * pitch, 0, (size_t)n * sizeof(F));
        if (cot_1) memcpy(g_1, cot_1 + m, (size_t)n * sizeof(F)); else memset(g_1, 0, (size_t)n * sizeof(F));
        if (first_1) memcpy(marks + 1 * pitch, first_1 + m, (size_t)n * sizeof(F));
        else memset(marks + 1 * pitch, 0, (size_t)n * sizeof(F));
        if (cot_2) memcpy(g_2, cot_2 + m, (size_t)n * sizeof(F)); else memset(g_2, 0, (size_t)n * sizeof(F));
        if (first_2) memcpy(marks + 2 * pitch, first_2 + m, (size_t)n * sizeof(F));
        else memset(marks + 2 * pitch, 0, (size_t)n * sizeof(F));
        if (cot_3) memcpy(g_3, cot_3 + m, (size_t)n * sizeof(F)); else memset(g_3, 0, (size_t)n * sizeof(F));
        if (first_3) memcpy(marks + 3 * pitch, first_3 + m, (size_t)n * sizeof(F));
        else memset(marks + 3 * pitch, 0, (size_t)n * sizeof(F));
        for (int64_t c = 0; c + 1 < chunks; c++) {
          memcpy(v_0, marks + (c * 4 + 0) * pitch, (size_t)n * sizeof(F));
          memcpy(v_1, marks + (c * 4 + 1) * pitch, (size_t)n * sizeof(F));
          memcpy(v_2, marks + (c * 4 + 2) * pitch, (size_t)n * sizeof(F));
          memcpy(v_3, marks + (c * 4 + 3) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = c * 64; t < (c + 1) * 64; t++) {
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = v_1[i];
              const F n3 = v_2[i];
              const F n4 = v_3[i];
              const F n5 = c_0;
              const F n6 = c_1;
              const F n7 = c_2;
              const F n8 = c_3;
              const F n9 = n5 * n1;
              const F n10 = n9 + n0;
              const F n11 = n3 + n4;
              const F n12 = n8 * n11;
              const F n13 = (n12 > (F)(0.0) || n12 != n12 ? n12 : (F)(0.0));
              const F n14 = n10 - n13;
              const F n15 = n14 - n6;
              const int n16 = n15 >= (F)(0.0);
              const F n17 = n16 ? (F)1 : (F)0;
              const F n18 = n6 * n17;
              const F n19 = n14 - n18;
              const F n20 = n17 * n19;
              const F n21 = n2 + n20;
              const F n22 = n7 * n21;
              const F n23 = rb_sigmoid(n22);
              const F n24 = n17 * n23;
              const F n25 = n19 - n24;
              const F n26 = n0 * n17;
              v_0[i] = n25;
              v_1[i] = n22;
              v_2[i] = n12;
              v_3[i] = n26;
            }
          }
          memcpy(marks + ((c + 1) * 4 + 0) * pitch, v_0, (size_t)n * sizeof(F));
          memcpy(marks + ((c + 1) * 4 + 1) * pitch, v_1, (size_t)n * sizeof(F));
          memcpy(marks + ((c + 1) * 4 + 2) * pitch, v_2, (size_t)n * sizeof(F));
          memcpy(marks + ((c + 1) * 4 + 3) * pitch, v_3, (size_t)n * sizeof(F));
        }
        for (int64_t c = chunks - 1; c >= 0; c--) {
          const int64_t t0 = c * 64, t1 = steps < t0 + 64 ? steps : t0 + 64;
          memcpy(v_0, marks + (c * 4 + 0) * pitch, (size_t)n * sizeof(F));
          memcpy(v_1, marks + (c * 4 + 1) * pitch, (size_t)n * sizeof(F));
          memcpy(v_2, marks + (c * 4 + 2) * pitch, (size_t)n * sizeof(F));
          memcpy(v_3, marks + (c * 4 + 3) * pitch, (size_t)n * sizeof(F));
          for (int64_t t = t1 - 1; t >= t0 && t >= t1 - 2; t--) fetch(cot + t * total + m, n);
          for (int64_t t = t0; t < t1; t++) {
            F *RESTRICT held = scratch + (t - t0) * 2 * pitch;
            unsigned char *RESTRICT flag = flags + (t - t0) * 1 * pitch;
            const S *RESTRICT xt = xb + t * x_step;
            fetch(t + 2 < steps ? xb + (t + 2) * x_step : steps > 1 ? xb + (t + 2 - steps) * x_step + width : xb + 2 * width, n);
            #pragma omp simd
            for (int64_t i = 0; i < n; i++) {
              const F n0 = LOAD(xt[i]);
              const F n1 = v_0[i];
              const F n2 = v_1[i];
              const F n3 = v_2[i];
              const F n4 = v_3[i];
              const F n5 = c_0;
              const F n6 = c_1;
              const F n7 = c_2;
              const F n8 = c_3;
              const F n9 = n5 * n1;
              const F n10 = n9 + n0;
              const F n11 = n3 + n4;
              const F n12 = n8 * n11;
              const F n13 = (n12 > (F)(0.0) || n12 != n12 ? n12 : (F)(0.0));
              const F n14 = n10 - n13;
              const F n15 = n14 - n6;
              const int n16 = n15 >= (F)(0.0);
              const F n17 = n16 ? (F)1 : (F)0;
              const F n18 = n6 * n17;
              const F n19 = n14 - n18;
              const F n20 = n17 * n19;
              const F n21 = n2 + n20;
              const F n22 = n7 * n21;
              const F n23 = rb_sigmoid(n22);
              const F n24 = n17 * n23;
              const F n25 = n19 - n24;
              const F n26 = n0 * n17;
              const int n27 = n12 >= (F)(0.0);
              v_0[i] = n25;
              v_1[i] = n22;
              v_2[i] = n12;
              v_3[i] = n26;
              held[0 * pitch + i] = n14;
              held[1 * pitch + i] = n23;
              flag[0 * pitch + i] = n27;
            }
          }
          for (int64_t t = t1 - 1; t >= t0; t--) {
            const F *RESTRICT held = scratch + (t - t0) * 2 * pitch;
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
              const F n0 = LOAD(xt[i]);
              const F n5 = c_0;
              const F n6 = c_1;
              const F n7 = c_2;
              const F n8 = c_3;
              const F n9 = LOAD(ct[i]);
              const F n10 = g_0[i];
              const F n11 = g_1[i];
              const F n12 = g_2[i];
              const F n13 = g_3[i];
              const F n19 = held[0 * pitch + i];
              const F n20 = n19 - n6;
              const int n21 = n20 >= (F)(0.0);
              const F n22 = n21 ? (F)1 : (F)0;
              const F n23 = n6 * n22;
              const F n24 = n19 - n23;
              const F n28 = held[1 * pitch + i];
              const F n32 = n13 * n0;
              const F n33 = n13 * n22;
              const F n34 = n9 + n32;
              const F n35 = -n10;
              const F n36 = n35 * n22;
              const F n37 = n35 * n28;
              const F n38 = n34 + n37;
              const F n39 = (F)(1.0) - n28;
              const F n40 = n36 * n39;
              const F n41 = n40 * n28;
              const F n42 = n11 + n41;
              const F n43 = n42 * n7;
              const F n45 = n43 * n22;
              const F n46 = n43 * n24;
              const F n47 = n38 + n46;
              const F n48 = n10 + n45;
              const F n49 = -n48;
              const F n50 = n49 * n6;
              const F n52 = n47 + n50;
              const F n53 = ABS(n20);
              const int n54 = n53 <= (F)(0.5);
              const F n55 = n54 ? (F)1 : (F)0;
              const F n56 = n52 * n55;
              const F n58 = n48 + n56;
              const F n60 = -n58;
              const int n61 = flag[0 * pitch + i];
              const F n62 = n61 ? n60 : (F)(0.0);
              const F n63 = n12 + n62;
              const F n64 = n63 * n8;
              const F n66 = n33 + n58;
              const F n67 = n58 * n5;
              gt[i] = STORE(n66);
              g_0[i] = n67;
              g_1[i] = n43;
              g_2[i] = n64;
              g_3[i] = n64;
            }
            if (stream) stream_out(grad_x + t * total + m, out, (size_t)n * sizeof(S));
          }
        }
        if (grad_0) memcpy(grad_0 + m, g_0, (size_t)n * sizeof(F));
        if (grad_1) memcpy(grad_1 + m, g_1, (size_t)n * sizeof(F));
        if (grad_2) memcpy(grad_2 + m, g_2, (size_t)n * sizeof(F));
        if (grad_3) memcpy(grad_3 + m, g_3, (size_t)n * sizeof(F));
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
}
