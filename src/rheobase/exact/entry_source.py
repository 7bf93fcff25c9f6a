"""What Python calls in the C kernel."""

ENTRY = """
void exact_free(sample *samples, int64_t B) {
    for (int64_t b = 0; b < B; b++) {
        free(samples[b].log), free(samples[b].waiting), free(samples[b].marks), free(samples[b].last);
        free(samples[b].starts);
    }
    free(samples);
}

/* Runs all samples; 0 when there is no memory. reported[B] and status[B] are filled. */
sample *exact_forward(const problem *p, int store, int64_t *reported, int32_t *status) {
    sample *samples = calloc((size_t)(p->B > 0 ? p->B : 1), sizeof(sample));
    if (!samples) return 0;
    #pragma omp parallel num_threads(p->threads)
    {
        const unsigned old = flush_on();
        real *st = lanes(2 * ROWS * p->NP);
        int *who = malloc(sizeof(int) * (size_t)p->N);
        #pragma omp for schedule(dynamic)
        for (int64_t b = 0; b < p->B; b++) {
            sample *r = samples + b;
            r->slope = INFINITY;
            r->last = lanes(ROWS * p->NP);
            if (!st || !who || !r->last) r->status = NO_MEMORY;
            else r->status = (p->w_net ? forward_one : forward_apart)(p, b, r, st, st + ROWS * p->NP, who, store);
            reported[b] = r->reported, status[b] = r->status;
        }
        free(st), free(who);
        flush_back(old);
    }
    return samples;
}

/* Events without arrivals, [B, E] each, and the state at T [B, PUBLIC, N]; the arrays come filled with padding. */
void exact_copy(const problem *p, const sample *samples, int64_t E, double *times, int64_t *ids, uint8_t *is_input,
                int64_t *rank, real *state, double *slopes) {
    int64_t *seen = calloc((size_t)p->N, sizeof(int64_t));
    for (int64_t b = 0; b < p->B; b++) {
        const sample *r = samples + b;
        int64_t next = b * E;
        slopes[b] = r->slope;
        memset(seen, 0, sizeof(int64_t) * (size_t)p->N);
        for (int64_t k = 0; k < r->n; k++) {
            const event *e = r->log + k;
            if (e->kind == ARRIVAL) continue;
            const int64_t at = !p->w_net && e->kind == SPIKE ? b * E + e->source : next;
            next++;
            times[at] = e->time, ids[at] = e->id, is_input[at] = e->kind == INPUT;
            rank[at] = e->kind == SPIKE ? seen[e->id]++ : 0;
        }
        lower(p->par, r->last, state + b * PUBLIC * p->N, (int)p->N, (int)p->NP);
    }
    free(seen);
}

/* Weight gradients [pre, NP] are summed per thread, then in the order of the threads. Returns 0 without memory. */
int exact_backward(const problem *p, const sample *samples, int64_t E, const real *g_times, const real *g_state,
                   real *g_w_in, real *g_w_net, double *g_inputs, real *g_x0, double *g_delays) {
    const int64_t NP = p->NP, row_in = p->inputs * NP, row_net = p->w_net ? p->N * NP : 0;
    int64_t longest = 0;
    int fine = 1;
    for (int64_t b = 0; b < p->B; b++) if (samples[b].n > longest) longest = samples[b].n;
    #pragma omp parallel num_threads(p->threads)
    {
        const unsigned old = flush_on();
        scratch s;
        s.states = lanes((BLOCK + 1) * ROWS * NP), s.keep = lanes((BLOCK + 1) * KEEP * NP), s.g = lanes(ADJOINT * NP);
        s.gw_in = lanes(row_in), s.gw_net = lanes(row_net);
        s.g_delays = calloc((size_t)p->N, sizeof(double)), s.pulls = calloc((size_t)longest + 1, sizeof(double));
        s.begun = p->w_net ? 0 : lanes((BLOCK + 1) * ROWS * NP);
        s.lane = 0, s.lane_scaled = 0, s.lane_room = 0, s.scaled_room = 0;
        real *work = lanes(ROWS * NP);
        int ready = s.states && s.keep && s.g && s.gw_in && s.gw_net && s.g_delays && s.pulls && work;
        ready = ready && (p->w_net || s.begun);
        #pragma omp for schedule(static)
        for (int64_t b = 0; b < p->B; b++) if (ready) {
            ready = (p->w_net ? backward_one : backward_apart)(
                p, b, samples + b, g_times + b * E, g_state + b * PUBLIC * p->N, &s, work, g_inputs + b * p->K,
                g_x0 + b * PUBLIC * p->N);
        }
        #pragma omp for ordered schedule(static, 1)
        for (int t = 0; t < omp_get_num_threads(); t++) {
            #pragma omp ordered
            if (!ready) fine = 0;
            else {
                for (int64_t i = 0; i < row_in; i++) g_w_in[i] += s.gw_in[i];
                for (int64_t i = 0; i < row_net; i++) g_w_net[i] += s.gw_net[i];
                for (int64_t i = 0; i < p->N; i++) g_delays[i] += s.g_delays[i];
            }
        }
        free(s.states), free(s.keep), free(s.g), free(s.gw_in), free(s.gw_net), free(s.g_delays), free(s.pulls);
        free(work), free(s.begun), free(s.lane), free(s.lane_scaled);
        flush_back(old);
    }
    return fine;
}
"""
