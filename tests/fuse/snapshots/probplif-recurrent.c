/* ProbPLIF, recurrent forward, float32 */
void forward(const int64_t *a) {
  const int64_t steps = a[0];
  const int64_t batch = a[1];
  const int64_t n = a[2];
  const int64_t pad = a[3];
  const int64_t block = a[4];
  const int64_t groups = a[5];
  const int64_t threads = a[6];
  const int64_t clock = a[7];
  const int64_t key = a[8];
  const int64_t chunk = a[9];
  const int64_t limit = a[10];
  const int64_t weight_limit = a[11];
  const int64_t reach_limit = a[12];
  const int64_t history = a[13];
  const int64_t kinds = a[14];
  const int64_t words = (n + 63) / 64, blocks = (batch + block - 1) / block;
  const int stream = steps * batch * n * (int64_t)sizeof(S) >= 25165824;
  const F *uniform = (const F *)a[15];
  const F *outgoing = (const F *)a[16];
  const F *before = (const F *)a[17];
  F *marks = (F *)a[19];
  F *kept = (F *)a[20];
  const int64_t *late = (const int64_t *)a[21];
  const int64_t *delay = (const int64_t *)a[23];
  const uint64_t *masks = (const uint64_t *)a[22];
  uint64_t *bits = (uint64_t *)a[18];
  const F c_0 = (F)(*(const double *)a[26]);
  const F c_1 = (F)(*(const double *)a[29]);
  const F c_2 = (F)(*(const double *)a[32]);
  const F c_3 = (F)(*(const double *)a[35]);
  const F c_4 = (F)(*(const double *)a[38]);
  const S *x = (const S *)a[24];
  S *s = (S *)a[25];
  const F *first_0 = (const F *)a[41];
  F *last_0 = (F *)a[42];
  const F *first_1 = (const F *)a[43];
  F *last_1 = (F *)a[44];
  huge(s, steps * batch * n * (int64_t)sizeof(S));
  huge(kept, steps * batch * n * (int64_t)sizeof(F));
  #pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const uint64_t mode = flush_on();
    F *ones = numbers(block * pad > 64 * RUN ? block * pad : 64 * RUN);
    F *drawn = numbers(4 * block * pad);
    F *cur = numbers(block * pad), *state = numbers(2 * block * pad);
    uint64_t *sent = (uint64_t *)malloc((size_t)(block * words) * 8);
    uint8_t *fired = (uint8_t *)calloc((size_t)(64 * words), 1);
    uint16_t *list = (uint16_t *)malloc((size_t)(64 * words) * 2);
    S *out = (S *)numbers(pad);
    #pragma omp for schedule(dynamic, 1)
    for (int64_t part = 0; part < blocks; part++) {
      const int64_t b0 = part * block, rows = batch - b0 < block ? batch - b0 : block;
      int64_t group = -1;
      for (int64_t b = 0; b < rows; b++) {
        F *to = state + (0 * block + b) * pad;
        if (first_0) memcpy(to, first_0 + (b0 + b) * n, (size_t)n * sizeof(F));
        else memset(to, 0, (size_t)n * sizeof(F));
      }
      for (int64_t b = 0; b < rows; b++) {
        F *to = state + (1 * block + b) * pad;
        if (first_1) memcpy(to, first_1 + (b0 + b) * n, (size_t)n * sizeof(F));
        else memset(to, 0, (size_t)n * sizeof(F));
      }
      for (int64_t t = 0; t < steps; t++) {
        if (marks && t % chunk == 0) for (int64_t k = 0; k < 2; k++) for (int64_t b = 0; b < rows; b++)
          memcpy(marks + (((t / chunk) * 2 + k) * batch + b0 + b) * n, state + (k * block + b) * pad, (size_t)n * sizeof(F));
        arrivals(sent, bits, masks, late, kinds, t, batch, b0, rows, words);
        const int64_t next = t + 1 < steps ? rows * n * (int64_t)sizeof(S) : 0;
        ahead soon[] = {{(const char *)(x + ((t + 1) * batch + b0) * n), next}, {0, 0}};
        const int64_t most = t || before ? limit : 0; /* nothing was sent before all steps: no 0 times NaN either */
        currents(cur, x + (t * batch + b0) * n, outgoing, sent, rows, n, pad, most, ones, list, soon);
        if (before && t < history) {
          arrivals_before(ones, before, delay, history, t, batch, b0, rows, n, pad);
          product(cur, ones, pad, outgoing, rows, n, pad, 0);
        }
        if (kept) for (int64_t b = 0; b < rows; b++)
          store(kept + (t * batch + b0 + b) * n, cur + b * pad, (size_t)n * sizeof(F), stream);
        if ((clock + t) / 4 != group) {
          group = (clock + t) / 4;
          for (int64_t b = 0; b < rows; b++)
            philox(drawn + b * pad, block * pad, (b0 + b) * n, n, group, (uint64_t)key, 1, 1);
        }
        for (int64_t b = 0; b < rows; b++) {
          const F *RESTRICT rt = drawn + (((clock + t) % 4) * block + b) * pad;
          const F *RESTRICT ct = cur + b * pad;
          S *RESTRICT st = stream ? out : s + (t * batch + b0 + b) * n;
          F *RESTRICT v_0 = state + (0 * block + b) * pad;
          F *RESTRICT v_1 = state + (1 * block + b) * pad;
          #pragma omp simd
          for (int64_t i = 0; i < n; i++) {
            const F n0 = ct[i];
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
            st[i] = STORE(n19); fired[i] = (uint8_t)(n19 != 0);
            v_0[i] = n13;
            v_1[i] = n19;
          }
          if (stream) stream_out(s + (t * batch + b0 + b) * n, out, (size_t)n * sizeof(S));
          pack(bits + (t * batch + b0 + b) * words, fired, words);
        }
      }
      if (last_0) for (int64_t b = 0; b < rows; b++) memcpy(last_0 + (b0 + b) * n, state + (0 * block + b) * pad, (size_t)n * sizeof(F));
      if (last_1) for (int64_t b = 0; b < rows; b++) memcpy(last_1 + (b0 + b) * n, state + (1 * block + b) * pad, (size_t)n * sizeof(F));
    }
    free(ones);
    free(drawn);
    free(cur);
    free(state);
    free(sent);
    free(fired);
    free(list);
    free(out);
    flush_back(mode);
  }
}

