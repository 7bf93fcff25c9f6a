"""The LIF neuron's pieces of the C kernel; state and adjoint are rows V, I. Its flow is linear: nothing is kept."""

SOURCE = """
enum { ROWS = 2, PUBLIC = 2, ADJOINT = 2, KEEP = 0 };

static void copy_rows(const real *x, real *y, int N, int from, int to) {
    for (int r = 0; r < 2; r++) for (int n = 0; n < N; n++) y[r * to + n] = x[r * from + n];
}

static void lift(const double *par, const real *x, real *st, int N, int NP) { (void)par; copy_rows(x, st, N, N, NP); }
static void lower(const double *par, const real *st, real *x, int N, int NP) { (void)par; copy_rows(st, x, N, NP, N); }

static void lower_adjoint(const double *par, const real *st, const real *gx, real *g, int N, int NP) {
    (void)par, (void)st;
    copy_rows(gx, g, N, N, NP);
}

static void lift_adjoint(const double *par, const real *st, const real *g, real *gx, int N, int NP) {
    (void)par, (void)st;
    copy_rows(g, gx, N, NP, N);
}

static void flow(const double *par, const real *restrict st, real *restrict out, int NP, int lo, int hi, double dt) {
    const real x = (real)exp(-dt / par[0]), s = (real)-expm1(-dt / par[0]), xx = x * x;
    #pragma omp simd
    for (int n = lo; n < hi; n++) {
        const real I = st[NP + n];
        out[n] = x * (st[n] + s * I), out[NP + n] = xx * I;
    }
}

static int flow_keep(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt, real *keep) {
    (void)keep;
    flow(par, st, out, NP, lo, hi, dt);
    return 0;
}

static void flow_adjoint(const double *par, const real *keep, int scaled, double dt, real *g, int NP, int lo, int hi) {
    (void)keep, (void)scaled;
    const real x = (real)exp(-dt / par[0]), s = (real)-expm1(-dt / par[0]);
    #pragma omp simd
    for (int n = lo; n < hi; n++) g[NP + n] = x * (x * g[NP + n] + s * g[n]), g[n] *= x;
}

static double wait(const double *par, const real *st, int NP, int n) {
    const double v = st[n], I = st[NP + n], square = (v + I) * (v + I) - 4 * I * par[1];
    if (!(I > 0 && I > v && square > 0)) return INFINITY;
    const double x = (v + I + sqrt(square)) / (2 * I);
    return x < 1 ? -par[0] * log(x) : 0;
}

/* Neurons that rise and reach the threshold within dt; a first look allows for rounding near a tangent. */
static int may_fire(const double *par, const real *st, const real *out, int NP, int lo, int hi, double dt, int *who) {
    const real *V = st, *I = st + NP;
    const real end = (real)exp(-dt / par[0]), theta = (real)par[1], slack = SQRT(SLACK);
    int found = 0;
    (void)out;
    for (int start = lo; start < hi; start += CHUNK) {
        const int m = hi - start < CHUNK ? hi - start : CHUNK;
        uint8_t hit[CHUNK] = {0};
        #pragma omp simd
        for (int i = 0; i < m; i++) {
            const real v = V[start + i], c = I[start + i], sum = v + c;
            const real square = sum * sum * (1 + SLACK) - 4 * c * theta;
            const real top = sum * (1 + 2 * slack) + SQRT(square > 0 ? square : 0);
            hit[i] = (c > v) & (c > 0) & (square > 0) & (top > 2 * c * end);
        }
        found = gather(hit, start, who, found);
    }
    int sure = 0;
    for (int i = 0; i < found; i++) if (wait(par, st, NP, who[i]) < dt) who[sure++] = who[i];
    return sure;
}

static double slope(const double *par, const real *st, int NP, int n) { return st[NP + n] / par[1] - 1; }

static void reset(const double *par, real *st, int NP, int n) {
    (void)par, (void)NP;
    st[n] = 0;
}

static void kick(const double *par, real *restrict st, const real *restrict w, int NP, int N) {
    (void)par;
    #pragma omp simd
    for (int n = 0; n < N; n++) st[NP + n] += w[n];
}

static double kick_adjoint(const double *par, const real *restrict st, const real *restrict w, real *restrict g,
                           real *restrict gw, int NP, int N) {
    (void)st;
    real pull = 0;
    #pragma omp simd reduction(+ : pull)
    for (int n = 0; n < N; n++) {
        pull += w[n] * (2 * g[NP + n] - g[n]);
        gw[n] += g[NP + n];
    }
    return pull / par[0];
}

static double spike_adjoint(const double *par, const real *st, int NP, int n, double pull, real *g) {
    const double I = st[NP + n];
    pull -= g[n] * I / par[0];
    g[n] = (real)(-pull * par[0] / (I - par[1]));
    return pull;
}
"""
