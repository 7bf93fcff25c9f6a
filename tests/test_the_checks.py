"""The checks on trial: wrong neurons and wrong kernels, each of which a check of rheobase.checks must catch."""

import functools
import itertools

import pytest
import torch

import rheobase as rb
from rheobase import checks
from rheobase.checks import agreement, contract, layouts
from rheobase.fuse import build, cprint, cpu, cpu_backward, eager, gpu, gpu_source, launch, operator, trace
from tests.neurons import test_equations, test_special
from tests.planting import planted


def catches(check, make, words=None) -> None:
    """The check fails on this neuron, and says something with these words."""
    with pytest.raises(checks.CheckFailed, match=words):
        check(checks.Subject(make))


def wrong_equations(kind, name, **options) -> None:
    """The comparison with the independent equations fails for this stand-in of neuron `name`."""
    generator = torch.Generator().manual_seed(2)
    neuron = kind(**options).double()
    x = (torch.randint(-8, 21, (7, 1, 3, 2), generator=generator) / 4).double()
    states = {k: torch.zeros(x.shape[1:], dtype=torch.float64) for k in neuron.states}
    surrogate = test_equations.reference.SURROGATES[type(neuron.surrogate).__name__.lower()]
    uniform = torch.rand(x.shape, generator=generator, dtype=torch.float64)
    test_equations.check_against_reference(name, options, neuron, x, states, uniform, surrogate)
    with pytest.raises(AssertionError):
        neuron = WRONG[kind](**options).double()
        test_equations.check_against_reference(name, options, neuron, x, states, uniform, surrogate)


class StrictLIF(rb.LIF):
    """`>` for `>=`."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        u = decay * v + x
        s = self.fire(u, threshold, strict=True)
        return s, self.after_spike(u, s, threshold, v_reset)


class UndecayedProbLIF(rb.ProbLIF):
    """The threshold of the last spike decays with the potential."""

    def dynamics(self, x, u, z, *, alpha, gain, threshold, slope=None, mix=None, uniform=None):
        u = alpha * (u - threshold * z) + gain * x
        z = self.fire(u, threshold) if slope is None else self.draw(u, threshold, slope, mix, uniform)
        return z, u, z


class EarlyCLIF(rb.CLIF):
    """The reset uses m before its increment."""

    def dynamics(self, x, v, m, *, decay, rate, threshold):
        u = decay * v + x
        s = self.fire(u, threshold)
        m = m * torch.sigmoid(rate * u)
        return s, u - s * (threshold + torch.sigmoid(m)), m + s


class ReluILIF(rb.ILIF):
    """relu's derivative 0 at Q = 0."""

    def dynamics(self, x, v, M, Q, p, *, decay, threshold, gamma_u=None, gamma_i=None):
        Q = gamma_i * (Q + p)
        u = decay * v + x - torch.relu(Q)
        s = self.fire(u, threshold)
        v = u - threshold * s
        M = gamma_u * (M + s * v)
        return s, v - s * torch.sigmoid(M), M, Q, x * s


class DetachedLIF(rb.LIF):
    """The reset carries no gradient although detach_reset is off."""

    def after_spike(self, u, s, threshold, v_reset=None):
        return super().after_spike(u, s.detach(), threshold, v_reset)


