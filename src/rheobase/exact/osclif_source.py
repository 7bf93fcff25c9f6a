"""The oscillating LIF neuron's pieces of the C kernel; the state is y = exp(-φ/τ) = 1 - V/i0."""

SOURCE = """
enum { ROWS = 1, PUBLIC = 1, ADJOINT = 1, KEEP = 0 };

static void lift(const double *par, const real *x, real *st, int N, int NP) {
    (void)NP;
    for (int n = 0; n < N; n++) st[n] = (real)exp(-x[n] / par[0]);
}

static void lower(const double *par, const real *st, real *x, int N, int NP) {
    (void)NP;
    for (int n = 0; n < N; n++) x[n] = (real)(-par[0] * log(st[n]));
}

static void lower_adjoint(const double *par, const real *st, const real *gx, real *g, int N, int NP) {
    (void)NP;
    for (int n = 0; n < N; n++) g[n] = (real)(-gx[n] * par[0] / st[n]);
}

static void lift_adjoint(const double *par, const real *st, const real *g, real *gx, int N, int NP) {
    (void)NP;
    for (int n = 0; n < N; n++) gx[n] = (real)(-g[n] * st[n] / par[0]);
}

static void flow(const double *par, const real *restrict st, real *restrict out, int NP, int lo, int hi, double dt) {
    const real x = (real)exp(-dt / par[0]), floor = (real)par[2];
    (void)NP;
    #pragma omp simd
    for (int n = lo; n < hi; n++) out[n] = x * st[n] > floor ? x * st[n] : floor;
}

static int flow_keep(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt, real *keep) {
    (void)keep;
    flow(par, st, out, NP, lo, hi, dt);
    return 0;
}

static void flow_adjoint(const double *par, const real *keep, int scaled, double dt, real *g, int NP, int lo, int hi) {
    const real x = (real)exp(-dt / par[0]);
    (void)keep, (void)scaled, (void)NP;
    #pragma omp simd
    for (int n = lo; n < hi; n++) g[n] *= x;
}

static double wait(const double *par, const real *st, int NP, int n) {
    (void)NP;
    return st[n] > (real)par[2] ? par[0] * log(st[n] / par[2]) : 0;
}

static int may_fire(const double *par, const real *st, const real *out, int NP, int lo, int hi, double dt, int *who) {
    const real floor = (real)par[2];
    real low = 1;
    int found = 0;
    (void)st, (void)NP, (void)dt;
    #pragma omp simd reduction(min : low)
    for (int n = lo; n < hi; n++) low = out[n] < low ? out[n] : low;
    if (low > floor) return 0;
    for (int start = lo; start < hi; start += CHUNK) {
        const int m = hi - start < CHUNK ? hi - start : CHUNK;
        uint8_t hit[CHUNK] = {0};
        #pragma omp simd
        for (int i = 0; i < m; i++) hit[i] = out[start + i] <= floor;
        found = gather(hit, start, who, found);
    }
    return found;
}

static double slope(const double *par, const real *st, int NP, int n) {
    (void)par, (void)st, (void)NP, (void)n;
    return INFINITY;
}

static void reset(const double *par, real *st, int NP, int n) {
    (void)par, (void)NP;
    st[n] = 1;
}

static void kick(const double *par, real *restrict st, const real *restrict w, int NP, int N) {
    const real factor = (real)(1 / par[1]), floor = (real)par[2];
    (void)NP;
    #pragma omp simd
    for (int n = 0; n < N; n++) {
        const real y = st[n] - factor * w[n];
        st[n] = y > floor ? y : floor;
    }
}

/* Where a kick clips, the neuron fires with it: its gradient moves to the time of the kick. */
static double kick_adjoint(const double *par, const real *restrict st, const real *restrict w, real *restrict g,
                           real *restrict gw, int NP, int N) {
    const real factor = (real)(1 / par[1]), floor = (real)par[2];
    real pull = 0;
    (void)NP;
    #pragma omp simd reduction(+ : pull)
    for (int n = 0; n < N; n++) {
        const real y = st[n] - factor * w[n], old = g[n];
        const int clipped = y <= floor;
        pull += old * (clipped ? floor : -factor * w[n]);
        gw[n] -= clipped ? 0 : factor * old;
        g[n] = clipped ? 0 : old;
    }
    return pull / par[0];
}

static double spike_adjoint(const double *par, const real *st, int NP, int n, double pull, real *g) {
    (void)st, (void)NP;
    pull += g[n] / par[0];
    g[n] = (real)(pull * par[0] / par[2]);
    return pull;
}
"""
