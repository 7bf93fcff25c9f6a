"""The QIF neuron's pieces of the C kernel.

Adjoint of the projective state: the flow is a linear map M of (a, b), the loss depends on the ratio only, so that its
derivative is h (δa b - a δb) with one number h per neuron. This area is scaled by det M = 1 - s, hence h before =
(1 - s) h after; a current δI adds the area K δI, K = (1 - s) ∫ b² over the flow, and g_I takes up h K.
"""

import math


def horner(coefficients: list[float]) -> str:
    """C text of a polynomial in z."""
    text = repr(coefficients[-1])
    for value in reversed(coefficients[:-1]):
        text = f"FMA(z, {text}, (real){value!r})"
    return text


def _series(terms: int) -> str:
    """C text: cos √z - 1, sin √z/√z and the derivative of the latter; z = I s²."""
    even = [(-1.0) ** n / math.factorial(2 * n) for n in range(1, terms + 1)]
    odd = [(-1.0) ** n / math.factorial(2 * n + 1) for n in range(terms + 1)]
    slope = [n * odd[n] for n in range(1, terms + 1)]
    return f"""
            U[n] = z * ({horner(even)});
            S[n] = s0 * ({horner(odd)});
            if (full) D[n] = s0 * s0 * s0 * ({horner(slope)});"""


