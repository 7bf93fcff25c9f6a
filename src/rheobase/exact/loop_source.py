"""The event loop of the C kernel, shared by all neurons: forward with a log, one sweep back.

Samples run on threads, neurons in SIMD lanes. The state is stored every BLOCK events; the sweep back runs each block
forward once more into scratch. `PRELUDE + neuron.source + LOOP + WALK + ENTRY` is one C file: WALK is the loop for
neurons without coupling, ENTRY what Python calls.
"""

PRELUDE = """
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif
#if defined(SINGLE)
typedef float real;
#define FABS fabsf
#define SQRT sqrtf
#define TINY 1e-18f
#define HUGE_ 1e8f
#define SLACK 1e-5f
#define BOUND_SHORT 1
#define FUSED fmaf
#else
typedef double real;
#define FABS fabs
#define SQRT sqrt
#define TINY 1e-150
#define HUGE_ 1e60
#define SLACK 1e-12
#define BOUND_SHORT .015
#define FUSED fma
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FMA(a, b, c) FUSED(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#define ALWAYS inline __attribute__((always_inline))
#define PI 3.14159265358979323846
enum { CHUNK = 64 };

/* Append to `who` the neurons start + i with hit[i]; eight are passed over at once. */
static int gather(const uint8_t *hit, int start, int *who, int found) {
    for (int i = 0; i < CHUNK; i += 8) {
        uint64_t any;
        memcpy(&any, hit + i, 8);
        if (any) for (int k = i; k < i + 8; k++) if (hit[k]) who[found++] = start + k;
    }
    return found;
}
"""