/* ProbPLIF, recurrent backward, float32 */
void backward(const int64_t *a) {
  const int64_t steps = a[0];
  const int64_t batch = a[1];
  const int64_t n = a[2];
  const int64_t pad = a[3];
  const int64_t block = a[4];
  const int64_t groups = a[5];
  const int64_t threads = a[6];
  const int64_t clock = a[7];
  const int64_t key = a[8];
  const int64_t chunk = a[9];
  const int64_t limit = a[10];
  const int64_t weight_limit = a[11];
  const int64_t reach_limit = a[12];
  const int64_t history = a[13];
  const int64_t kinds = a[14];
  const int64_t words = (n + 63) / 64, blocks = (batch + block - 1) / block;
  const int stream = steps * batch * n * (int64_t)sizeof(S) >= 25165824;
  const F *uniform = (const F *)a[15];
  const F *outgoing = (const F *)a[16];
  const F *before = (const F *)a[17];
  F *marks = (F *)a[19];
  F *kept = (F *)a[20];
  const int64_t *late = (const int64_t *)a[21];
  const int64_t *delay = (const int64_t *)a[23];
  const uint64_t *masks = (const uint64_t *)a[22];
  uint64_t *bits = (uint64_t *)a[18];
  const F c_0 = (F)(*(const double *)a[29]);
  const F c_1 = (F)(*(const double *)a[32]);
  const F c_2 = (F)(*(const double *)a[35]);
  const F c_3 = (F)(*(const double *)a[38]);
  const F c_4 = (F)(*(const double *)a[41]);
  const F *incoming = (const F *)a[24];
  const S *cot = (const S *)a[25];
  S *grad_x = (S *)a[26];
  F *grad_outgoing = (F *)a[27];
  F *grad_before = (F *)a[28];
  const F *cot_0 = (const F *)a[49];
  F *grad_0 = (F *)a[50];
  const F *cot_1 = (const F *)a[51];
  F *grad_1 = (F *)a[52];
  double *sum_0 = (double *)a[44];
  double *sum_1 = (double *)a[45];
  huge(grad_x, steps * batch * n * (int64_t)sizeof(S));
  #pragma omp parallel num_threads(threads) if (threads > 1)
  {
    const uint64_t mode = flush_on();
    F *ones = numbers(block * pad > 64 * RUN ? block * pad : 64 * RUN);
    F *drawn = numbers(4 * block * pad);
    const int64_t held = steps < chunk ? steps : chunk, slot = block * pad;
    F *delta = numbers(held * slot), *state = numbers(held * 2 * slot), *ring = numbers(history * slot);
    F *back = numbers(slot), *gs = numbers(2 * slot), *q = numbers(2 * pad);
    uint64_t *sent = (uint64_t *)malloc((size_t)(held * block * words) * 8);
    uint64_t *columns = (uint64_t *)malloc((size_t)(held * block + RUN) * 8);
    uint16_t *list = (uint16_t *)malloc((size_t)(held * block + RUN) * 2);
    #pragma omp for schedule(dynamic, 1)
    for (int64_t part = 0; part < groups; part++) {
      for (int64_t g = part * blocks / groups; g < (part + 1) * blocks / groups; g++) {
        const int64_t b0 = g * block, rows = batch - b0 < block ? batch - b0 : block;
        int64_t group = -1;
        for (int64_t b = 0; b < rows; b++) {
          F *to = gs + (0 * block + b) * pad;
          if (cot_0) memcpy(to, cot_0 + (b0 + b) * n, (size_t)n * sizeof(F));
          else memset(to, 0, (size_t)n * sizeof(F));
        }
        for (int64_t b = 0; b < rows; b++) {
          F *to = gs + (1 * block + b) * pad;
          if (cot_1) memcpy(to, cot_1 + (b0 + b) * n, (size_t)n * sizeof(F));
          else memset(to, 0, (size_t)n * sizeof(F));
        }
        for (int64_t c = (steps + chunk - 1) / chunk - 1; c >= 0; c--) {
          const int64_t t0 = c * chunk, t1 = steps < t0 + chunk ? steps : t0 + chunk;
          for (int64_t k = 0; k < 2; k++) for (int64_t b = 0; b < rows; b++)
            memcpy(state + (k * block + b) * pad, marks + ((c * 2 + k) * batch + b0 + b) * n, (size_t)n * sizeof(F));
          for (int64_t t = t0; t < t1; t++) {
            arrivals(sent + (t - t0) * rows * words, bits, masks, late, kinds, t, batch, b0, rows, words);
            for (int64_t b = 0; b < rows; b++) {
              F *RESTRICT ct = delta + ((t - t0) * rows + b) * pad;
              memcpy(ct, kept + (t * batch + b0 + b) * n, (size_t)n * sizeof(F));
              const F *RESTRICT now_0 = (state + (t - t0) * 2 * slot) + (0 * block + b) * pad;
              const F *RESTRICT now_1 = (state + (t - t0) * 2 * slot) + (1 * block + b) * pad;
              if (t + 1 == t1) continue;
              F *RESTRICT then_0 = (state + (t - t0 + 1) * 2 * slot) + (0 * block + b) * pad;
              F *RESTRICT then_1 = (state + (t - t0 + 1) * 2 * slot) + (1 * block + b) * pad;
              expand(ones, bits + (t * batch + b0 + b) * words, n);
              #pragma omp simd
              for (int64_t i = 0; i < n; i++) {
                const F n0 = ct[i];
                const F n1 = now_0[i];
                const F n2 = now_1[i];
                const F n3 = c_0;
                const F n4 = c_1;
                const F n5 = c_2;
                const F n9 = n3 * n1;
                const F n10 = n4 * n0;
                const F n11 = n9 + n10;
                const F n12 = n5 * n2;
                const F n13 = n11 - n12;
                const F n19 = ones[i];
                then_0[i] = n13;
                then_1[i] = n19;
              }
            }
          }
          for (int64_t t = t1 - 1; t >= t0; t--) {
            ahead soon[] = {{(const char *)(cot + (t * batch + b0) * n), rows * n * (int64_t)sizeof(S)},
              {(const char *)(kept + ((t - chunk) * batch + b0) * n), t < chunk ? 0 : rows * n * (int64_t)sizeof(F)},
              {0, 0}};
            F *now = delta + (t - t0) * rows * pad, *after = t + 1 < t1 ? now + rows * pad : ring;
            if (history > 1) sent_later(back, ring, delay, history, t, steps, rows, n, pad, slot);
            else if (t + 1 < steps)
              send_back(back, after, outgoing, incoming, 0, rows, n, pad, reach_limit, soon);
            else memset(back, 0, (size_t)slot * sizeof(F));
            for (int64_t b = 0; b < rows; b++) {
              F *RESTRICT dt = delta + ((t - t0) * rows + b) * pad;
              const F *RESTRICT bt = back + b * pad;
              const S *RESTRICT ct = cot + (t * batch + b0 + b) * n;
              S *RESTRICT gt = grad_x + (t * batch + b0 + b) * n;
              F *RESTRICT q_0 = q + 0 * pad;
              F *RESTRICT q_1 = q + 1 * pad;
              const F *RESTRICT now_0 = (state + (t - t0) * 2 * slot) + (0 * block + b) * pad;
              const F *RESTRICT now_1 = (state + (t - t0) * 2 * slot) + (1 * block + b) * pad;
              F *RESTRICT g_0 = gs + (0 * block + b) * pad;
              F *RESTRICT g_1 = gs + (1 * block + b) * pad;
              #pragma omp simd
              for (int64_t i = 0; i < n; i++) {
                const F n0 = dt[i];
                const F n1 = now_0[i];
                const F n2 = now_1[i];
                const F n3 = c_0;
                const F n4 = c_1;
                const F n5 = c_2;
                const F n6 = c_3;
                const F n7 = c_4;
                const F n9 = LOAD(ct[i]) + bt[i];
                const F n10 = g_0[i];
                const F n11 = g_1[i];
                const F n12 = n3 * n1;
                const F n13 = n4 * n0;
                const F n14 = n12 + n13;
                const F n15 = n5 * n2;
                const F n16 = n14 - n15;
                const F n17 = n16 - n5;
                const F n18 = n17 * n6;
                const F n19 = (n18 < (F)(0.0) || n18 != n18 ? n18 : (F)(0.0));
                const F n20 = rb_exp(n19);
                const int n21 = n17 < (F)(0.0);
                const F n22 = n20 * n6;
                const F n23 = n21 ? n22 : (F)(0.0);
                const F n26 = n17 - (F)(0.0);
                const F n27 = n26 * (F)(2.0);
                const F n28 = n27 * (F)(-0.5);
                const F n29 = n28 * n27;
                const F n30 = rb_exp(n29);
                const F n31 = n30 * (F)(0.7978845608028654);
                const F n32 = n31 * (F)(1.15);
                const F n33 = n26 * (F)(0.3333333333333333);
                const F n34 = n33 * (F)(-0.5);
                const F n35 = n34 * n33;
                const F n36 = rb_exp(n35);
                const F n37 = n36 * (F)(0.1329807601338109);
                const F n38 = n37 * (F)(0.3);
                const F n39 = n32 - n38;
                const F n40 = n39 * (F)(0.5);
                const F n41 = n7 * n23;
                const F n42 = n40 + n41;
                const F n43 = n9 + n11;
                const F n44 = n43 * n42;
                const F n45 = n10 + n44;
                const F n46 = -n45;
                const F n47 = n46 * n5;
                const F n49 = n45 * n4;
                const F n50 = n45 * n0;
                const F n51 = n45 * n3;
                const F n52 = n45 * n1;
                gt[i] = STORE(n49); dt[i] = n49;
                g_0[i] = n51;
                g_1[i] = n47;
                q_0[i] += n52;
                q_1[i] += n50;
              }
            }
            if (history > 1)
              send_back(ring + (t % history) * slot, now, outgoing, incoming, 0, rows, n, pad, 0, 0);
          }
          for (int64_t i = 0; i < n; i++) sum_0[part] += (double)q[0 * pad + i];
          memset(q + 0 * pad, 0, (size_t)n * sizeof(F));
          for (int64_t i = 0; i < n; i++) sum_1[part] += (double)q[1 * pad + i];
          memset(q + 1 * pad, 0, (size_t)n * sizeof(F));
          if (grad_outgoing) {
            F *grad = grad_outgoing + part * n * pad;
            const int64_t no = t0 || before ? 0 : rows, count = (t1 - t0) * rows - no;
            weight_rows(grad, delta + no * pad, sent + no * words, count, n, pad, weight_limit, ones, columns, list);
            for (int64_t t = t0; before && t < t1 && t < history; t++) {
              arrivals_before(ones, before, delay, history, t, batch, b0, rows, n, pad);
              for (int64_t b = 0; b < rows; b++) for (int64_t j = 0; j < n; j++) if (t <= delay[j])
                for (int64_t i = 0; i < n; i++)
                  grad[j * pad + i] += ones[b * pad + j] * delta[((t - t0) * rows + b) * pad + i];
            }
          }
          if (history == 1) memcpy(ring, delta, (size_t)(rows * pad) * sizeof(F));
        }
        if (grad_0) for (int64_t b = 0; b < rows; b++) memcpy(grad_0 + (b0 + b) * n, gs + (0 * block + b) * pad, (size_t)n * sizeof(F));
        if (grad_1) for (int64_t b = 0; b < rows; b++) memcpy(grad_1 + (b0 + b) * n, gs + (1 * block + b) * pad, (size_t)n * sizeof(F));
        for (int64_t h = 0; grad_before && h < history; h++) {
          if (history > 1) sent_later(back, ring, delay, history, h - history, steps, rows, n, pad, slot);
          else send_back(back, ring, outgoing, incoming, 0, rows, n, pad, 0, 0);
          for (int64_t b = 0; b < rows; b++)
            memcpy(grad_before + (h * batch + b0 + b) * n, back + b * pad, (size_t)n * sizeof(F));
        }
      }
    }
    free(ones);
    free(drawn);
    free(delta);
    free(state);
    free(ring);
    free(back);
    free(gs);
    free(q);
    free(sent);
    free(columns);
    free(list);
    flush_back(mode);
  }
}
