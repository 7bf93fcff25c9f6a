"""The C kernel's loop for neurons without coupling: each walks the sorted input by itself.

Between two inputs all neurons flow at once; those that fire are then walked one by one from the beginning of the
interval, spike by spike. In the log an interval is its spikes, neuron by neuron, then the input that ends it; `source`
of a spike is its place among the reported events, which are in order of time.
"""

WALK = """
typedef struct { double time; int64_t at; int32_t id; } ticket;

static int earlier(const void *left, const void *right) {
    const ticket *x = left, *y = right;
    if (x->time != y->time) return x->time < y->time ? -1 : 1;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

/* Give the spikes since `base` their places in time. */
static int place(sample *r, int64_t base) {
    const int64_t m = r->n - base;
    if (m == 1) r->log[base].source = base;
    if (m <= 1) return 1;
    ticket *t = malloc(sizeof(ticket) * (size_t)m);
    if (!t) return 0;
    for (int64_t i = 0; i < m; i++) t[i] = (ticket){r->log[base + i].time, base + i, r->log[base + i].id};
    qsort(t, (size_t)m, sizeof(ticket), earlier);
    for (int64_t i = 0; i < m; i++) r->log[t[i].at].source = base + i;
    free(t);
    return 1;
}

static void take(const real *st, int64_t NP, int n, real *lane) {
    for (int i = 0; i < ROWS; i++) lane[i] = st[i * NP + n];
}

static void give(const real *lane, real *st, int64_t NP, int n) {
    for (int i = 0; i < ROWS; i++) st[i * NP + n] = lane[i];
}

/* One neuron from `now` to `horizon`, spike by spike. */
static int walk(const problem *p, sample *r, const real *st, real *out, int n, double now, double horizon) {
    real lane[ROWS], next[ROWS];
    const int64_t base = r->n;
    take(st, p->NP, n, lane);
    for (;;) {
        const double left = wait(p->par, lane, 1, 0);
        if (!(now + left < horizon)) break;
        if (r->n >= p->max_events) return TOO_MANY;
        flow(p->par, lane, next, 1, 0, 1, left);
        steep(p, r, next, 1, 0);
        reset(p->par, next, 1, 0);
        memcpy(lane, next, sizeof lane);
        now += left;
        if (!record(r, (event){now, left, -1, n, SPIKE})) return NO_MEMORY;
    }
    if (r->n == base) return FINE;
    flow(p->par, lane, next, 1, 0, 1, horizon - now);
    give(next, out, p->NP, n);
    return FINE;
}

static int mark_apart(const problem *p, sample *r, int64_t at, const real *st) {
    if (!grow((void **)&r->starts, &r->start_room, at + 1, sizeof(int64_t)) || !mark(p, r, at, st)) return 0;
    r->starts[at] = r->n;
    return 1;
}

static int forward_apart(const problem *p, int64_t b, sample *r, real *st, real *out, int *who, int store) {
    const double *times = p->times + b * p->K;
    const int NP = (int)p->NP, N = (int)p->N;
    double now = 0;
    lift(p->par, p->x0 + b * PUBLIC * N, st, N, NP);
    for (int64_t k = 0;; k++) {
        if (store && k % BLOCK == 0 && !mark_apart(p, r, k / BLOCK, st)) return NO_MEMORY;
        const int last = k >= p->K || times[k] >= p->T;
        const double horizon = last ? p->T : times[k];
        const int64_t base = r->n;
        if (horizon > now) {
            flow(p->par, st, out, NP, 0, N, horizon - now);
            const int found = may_fire(p->par, st, out, NP, 0, N, horizon - now, who);
            for (int i = 0; i < found; i++) {
                const int status = walk(p, r, st, out, who[i], now, horizon);
                if (status) return status;
            }
            if (!place(r, base)) return NO_MEMORY;
            real *swap = st;
            st = out, out = swap;
        }
        if (last) break;
        if (r->n >= p->max_events) return TOO_MANY;
        const event e = {horizon, horizon - now, k, (int32_t)p->ids[b * p->K + k], INPUT};
        if (!record(r, e)) return NO_MEMORY;
        apply(p, &e, st);
        now = horizon;
    }
    memcpy(r->last, st, sizeof(real) * (size_t)(ROWS * p->NP));
    return is_finite(p, st) ? FINE : OVERFLOW_;
}

/* One neuron's flows between the spikes log[from, to) and to the horizon, kept in s->lane; the last state to `end`. */
static int retrace(const problem *p, const sample *r, int64_t from, int64_t to, double horizon, const real *begun,
                   real *end, scratch *s) {
    const int64_t m = to - from + 1, n = r->log[from].id;
    if (!grow((void **)&s->lane, &s->lane_room, m * (ROWS + KEEP), sizeof(real))) return 0;
    if (!grow((void **)&s->lane_scaled, &s->scaled_room, m, sizeof(int))) return 0;
    real lane[ROWS], *keep = s->lane + m * ROWS;
    take(begun, p->NP, (int)n, lane);
    for (int64_t i = 0; i < m; i++) {
        real *state = s->lane + i * ROWS;
        const double dt = i < m - 1 ? r->log[from + i].dt : horizon - r->log[to - 1].time;
        s->lane_scaled[i] = flow_keep(p->par, lane, state, 1, 0, 1, dt, keep + i * KEEP);
        memcpy(lane, state, sizeof lane);
        if (i < m - 1) reset(p->par, lane, 1, 0);
    }
    if (end) give(lane, end, p->NP, (int)n);
    return 1;
}

/* The gradient of one neuron through an interval in which it fires. */
static void lane_back(const problem *p, const sample *r, int64_t from, int64_t to, double horizon,
                      const real *g_times, real *g, scratch *s) {
    const int64_t m = to - from + 1;
    const real *keep = s->lane + m * ROWS;
    for (int64_t i = m - 1; i >= 0; i--) {
        const event *e = r->log + from + i;
        const double dt = i < m - 1 ? e->dt : horizon - r->log[to - 1].time;
        if (i < m - 1) spike_adjoint(p->par, s->lane + i * ROWS, 1, 0, g_times[e->source], g);
        flow_adjoint(p->par, keep + i * KEEP, s->lane_scaled[i], dt, g, 1, 0, 1);
    }
}

static int64_t group_end(const sample *r, int64_t from, int64_t end) {
    int64_t to = from;
    while (to < end && r->log[to].id == r->log[from].id) to++;
    return to;
}

/* An interval's flow, from `now` to `horizon`, with spikes log[from, to): forward into states, keep and scaled. */
static int interval(const problem *p, const sample *r, int64_t i, int64_t from, int64_t to, double now, double horizon,
                    scratch *s) {
    const int64_t size = ROWS * p->NP;
    real *begun = s->begun + i * size, *state = s->states + i * size;
    s->scaled[i] = pass_keep(p, begun, state, horizon - now, s->keep + i * KEEP * p->NP);
    for (int64_t first = from, next; first < to; first = next) {
        next = group_end(r, first, to);
        if (!retrace(p, r, first, next, horizon, begun, state, s)) return 0;
    }
    return 1;
}

static int interval_back(const problem *p, const sample *r, int64_t i, int64_t from, int64_t to, double now,
                         double horizon, const real *g_times, scratch *s) {
    const int NP = (int)p->NP;
    real *gs = s->states + i * ROWS * NP, lane[ADJOINT]; /* the state is read no more: gradients of lanes go there */
    const real *begun = s->begun + i * ROWS * NP;
    for (int64_t first = from, next; first < to; first = next) {
        const int n = r->log[first].id;
        next = group_end(r, first, to);
        if (!retrace(p, r, first, next, horizon, begun, 0, s)) return 0;
        for (int a = 0; a < ADJOINT; a++) lane[a] = s->g[a * NP + n];
        lane_back(p, r, first, next, horizon, g_times, lane, s);
        for (int a = 0; a < ADJOINT; a++) gs[a * NP + n] = lane[a];
    }
    pass_back(p, s->keep + i * KEEP * NP, s->scaled[i], horizon - now, s->g);
    for (int64_t k = from; k < to; k++) {
        const int n = r->log[k].id;
        for (int a = 0; a < ADJOINT; a++) s->g[a * NP + n] = gs[a * NP + n];
    }
    return 1;
}

static int backward_apart(const problem *p, int64_t b, const sample *r, const real *g_times, const real *g_state,
                          scratch *s, real *work, double *g_inputs, real *g_x0) {
    const int NP = (int)p->NP, N = (int)p->N;
    const int64_t size = ROWS * p->NP;
    int64_t inputs = 0, first[BLOCK + 1];
    while (inputs < p->K && p->times[b * p->K + inputs] < p->T) inputs++;
    memset(s->g, 0, sizeof(real) * ADJOINT * (size_t)NP);
    lower_adjoint(p->par, r->last, g_state, s->g, N, NP);
    for (int64_t block = inputs / BLOCK; block >= 0; block--) {
        const int64_t low = block * BLOCK, count = (inputs < low + BLOCK ? inputs + 1 : low + BLOCK) - low;
        const double *times = p->times + b * p->K + low;
        memcpy(s->begun, r->marks + block * size, sizeof(real) * (size_t)size);
        for (int64_t i = 0, at = r->starts[block]; i < count; i++) {
            first[i] = at;
            while (at < r->n && r->log[at].kind == SPIKE) at++;
            const double now = low + i ? times[i - 1] : 0, horizon = low + i < inputs ? times[i] : p->T;
            if (!interval(p, r, i, first[i], at, now, horizon, s)) return 0;
            if (i + 1 < count) {
                memcpy(s->begun + (i + 1) * size, s->states + i * size, sizeof(real) * (size_t)size);
                apply(p, r->log + at, s->begun + (i + 1) * size);
            }
            first[i + 1] = ++at;
        }
        for (int64_t i = count - 1; i >= 0; i--) {
            const double now = low + i ? times[i - 1] : 0, horizon = low + i < inputs ? times[i] : p->T;
            const int64_t to = first[i + 1] - 1;
            if (low + i < inputs) {
                s->pulls[to] = g_times[to];
                event_back(p, r->log + to, to, s->states + i * size, s, g_inputs);
            }
            if (!interval_back(p, r, i, first[i], to, now, horizon, g_times, s)) return 0;
        }
    }
    lift(p->par, p->x0 + b * PUBLIC * N, work, N, NP);
    lift_adjoint(p->par, work, s->g, g_x0, N, NP);
    return 1;
}
"""
