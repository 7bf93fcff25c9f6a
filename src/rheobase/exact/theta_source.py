"""The theta neuron's pieces of the C kernel.

The phase is kept as the direction of (p, q) = R (sin, cos)(ω φ): the flow is one rotation for all neurons, a kick the
shear q -= (w/r) p, and no angle is computed but a spike's own. Both maps keep areas, so that the derivative of the
loss, h (δp q - p δq), has an h that only spikes and a change of scale alter.
"""

SOURCE = """
enum { ROWS = 2, PUBLIC = 1, ADJOINT = 1, KEEP = 1 };

static void lift(const double *par, const real *x, real *st, int N, int NP) {
    for (int n = 0; n < N; n++) {
        const double p = sin(par[0] * x[n]);
        st[n] = p > 0 ? (real)p : 0, st[NP + n] = (real)cos(par[0] * x[n]);
    }
}

static void lower(const double *par, const real *st, real *x, int N, int NP) {
    for (int n = 0; n < N; n++) x[n] = (real)(atan2(st[n], st[NP + n]) / par[0]);
}

static real square(const real *st, int NP, int n) { return st[n] * st[n] + st[NP + n] * st[NP + n]; }

static void lower_adjoint(const double *par, const real *st, const real *gx, real *g, int N, int NP) {
    for (int n = 0; n < N; n++) g[n] = (real)(gx[n] / (par[0] * square(st, NP, n)));
}

static void lift_adjoint(const double *par, const real *st, const real *g, real *gx, int N, int NP) {
    for (int n = 0; n < N; n++) gx[n] = (real)(g[n] * par[0] * square(st, NP, n));
}

/* p never passes 0 before a spike; rounding could make it so. Kicks stretch (p, q): it is scaled back when large. */
static ALWAYS int flow_(const double *par, const real *restrict st, real *restrict out, int NP, int lo, int hi,
                        double dt, int full, real *restrict keep) {
    const real c = (real)cos(par[0] * dt), s = (real)sin(par[0] * dt);
    real largest = 0, least = 1;
    #pragma omp simd reduction(max : largest) reduction(min : least)
    for (int n = lo; n < hi; n++) {
        const real turned = st[n] * c + st[NP + n] * s, p = turned > 0 ? turned : 0, q = st[NP + n] * c - st[n] * s;
        const real size = p + FABS(q);
        out[n] = p, out[NP + n] = q;
        largest = size > largest ? size : largest;
        least = size < least ? size : least;
    }
    if (largest < (real)HUGE_ && least > 1 / (real)HUGE_) return 0;
    for (int n = lo; n < hi; n++) {
        const real scale = 1 / (out[n] + FABS(out[NP + n]));
        out[n] *= scale, out[NP + n] *= scale;
        if (full) keep[n] = scale * scale;
    }
    return 1;
}

static void flow(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt) {
    flow_(par, st, out, NP, lo, hi, dt, 0, 0);
}

static int flow_keep(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt, real *keep) {
    return flow_(par, st, out, NP, lo, hi, dt, 1, keep);
}

static void flow_adjoint(const double *par, const real *keep, int scaled, double dt, real *g, int NP, int lo, int hi) {
    (void)par, (void)dt, (void)NP;
    if (scaled) for (int n = lo; n < hi; n++) g[n] *= keep[n];
}

static double wait(const double *par, const real *st, int NP, int n) {
    const double left = (PI - atan2(st[n], st[NP + n])) / par[0];
    return left > 0 ? left : 0;
}

static int may_fire(const double *par, const real *st, const real *out, int NP, int lo, int hi, double dt, int *who) {
    const int all = par[0] * dt >= 3;
    real low = 1;
    int found = 0;
    (void)st, (void)NP;
    #pragma omp simd reduction(min : low)
    for (int n = lo; n < hi; n++) low = out[n] < low ? out[n] : low;
    if (low > 0 && !all) return 0;
    for (int start = lo; start < hi; start += CHUNK) {
        const int m = hi - start < CHUNK ? hi - start : CHUNK;
        uint8_t hit[CHUNK] = {0};
        #pragma omp simd
        for (int i = 0; i < m; i++) hit[i] = all | (out[start + i] <= 0);
        found = gather(hit, start, who, found);
    }
    return found;
}

static double slope(const double *par, const real *st, int NP, int n) {
    (void)par, (void)st, (void)NP, (void)n;
    return INFINITY;
}

static void reset(const double *par, real *st, int NP, int n) {
    (void)par;
    st[n] = 0, st[NP + n] = 1;
}

static void kick(const double *par, real *restrict st, const real *restrict w, int NP, int N) {
    const real factor = (real)(1 / par[1]);
    #pragma omp simd
    for (int n = 0; n < N; n++) st[NP + n] -= factor * w[n] * st[n];
}

static double kick_adjoint(const double *par, const real *restrict st, const real *restrict w, real *restrict g,
                           real *restrict gw, int NP, int N) {
    const real factor = (real)(1 / par[1]);
    real pull = 0;
    #pragma omp simd reduction(+ : pull)
    for (int n = 0; n < N; n++) {
        const real p = st[n], shear = factor * w[n] * p;
        pull += g[n] * shear * (2 * st[NP + n] - shear);
        gw[n] += g[n] * factor * p * p;
    }
    return pull * par[0];
}

static double spike_adjoint(const double *par, const real *st, int NP, int n, double pull, real *g) {
    g[n] = (real)((g[n] - pull / par[0]) / square(st, NP, n));
    return pull;
}
"""