LOOP = """
enum { INPUT = 0, SPIKE = 1, ARRIVAL = 2, BLOCK = 32 };
enum { STILL = -1 };
enum { FINE = 0, TOO_MANY = 1, NO_MEMORY = 2, OVERFLOW_ = 3 };

typedef struct { double time, dt; int64_t source; int32_t id, kind; } event;
typedef struct { double time; int64_t source; } parcel;

typedef struct {
    event *log;          /* in the order in which they happened */
    parcel *waiting;     /* spikes under way, latest first */
    real *marks;         /* the state before every BLOCK-th event */
    real *last;          /* the state at T */
    int64_t *starts;     /* apart: the log's length at every mark */
    int64_t n, room, reported, n_waiting, waiting_room, mark_room, start_room;
    double slope;        /* the smallest at a spike */
    int status;
} sample;

typedef struct {
    int64_t B, K, N, NP, inputs, max_events;
    double T;
    const double *par;
    const real *w_in, *w_net;      /* [pre, NP]; w_net may be 0 */
    const double *times, *delays;  /* [B, K]; [N] or 0 */
    const int64_t *ids;            /* [B, K] */
    const real *x0;                /* [B, PUBLIC, N] */
    int threads;
} problem;

static unsigned flush_on(void) {
#if defined(__SSE__)
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040);
    return old;
#else
    return 0;
#endif
}

static void flush_back(unsigned old) {
#if defined(__SSE__)
    _mm_setcsr(old);
#else
    (void)old;
#endif
}

static real *lanes(int64_t count) {
    void *p = 0;
    if (posix_memalign(&p, 64, sizeof(real) * (size_t)(count > 0 ? count : 1))) return 0;
    memset(p, 0, sizeof(real) * (size_t)count);
    return p;
}

static int grow(void **data, int64_t *room, int64_t wanted, size_t size) {
    if (wanted <= *room) return 1;
    int64_t more = *room ? *room * 2 : 64;
    if (more < wanted) more = wanted;
    void *p = realloc(*data, size * (size_t)more);
    if (!p) return 0;
    *data = p, *room = more;
    return 1;
}

static int record(sample *r, event e) {
    if (!grow((void **)&r->log, &r->room, r->n + 1, sizeof(event))) return 0;
    r->log[r->n++] = e;
    r->reported += e.kind != ARRIVAL;
    return 1;
}

static void steep(const problem *p, sample *r, const real *st, int NP, int n) {
    const double here = slope(p->par, st, NP, n);
    if (here < r->slope) r->slope = here;
}

static int post(sample *r, double time, int64_t source) {
    if (!grow((void **)&r->waiting, &r->waiting_room, r->n_waiting + 1, sizeof(parcel))) return 0;
    int64_t at = r->n_waiting++;
    for (; at > 0 && r->waiting[at - 1].time <= time; at--) r->waiting[at] = r->waiting[at - 1];
    r->waiting[at] = (parcel){time, source};
    return 1;
}

static int mark(const problem *p, sample *r, int64_t at, const real *st) {
    const int64_t size = ROWS * p->NP;
    if (!grow((void **)&r->marks, &r->mark_room, (at + 1) * size, sizeof(real))) return 0;
    memcpy(r->marks + at * size, st, sizeof(real) * (size_t)size);
    return 1;
}

/* The weights an event delivers, 0 if none. */
static const real *delivers(const problem *p, const event *e) {
    if (e->kind == INPUT) return p->w_in + e->id * p->NP;
    if (!p->w_net || (e->kind == SPIKE && p->delays)) return 0;
    return p->w_net + e->id * p->NP;
}

static void apply(const problem *p, const event *e, real *st) {
    const real *w = delivers(p, e);
    if (w) kick(p->par, st, w, (int)p->NP, (int)p->N);
    if (e->kind == SPIKE) reset(p->par, st, (int)p->NP, e->id);
}

/* Flow to the first spike before `horizon`, or to the horizon; returns who fires, -1 for nobody. */
static int advance(const problem *p, const real *st, real *out, double now, double horizon, double *dt, int *who) {
    const int NP = (int)p->NP, N = (int)p->N;
    int first = -1;
    *dt = horizon - now;
    if (*dt <= 0) {
        memcpy(out, st, sizeof(real) * (size_t)(ROWS * NP));
        return first;
    }
    flow(p->par, st, out, NP, 0, N, *dt);
    const int found = may_fire(p->par, st, out, NP, 0, N, *dt, who);
    for (int i = 0; i < found; i++) {
        const double left = wait(p->par, st, NP, who[i]);
        if (left < *dt && now + left < horizon) *dt = left, first = who[i];
    }
    if (first >= 0) flow(p->par, st, out, NP, 0, N, *dt);
    return first;
}

static int is_finite(const problem *p, const real *st) {
    real sum = 0;
    for (int64_t r = 0; r < ROWS; r++) for (int64_t n = 0; n < p->N; n++) sum += st[r * p->NP + n] * 0;
    return sum == 0;
}

static int forward_one(const problem *p, int64_t b, sample *r, real *st, real *out, int *who, int store) {
    const double *times = p->times + b * p->K;
    const int64_t *ids = p->ids + b * p->K;
    double now = 0;
    int64_t next = 0;
    lift(p->par, p->x0 + b * PUBLIC * p->N, st, (int)p->N, (int)p->NP);
    for (;;) {
        if (store && r->n % BLOCK == 0 && !mark(p, r, r->n / BLOCK, st)) return NO_MEMORY;
        const double outside = next < p->K ? times[next] : INFINITY;
        const double inside = r->n_waiting ? r->waiting[r->n_waiting - 1].time : INFINITY;
        const double coming = outside <= inside ? outside : inside, horizon = coming < p->T ? coming : p->T;
        double dt;
        const int first = advance(p, st, out, now, horizon, &dt, who);
        real *swap = st;
        st = out, out = swap;
        now = first >= 0 ? now + dt : horizon;
        if (first < 0 && coming >= p->T) break;
        const int arrives = first < 0 && inside < outside; /* no event of its own */
        if (!arrives && r->reported >= p->max_events) return TOO_MANY;
        event e = {now, dt, -1, first, SPIKE};
        if (first < 0 && !arrives) e.kind = INPUT, e.id = (int32_t)ids[next], e.source = next++;
        else if (arrives) {
            e.kind = ARRIVAL, e.source = r->waiting[--r->n_waiting].source;
            e.id = r->log[e.source].id;
        } else if (p->delays && !post(r, now + p->delays[first], r->n)) return NO_MEMORY;
        if (first >= 0) steep(p, r, st, (int)p->NP, first);
        apply(p, &e, st);
        if (!record(r, e)) return NO_MEMORY;
    }
    memcpy(r->last, st, sizeof(real) * (size_t)(ROWS * p->NP));
    return is_finite(p, st) ? FINE : OVERFLOW_;
}

typedef struct {
    real *states;   /* [BLOCK + 1, ROWS, NP]: before each event of the block */
    real *keep;     /* [BLOCK + 1, KEEP, NP] */
    int scaled[BLOCK + 1];
    real *g;        /* [ADJOINT, NP] */
    real *gw_in, *gw_net;
    double *g_delays, *pulls;
    real *begun;    /* [BLOCK + 1, ROWS, NP], apart: at the beginning of each interval */
    real *lane;     /* apart: states, then what is kept, of one neuron's flows within an interval */
    int *lane_scaled;
    int64_t lane_room, scaled_room;
} scratch;

/* Simultaneous events are common: where no time passes nothing flows. */
static int pass_keep(const problem *p, const real *st, real *out, double dt, real *keep) {
    if (dt > 0) return flow_keep(p->par, st, out, (int)p->NP, 0, (int)p->N, dt, keep);
    memcpy(out, st, sizeof(real) * (size_t)(ROWS * p->NP));
    return STILL;
}

static void pass_back(const problem *p, const real *keep, int scaled, double dt, real *g) {
    if (scaled != STILL) flow_adjoint(p->par, keep, scaled, dt, g, (int)p->NP, 0, (int)p->N);
}

/* Run the events [from, to) again from the mark before them; with `end` also the flow to T. */
static void replay(const problem *p, const sample *r, int64_t from, int64_t to, int end, scratch *s, real *work) {
    const int64_t NP = p->NP, size = ROWS * NP;
    memcpy(work, r->marks + from / BLOCK * size, sizeof(real) * (size_t)size);
    for (int64_t k = from; k < to + end; k++) {
        const int64_t i = k - from;
        real *state = s->states + i * size;
        const double dt = k < to ? r->log[k].dt : p->T - (k ? r->log[k - 1].time : 0);
        s->scaled[i] = pass_keep(p, work, state, dt, s->keep + i * KEEP * NP);
        memcpy(work, state, sizeof(real) * (size_t)size);
        if (k < to) apply(p, r->log + k, work);
    }
}

static void event_back(const problem *p, const event *e, int64_t k, const real *state, scratch *s, double *g_inputs) {
    const int NP = (int)p->NP, N = (int)p->N;
    const real *w = delivers(p, e);
    double pull = s->pulls[k];
    if (w && e->kind == INPUT) pull += kick_adjoint(p->par, state, w, s->g, s->gw_in + (int64_t)e->id * NP, NP, N);
    else if (w) { /* the sender does not receive: its gradient steps aside */
        real own[ADJOINT];
        for (int i = 0; i < ADJOINT; i++) own[i] = s->g[i * NP + e->id], s->g[i * NP + e->id] = 0;
        pull += kick_adjoint(p->par, state, w, s->g, s->gw_net + (int64_t)e->id * NP, NP, N);
        for (int i = 0; i < ADJOINT; i++) s->g[i * NP + e->id] = own[i];
    }
    if (e->kind == SPIKE) pull = spike_adjoint(p->par, state, NP, e->id, pull, s->g);
    if (e->kind == INPUT) g_inputs[e->source] += pull;
    if (e->kind == ARRIVAL) s->pulls[e->source] += pull, s->g_delays[e->id] += pull;
}

static int backward_one(const problem *p, int64_t b, const sample *r, const real *g_times, const real *g_state,
                         scratch *s, real *work, double *g_inputs, real *g_x0) {
    const int NP = (int)p->NP, N = (int)p->N;
    int64_t at = 0;
    for (int64_t k = 0; k < r->n; k++) s->pulls[k] = r->log[k].kind == ARRIVAL ? 0 : g_times[at++];
    memset(s->g, 0, sizeof(real) * ADJOINT * (size_t)NP);
    lower_adjoint(p->par, r->last, g_state, s->g, N, NP);
    for (int64_t from = r->n / BLOCK * BLOCK; from >= 0; from -= BLOCK) {
        const int end = from == r->n / BLOCK * BLOCK;
        const int64_t to = end ? r->n : from + BLOCK;
        replay(p, r, from, to, end, s, work);
        for (int64_t k = to + end - 1; k >= from; k--) {
            const int64_t i = k - from;
            const double dt = k < to ? r->log[k].dt : p->T - (k ? r->log[k - 1].time : 0);
            if (k < to) event_back(p, r->log + k, k, s->states + i * ROWS * NP, s, g_inputs);
            pass_back(p, s->keep + i * KEEP * NP, s->scaled[i], dt, s->g);
        }
    }
    lift(p->par, p->x0 + b * PUBLIC * N, work, N, NP);
    lift_adjoint(p->par, work, s->g, g_x0, N, NP);
    return 1;
}
"""
