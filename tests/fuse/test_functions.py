"""exp, σ, tanh and log of the kernels, as kernels run, denormals flushed to zero.

Our own, in float32, are at most 2 ulp from the true value. In float64 they are the C library's, for whose tanh glibc
states 2 ulp and not the half that would come of perfect rounding; σ adds the rounding of 1 / (1 + y).
"""

import ctypes

import numpy as np
import pytest

from rheobase.fuse import build, cprint, csupport

NAMES = ("exp", "sigmoid", "tanh", "log")
TYPES = {"float32": (np.float32, np.float64, np.uint32), "float64": (np.float64, np.longdouble, np.uint64)}
ULP = {"float32": 2.0, "float64": 2.5}
STRIDE = {"float32": 1021, "float64": (1 << 64) // 1_000_003}  # odd: every exponent, ever other mantissas


def true(name: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            return np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x)))
        return getattr(np, name)(x)


@pytest.fixture(scope="module", params=list(TYPES))
def functions(request):
    """(type name, {name: function on arrays}), compiled with the kernels' flags and run in their mode."""
    source = cprint.prelude(request.param) + csupport.SUPPORT
    for name in NAMES:
        source += f"void apply_{name}(const F *x, F *y, int64_t n) {{ const uint64_t mode = flush_on();\n"
        source += f"#pragma omp simd\nfor (int64_t i = 0; i < n; i++) y[i] = rb_{name}(x[i]);\nflush_back(mode); }}\n"
    library = build.library(source, "functions")

    def function(name: str):
        def call(x: np.ndarray) -> np.ndarray:
            y = np.full_like(x, 777)
            getattr(library, f"apply_{name}")(*(ctypes.c_void_p(v.ctypes.data) for v in (x, y)), ctypes.c_int64(x.size))
            return y

        return call

    return request.param, {name: function(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_close_to_the_true_value_over_all_exponents(functions, name):
    kind, found = functions
    narrow, wide, bits = TYPES[kind]
    x = np.arange(0, np.iinfo(bits).max, STRIDE[kind], dtype=bits).view(narrow)
    near = np.concatenate([np.linspace(-20, 20, 400_001), np.linspace(-104, 89, 400_001)]).astype(narrow)
    x = np.concatenate([x[np.isfinite(x)], near])
    x = np.ascontiguousarray(x[np.abs(x) >= np.finfo(narrow).tiny])
    wanted = true(name, x.astype(wide))
    got = found[name](x)
    with np.errstate(over="ignore"):
        rounded = wanted.astype(narrow)
    plain = np.isfinite(rounded) & (np.abs(wanted) >= np.finfo(narrow).tiny)
    ulp = np.spacing(np.abs(rounded[plain])).astype(wide)
    error = np.abs(got[plain].astype(wide) - wanted[plain]) / ulp
    worst = error.argmax()
    assert error[worst] <= ULP[kind], f"{name}({x[plain][worst]!r}) is off by {error[worst]:.2f} ulp"
    tiny = np.abs(wanted) < np.finfo(narrow).tiny
    assert np.all(np.abs(got[tiny]) <= np.finfo(narrow).tiny), f"{name}: tiny results are neither tiny nor 0"
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    assert np.all(same[~np.isfinite(rounded)]), f"{name}: overflow or NaN where torch has none"


@pytest.mark.parametrize("name", NAMES)
def test_special_values(functions, name):
    kind, found = functions
    narrow, wide, _ = TYPES[kind]
    x = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e30, -1e30], dtype=narrow)
    with np.errstate(all="ignore"):
        wanted = true(name, x.astype(wide)).astype(narrow)
    if name == "sigmoid":
        wanted[3] = 0.0  # the quotient above is NaN at −∞
    np.testing.assert_allclose(found[name](x), wanted, rtol=3e-7)


@pytest.mark.parametrize("name", NAMES)
def test_denormal_inputs_count_as_zero_or_as_themselves(functions, name):
    kind, found = functions
    narrow, wide, _ = TYPES[kind]
    tiny = np.finfo(narrow).smallest_subnormal
    x = np.array([tiny, tiny * 1000, -tiny, -tiny * 1000], dtype=narrow)
    got = found[name](x)
    with np.errstate(all="ignore"):
        own, zero = (true(name, v.astype(wide)).astype(narrow) for v in (x, x * 0))
    close = np.isclose(got, own, rtol=3e-7, atol=np.finfo(narrow).tiny, equal_nan=True)
    assert np.all(close | (got == zero)), f"{name}: {got}"