WRONG = {rb.LIF: StrictLIF, rb.ProbLIF: UndecayedProbLIF, rb.CLIF: EarlyCLIF, rb.ILIF: ReluILIF}


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [(rb.LIF, "lif", {}), (rb.ProbLIF, "problif", {"tau": 2.0}), (rb.CLIF, "clif", {}), (rb.ILIF, "ilif", {})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_equations_are_caught(kind, name, options):
    assert wrong_equations(kind, name, **options) is None


@pytest.mark.parametrize("backend", ["eager", "cpu"])
def test_a_decayed_threshold_misses_the_published_rate(monkeypatch, backend):
    monkeypatch.setattr(rb, "ProbLIF", UndecayedProbLIF)
    with rb.backend(backend), pytest.raises(AssertionError):
        test_special.test_problif_without_input_fires_at_the_published_rate(1.0, 0.081, -1.66)


def test_a_detached_reset_is_caught_by_finite_differences():
    catches(contract.gradients, DetachedLIF, "finite differences")


class WrongSlope(rb.surrogate.Sigmoid):
    """A derivative that is not that of its primitive."""

    def derivative(self, d):
        return super().derivative(d) * 1.01


class NeighbourLIF(rb.LIF):
    """Sees the neuron beside it."""

    fused = False

    def dynamics(self, x, v, **coefficients):
        return super().dynamics(x + 0.1 * x.roll(1), v, **coefficients)


class ForgetfulLIF(rb.LIF):
    """Starts anew at every call."""

    def _open(self, x, state):
        return super()._open(x, None)


class OutsideLIF(rb.LIF):
    """Hides a parameter from its state_dict; each new neuron has another value of it."""

    gains = itertools.cycle([1.0, 2.0])

    def __init__(self, tau: float = 2.0, threshold: float = 1.0):
        super().__init__(tau, threshold)
        self.gain = [next(self.gains)]

    def coefficients(self):
        return super().coefficients() | {"gain": self.gain[0]}


class WritingLIF(rb.LIF):
    """Hands out its input as a state."""

    fused = False

    def scan(self, x, state=None, *, uniform=None):
        spikes, last = super().scan(x, state)
        return spikes, (last if state is None else state)


class OverwritingLIF(rb.LIF):
    """Leaves its input changed."""

    fused = False

    def scan(self, x, state=None, *, uniform=None):
        found = super().scan(x.clone(), state)
        x.add_(1.0)
        return found


class BesideLIF(rb.LIF):
    """Never at its threshold: inputs on a coarse grid, and an offset of half a step of a finer one."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        u = x + 2**-9
        s = self.fire(u, threshold)
        return s, self.after_spike(u, s, threshold, v_reset)


class CrowdedLIF(rb.LIF):
    """Always so near its threshold that any flip is excused, one by one."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        u = threshold + 1e-6 * torch.tanh(x)
        s = self.fire(u, threshold)
        return s, self.after_spike(u, s, threshold, v_reset)


class DivergingLIF(rb.LIF):
    """Grows without bound below a potential of about −4."""

    def dynamics(self, x, v, *, decay, threshold, gain=None, v_reset=None):
        u = v - 0.1 * v * v * v + x
        s = self.fire(u, threshold)
        return s, u - threshold * s


@pytest.mark.parametrize(
    ("check", "make"),
    [
        (contract.permuted, NeighbourLIF), (contract.resumed, ForgetfulLIF), (contract.saved, OutsideLIF),
        (contract.unaliased, WritingLIF), (contract.surrogate, functools.partial(rb.LIF, surrogate=WrongSlope())),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_broken_promises_are_caught(check, make):
    catches(check, make)


@pytest.mark.parametrize(
    ("check", "make", "words"),
    [
        (contract.nan, NeighbourLIF, "in one neuron changes another"),
        (contract.unaliased, OverwritingLIF, "an input was written to"),
        (agreement.dyadic, BesideLIF, "no potential meets the threshold exactly"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_only_one_line_of_a_check_can_see_is_caught_by_it(check, make, words):
    catches(check, make, words)


def test_a_neuron_that_diverges_is_told_so_and_nothing_else():
    make = functools.partial(DivergingLIF, reset="soft")
    catches(contract.finite, make, "from step .* on, for inputs between .* torch.clamp")
    subject = checks.Subject(make)
    for check in (contract.resumed, contract.stepped, layouts.every_element, layouts.thread_count, layouts.at_once):
        check(subject)


def test_states_in_16_bits_are_caught(monkeypatch):
    monkeypatch.setattr(eager, "compute_dtype", lambda dtype: dtype)
    catches(contract.types, rb.LIF, "bfloat16")


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As if nothing had been compiled, so that planted kernels are built, and leave with the test."""
    monkeypatch.setattr(trace, "_programs", {})
    monkeypatch.setattr(build, "folder", lambda: tmp_path)
    monkeypatch.setattr(build, "_loaded", {})


EXPRESSIONS = [
    ("ge", "{0} > {1}", rb.LIF, agreement.dyadic),
    ("gt", "{0} >= {1}", rb.DietLIF, agreement.dyadic),
    ("le", "{0} < {1}", rb.LIF, agreement.dyadic),  # the edges of Rectangle
    ("lt", "{0} <= {1}", rb.ProbLIF, agreement.dyadic),  # r < p
    ("where", "{0} ? {2} : {1}", rb.ProbLIF, agreement.dyadic),
    ("maximum", "({0} > {1} ? {0} : {1})", functools.partial(rb.LIF, surrogate=rb.surrogate.Triangle()), contract.nan),
    ("sigmoid", "rb_sigmoid({0}) * (F)1.0001", rb.CLIF, agreement.dyadic),
    ("sub", "{1} - {0}", rb.CLIF, agreement.dyadic),
    ("exp", "rb_exp({0}) * (F)1.0001", rb.ProbLIF, agreement.random_inputs),
    ("tanh", "-rb_tanh({0})", CrowdedLIF, agreement.random_inputs),
]


@pytest.mark.parametrize(("op", "wrong", "make", "check"), EXPRESSIONS, ids=[row[0] for row in EXPRESSIONS])
def test_wrong_expressions_are_caught(fresh, monkeypatch, op, wrong, make, check):
    monkeypatch.setitem(cprint.EXPRESSIONS, op, wrong)
    catches(check, make)


SLIGHTLY = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 1e-2, torch.float16: 2e-3}


@pytest.mark.parametrize(("dtype", "off"), SLIGHTLY.items(), ids=str)
def test_slightly_wrong_gradients_are_caught_in_every_type(fresh, monkeypatch, dtype, off):
    """Spikes and states are right: the sigmoid is the surrogate's alone."""
    monkeypatch.setitem(cprint.EXPRESSIONS, "sigmoid", f"rb_sigmoid({{0}}) * (F){1 + off}")
    make = functools.partial(rb.LIF, surrogate=rb.surrogate.Sigmoid())
    catches(functools.partial(agreement.dyadic, dtype=dtype), make, "gradient to x")


SOURCES = [
    ("a dropped final state", rb.LIF, agreement.dyadic, "if (last_0) memcpy", "if (0) memcpy"),
    ("first states ignored", rb.LIF, agreement.dyadic, "if (first_0) memcpy", "if (0) memcpy"),
    ("gradients of final states ignored", rb.LIF, agreement.dyadic, "if (cot_0) memcpy", "if (0) memcpy"),
    ("gradients to first states dropped", rb.LIF, agreement.dyadic, "if (grad_0) memcpy", "if (0) memcpy"),
    ("a checkpoint too late", rb.LIF, layouts.long, "marks + ((c + 1)", "marks + ((chunks - 1)"),
    ("a checkpoint not reloaded", rb.LIF, layouts.long, "memcpy(v_0, marks + (c *", "memcpy(v_0, marks + (0 *"),
    ("one step too few in a chunk", rb.LIF, layouts.long, "t < (c + 1) * 1024", "t < (c + 1) * 1024 - 1"),
    ("a coefficient's gradient dropped", rb.PLIF, agreement.dyadic, "sum += part[k]", "sum += 0"),
    ("a gradient summed over one step", rb.PLIF, agreement.dyadic, "q_0[i] +=", "q_0[i] ="),
    ("the last block left out", rb.LIF, layouts.wide, "b < end && b < b0", "b < end - (blocks > 1) && b < b0"),
    ("random numbers one step late", rb.ProbLIF, contract.resumed, "(clock + t) % 4", "t % 4"),
    ("random numbers by memory order", rb.ProbLIF, layouts.strided, "if (P > 1) reorder", "if (0) reorder"),
    ("denormals left flushed", rb.LIF, layouts.denormals, "flush_back(mode);", ""),
    ("a sum that depends on threads", rb.PLIF, layouts.thread_count, ", blocks);", ", blocks - (a[5] > 1));"),
]


@pytest.mark.parametrize(("make", "check", "right", "wrong"), [r[1:] for r in SOURCES], ids=[r[0] for r in SOURCES])
def test_wrong_kernels_are_caught(fresh, monkeypatch, make, check, right, wrong):
    with planted(monkeypatch, right, wrong, cpu, cpu_backward):
        catches(check, make)


GPU_SOURCES = [
    ("a strict threshold", rb.LIF, " >= 0.0", " > 0.0"),
    ("first states ignored", rb.CLIF, "if first_m is None", "if True"),
    ("nothing flows back", rb.LIF, "now_v = next_v", "now_v = 0.0 * next_v"),
    ("a gradient dropped", rb.PLIF, "sum_rate += ", "sum_rate += 0.0 * "),
]


@pytest.mark.parametrize(("make", "right", "wrong"), [r[1:] for r in GPU_SOURCES], ids=[r[0] for r in GPU_SOURCES])
def test_wrong_gpu_kernels_are_caught(fresh, monkeypatch, make, right, wrong):
    monkeypatch.setattr(gpu, "_modules", {})
    with planted(monkeypatch, right, wrong, gpu_source):
        catches(checks.gpu.equals_eager, make)


def test_gpu_kernels_that_do_not_compile_are_caught(monkeypatch, tmp_path):
    """In the process that compiles: Triton's compiler knows no such function."""
    (tmp_path / "sitecustomize.py").write_text(
        "import rheobase.fuse.tprint as t\nt.EXPRESSIONS['ge'] = 'tl.no_such_function({0}, {1})'\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(checks.CheckFailed, match=r"lif: its GPU kernels do not compile: .*no_such_function"):
        checks.gpu.compiles("lif")


def test_wrong_strides_are_caught(fresh, monkeypatch):
    """A kernel that believes every layout to be plain."""
    monkeypatch.setattr(launch, "_plans", {})
    monkeypatch.setattr(launch, "walk", lambda x, ordered: (lambda n: launch.Layout(1, n, n, n))(x[0].numel()))
    catches(layouts.strided, rb.LIF)


def test_an_unwritten_output_is_caught(fresh, monkeypatch):
    written = cpu.forward_source
    short = ("i < n; i++", "i < n - (n == 5); i++")
    monkeypatch.setattr(cpu, "forward_source", lambda *given: written(*given).replace(*short))
    catches(layouts.every_element, rb.LIF)


def test_a_silent_second_derivative_is_caught(monkeypatch):
    """Without `once_differentiable`, a second derivative would come out as if the kernel were linear."""
    once = operator._Scan.backward
    monkeypatch.setattr(operator._Scan, "backward", staticmethod(once.__wrapped__))
    catches(layouts.twice, functools.partial(rb.LIF, surrogate=rb.surrogate.Sigmoid()))


@pytest.mark.parametrize("make", [rb.LIF, rb.PLIF, rb.ProbLIF, rb.CLIF])
def test_the_right_neurons_pass(fresh, make):
    """What fails above is the planted mistake: the same checks pass on the neurons it was planted in."""
    subject = checks.Subject(make)
    assert agreement.dyadic(subject) is None and layouts.long(subject) is None


def neighbour(*, surrogate: rb.surrogate.Surrogate = rb.surrogate.ATan()) -> rb.Neuron:  # noqa: B008 (frozen)
    return NeighbourLIF(surrogate=surrogate)


def test_run_reports_every_check():
    results = {result.name: result for result in checks.run(neighbour)}
    assert results["contract.types"].passed and not results["contract.permuted"].passed
    assert "permuted" in results["contract.permuted"].message