SOURCE = f"""
enum {{ ROWS = 3, PUBLIC = 2, ADJOINT = 2, KEEP = 2 }};

static void lift(const double *par, const real *x, real *st, int N, int NP) {{
    (void)par;
    for (int n = 0; n < N; n++) st[n] = x[n], st[NP + n] = 1, st[2 * NP + n] = x[N + n];
}}

static void lower(const double *par, const real *st, real *x, int N, int NP) {{
    (void)par;
    for (int n = 0; n < N; n++) {{
        const real b = st[NP + n] > TINY ? st[NP + n] : TINY;
        x[n] = st[n] / b, x[N + n] = st[2 * NP + n];
    }}
}}

static void lower_adjoint(const double *par, const real *st, const real *gx, real *g, int N, int NP) {{
    (void)par;
    for (int n = 0; n < N; n++) {{
        const real b = st[NP + n] > TINY ? st[NP + n] : TINY;
        g[n] = gx[n] / b / b, g[NP + n] = gx[N + n];
    }}
}}

static void lift_adjoint(const double *par, const real *st, const real *g, real *gx, int N, int NP) {{
    (void)par, (void)st;
    for (int n = 0; n < N; n++) gx[n] = g[n], gx[N + n] = g[NP + n];
}}

/* C - 1, S and dS/dI of n neurons: a power series at s/2^k, where |z| < .5, then k times the double angle. */
static ALWAYS void waves(const real *I, int m, real s, int doublings, real top, int full, real *U, real *S, real *D) {{
    real s0 = s * (real)ldexp(1, -doublings);
    if (top < (real)BOUND_SHORT) {{
        #pragma omp simd
        for (int n = 0; n < m; n++) {{
            const real z = I[n] * s0 * s0;{_series(5)}
        }}
    }} else {{
        #pragma omp simd
        for (int n = 0; n < m; n++) {{
            const real z = I[n] * s0 * s0;{_series(9)}
        }}
    }}
    for (int k = 0; k < doublings; k++, s0 *= 2) {{
        #pragma omp simd
        for (int n = 0; n < m; n++) {{
            const real C = 1 + U[n];
            if (full) D[n] = 2 * D[n] * C - s0 * S[n] * S[n];
            S[n] = 2 * S[n] * C;
            U[n] = 2 * U[n] * (U[n] + 2);
        }}
    }}
}}

/* Scale (a, b) to size 1: only its direction matters, but it must not overflow. Where q s > 20, q = sqrt(-I), cosh and
   sinh are both exp(q s)/2 to the last digit; that factor is left out, so that no inhibition overflows. */
static void settle(const real *st, real *out, int NP, int lo, int hi, real x, real s, int full, real *K, real *scale) {{
    for (int n = lo; n < hi; n++) {{
        const real a = st[n], b = st[NP + n], I = st[2 * NP + n], q = I < 0 ? SQRT(-I) : 0;
        real c = 1, factor = 1;
        if (q * s > 20) {{
            const real rest = b - a / q;
            out[n] = -x * q * rest, out[NP + n] = rest > 0 ? rest : 0;
            factor = 4 * (real)exp(-2.0 * q * s);
            if (full) K[n] = x * rest * rest / (2 * q);
        }}
        const real size = FABS(out[n]) + out[NP + n];
        c = size > 0 ? 1 / size : 1;
        out[n] *= c, out[NP + n] *= c;
        if (full) K[n] *= c * c, scale[n] = c * c * factor;
    }}
}}

/* Returns whether (a, b) was scaled; K and `scale` then hold the squares of the factors. */
static ALWAYS int flow_(const double *par, const real *restrict st, real *restrict out, int NP, int lo, int hi,
                        double dt, int full, real *restrict keep) {{
    const real *a = st, *b = st + NP, *I = st + 2 * NP;
    real *a1 = out, *b1 = out + NP, *I1 = out + 2 * NP, *K = keep, *scale = keep + (full ? NP : 0);
    const real x = (real)exp(-dt / par[0]), s = (real)-expm1(-dt / par[0]);
    real peak = 0, largest = 0, least = 1;
    #pragma omp simd reduction(max : peak)
    for (int n = lo; n < hi; n++) peak = FABS(I[n]) > peak ? FABS(I[n]) : peak;
    double top = (double)peak * s * s;
    const int strong = top > 400;
    int doublings = 0;
    for (; top >= .5 && doublings < 64; doublings++) top /= 4;
    real U[CHUNK], S[CHUNK], D[CHUNK];
    for (int start = lo; start < hi; start += CHUNK) {{
        const int m = hi - start < CHUNK ? hi - start : CHUNK;
        waves(I + start, m, s, doublings, (real)top, full, U, S, D);
        #pragma omp simd reduction(max : largest) reduction(min : least)
        for (int i = 0; i < m; i++) {{
            const int n = start + i;
            const real C = 1 + U[i];
            const real an = x * (a[n] * C + b[n] * I[n] * S[i]);
            real bn = b[n] * C - a[n] * S[i];
            bn = bn > 0 ? bn : 0;
            const real size = FABS(an) + bn;
            largest = size > largest ? size : largest;
            least = size < least ? size : least;
            if (full) {{
                const real SS = S[i] * S[i], bb = (s + S[i] * C) / 2, aa = s * SS / 2 + C * D[i];
                K[n] = x * (b[n] * b[n] * bb - a[n] * b[n] * SS + a[n] * a[n] * aa);
            }}
            a1[n] = an, b1[n] = bn, I1[n] = x * x * I[n];
        }}
    }}
    if (!strong && largest < (real)HUGE_ && least > 1 / (real)HUGE_) return 0;
    settle(st, out, NP, lo, hi, x, s, full, K, scale);
    return 1;
}}

static void flow(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt) {{
    flow_(par, st, out, NP, lo, hi, dt, 0, 0);
}}

static int flow_keep(const double *par, const real *st, real *out, int NP, int lo, int hi, double dt, real *keep) {{
    return flow_(par, st, out, NP, lo, hi, dt, 1, keep);
}}

static void flow_adjoint(const double *par, const real *keep, int scaled, double dt, real *g, int NP, int lo, int hi) {{
    const real x = (real)exp(-dt / par[0]), xx = x * x;
    const real *K = keep, *scale = keep + NP;
    real *h = g, *gI = g + NP;
    #pragma omp simd
    for (int n = lo; n < hi; n++) gI[n] = xx * gI[n] + h[n] * K[n], h[n] *= x;
    if (scaled) for (int n = lo; n < hi; n++) h[n] *= scale[n];
}}

/* Neurons that may fire within dt: b has reached 0, or the angle is beyond the first half turn. */
static int may_fire(const double *par, const real *st, const real *out, int NP, int lo, int hi, double dt, int *who) {{
    const real *I = st + 2 * NP, *b1 = out + NP;
    const real s = (real)-expm1(-dt / par[0]), ss = s * s;
    real low = 1, high = 0;
    int found = 0;
    #pragma omp simd reduction(min : low) reduction(max : high)
    for (int n = lo; n < hi; n++) {{
        low = b1[n] < low ? b1[n] : low;
        high = I[n] > high ? I[n] : high;
    }}
    if (low > 0 && high * ss < (real)9.8) return 0;
    for (int start = lo; start < hi; start += CHUNK) {{
        const int m = hi - start < CHUNK ? hi - start : CHUNK;
        uint8_t hit[CHUNK] = {{0}};
        #pragma omp simd
        for (int i = 0; i < m; i++) hit[i] = (b1[start + i] <= 0) | (I[start + i] * ss >= (real)9.8);
        found = gather(hit, start, who, found);
    }}
    return found;
}}

static double wait(const double *par, const real *st, int NP, int n) {{
    const double a = st[n], b = st[NP + n], I = st[2 * NP + n], root = sqrt(fabs(I));
    double s = INFINITY;
    if (I > 0) s = atan2(root * b, a) / root;
    else if (I == 0) s = a > 0 ? b / a : INFINITY;
    else if (a > root * b) s = .5 * log1p(2 * root * b / (a - root * b)) / root;
    return s < 1 ? -par[0] * log1p(-s) : INFINITY;
}}

static double slope(const double *par, const real *st, int NP, int n) {{
    (void)par, (void)st, (void)NP, (void)n;
    return INFINITY;
}}

static void reset(const double *par, real *st, int NP, int n) {{
    (void)par;
    st[n] = -1, st[NP + n] = 0;
}}

static void kick(const double *par, real *restrict st, const real *restrict w, int NP, int N) {{
    (void)par;
    real *I = st + 2 * NP;
    #pragma omp simd
    for (int n = 0; n < N; n++) I[n] += w[n];
}}

static double kick_adjoint(const double *par, const real *restrict st, const real *restrict w, real *restrict g,
                           real *restrict gw, int NP, int N) {{
    const real *b = st + NP, *h = g, *gI = g + NP;
    real pull = 0;
    #pragma omp simd reduction(+ : pull)
    for (int n = 0; n < N; n++) {{
        pull += w[n] * (2 * gI[n] - h[n] * b[n] * b[n]);
        gw[n] += gI[n];
    }}
    return pull / par[0];
}}

static double spike_adjoint(const double *par, const real *st, int NP, int n, double pull, real *g) {{
    (void)NP;
    g[n] = (real)((g[n] - par[0] * pull) / ((double)st[n] * st[n]));
    return pull;
}}
"""
