"""The fused GPU kernels against the eager loop: on a GPU where there is one, else in Triton's interpreter."""

import functools
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import rheobase as rb
from rheobase.checks import CheckFailed, agreement, layouts
from rheobase.checks.subject import CHANNELS, eighths, normal, outcome, quarters, start
from rheobase.fuse import build, gpu, gpu_source, trace
from tests import subjects
from tests.planting import planted

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
FUSED = [name for name in subjects.MAKERS if subjects.subject(name).fused]
STEPS = 21  # three chunks of 8 or six of 4, the last one partial


def compare(neuron, x, uniform=None, state=None) -> dict[str, torch.Tensor]:
    """Eager against triton from `state` (default: a few bits per state): returns triton's outcome."""
    neuron, x = neuron.to(DEVICE), x.to(DEVICE)
    uniform = None if uniform is None else uniform.to(DEVICE)
    state = start(neuron, x) if state is None else state
    eager, fused = (outcome(neuron, x, backend, state, uniform) for backend in ("eager", "triton"))
    agreement.agree(neuron, eager, fused, x.dtype, f"{type(neuron).__name__}: ")
    return fused


def dyadic(name, shape=(STEPS, 2, CHANNELS, 7), dtype=torch.float32, **options) -> dict[str, torch.Tensor]:
    """Zero flips on inputs in quarters, where potentials meet the threshold exactly; states and gradients."""
    neuron = subjects.subject(name).dyadic(shape[0], **options)
    x = quarters(shape, dtype)
    return compare(neuron, x, eighths(tuple(x.shape)) if neuron.random else None)


@pytest.mark.parametrize("name", FUSED)
def test_every_neuron_equals_eager(name):
    found = dyadic(name)
    assert 0 < (found["spikes"] != 0).sum() < found["spikes"].numel()
    assert rb.last_backend() == "triton"


@pytest.mark.parametrize("name", FUSED)
def test_random_inputs_flip_only_next_to_the_threshold(name):
    neuron = subjects.subject(name).neuron(STEPS).to(DEVICE)
    x = normal((STEPS, 40)).to(DEVICE)
    eager, fused = (outcome(neuron, x, backend) for backend in ("eager", "triton"))
    flips = int((eager["spikes"] != fused["spikes"]).sum())
    assert flips <= (0 if agreement.is_exact(neuron) else 2)
    if not flips:
        agreement.agree(neuron, eager, fused, x.dtype, f"{name}: ")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["lif", "clif", "problif"])
def test_types_of_16_bits_keep_states_in_32(name, dtype):
    found = dyadic(name, dtype=dtype)
    assert found["spikes"].dtype == dtype and found["gradient to x"].dtype == dtype
    assert all(value.dtype == torch.float32 for what, value in found.items() if what.startswith("final"))


@pytest.mark.parametrize(
    ("name", "options"),
    [("plif", {"channels": CHANNELS}), ("glif", {"channels": CHANNELS}), ("probplif", {"features": (CHANNELS, 7)}),
     ("lif", {"reset": "hard", "v_reset": -0.25}), ("lif", {"detach_reset": True}), ("klif", {"reset": "hard"})],
    ids=str,
)  # fmt: skip
def test_parameters_per_channel_and_neuron_and_resets(name, options):
    dyadic(name, **options)


@pytest.mark.parametrize("steps", [1, 4, 5, 16, 17, 63])
def test_every_length_of_time(steps):
    dyadic("lif", (steps, 3))
    dyadic("ilif", (steps, 3))


class Flat(rb.Neuron):
    """A user's neuron without states."""

    states = ()

    def __init__(self):
        super().__init__(rb.surrogate.ATan(2.0))

    def coefficients(self):
        return {"gain": 1.5}

    def dynamics(self, x, *, gain):
        return (self.fire(gain * x, 1.0),)


class Noisy(rb.Neuron):
    """A user's neuron with one state whose threshold is drawn anew at each step."""

    states = ("v",)
    random = True

    def __init__(self):
        super().__init__(rb.surrogate.ATan(2.0))

    def coefficients(self):
        return {"decay": 0.5}

    def dynamics(self, x, v, *, decay, uniform):
        v = decay * v + x
        s = self.fire(v, 0.5 + 0.5 * uniform)
        return s, v - s


@pytest.mark.parametrize("steps", [1, 7, 8, 9, 16, 17, 25])
def test_every_length_of_time_of_neurons_that_hold_a_chunk(steps):
    """One state or none: whole chunks and parts of them, at clocks inside a group of four random numbers."""
    x = quarters((steps, 3, 20))
    compare(Flat(), x)
    for clock in (0, 1, 3):
        neuron = Noisy()
        compare(neuron, x, state=start(neuron, x) | {"t": torch.tensor(clock)})


class Mixed(rb.Neuron):
    """Single numbers, learnt and constant, where the interpreter's types are its own; spikes of any size."""

    states = ("v",)

    def __init__(self):
        super().__init__(rb.surrogate.ATan(2.0))
        self.c = torch.nn.Parameter(torch.tensor(0.25))

    def coefficients(self):
        return {"c": self.c * 1, "d": 0.5}

    def dynamics(self, x, v, *, c, d):
        u = 0.5 * v + torch.maximum(torch.minimum(c, d), x) * torch.tanh(torch.ones_like(x))
        s = self.fire(u, d)
        return s * 0.75 + u * 0.125, u - s


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_single_numbers_and_spikes_of_any_size(dtype):
    compare(Mixed(), quarters((9, 40), dtype))


def test_several_threads_at_once():
    neuron, x = rb.CLIF(), normal((9, 300)).to(DEVICE)
    wanted = outcome(neuron, x, "triton")

    def run(_):
        found = outcome(rb.CLIF(), x, "triton")
        return all(torch.equal(found[what], value) for what, value in wanted.items())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))


def test_a_gain_per_step_and_channel_over_no_steps():
    neuron, x = rb.GLIF(steps=5, channels=3).to(DEVICE), torch.zeros(0, 2, 3, device=DEVICE, requires_grad=True)
    for backend in ("eager", "triton", *(["cpu"] if DEVICE == "cpu" else [])):
        neuron.zero_grad()
        with rb.backend(backend):
            spikes, last = neuron.scan(x)
            (spikes.sum() + sum(last[name].sum() for name in neuron.states)).backward()
        assert neuron.v_th.grad is None or not neuron.v_th.grad.any()


def test_no_steps_hand_the_states_on():
    neuron, x = rb.CLIF(), torch.zeros(0, 5, device=DEVICE)
    state = {"v": torch.randn(5, device=DEVICE), "m": torch.rand(5, device=DEVICE)}
    with rb.backend("triton"):
        spikes, last = neuron.scan(x, state)
    assert spikes.shape == (0, 5) and torch.equal(last["v"], state["v"]) and last["v"] is not state["v"]


def test_drawn_numbers_are_those_of_eager_at_any_clock():
    """Both passes draw again; a clock that is no multiple of four starts inside a group of four."""
    neuron, x = rb.ProbLIF(seed=2**63 + 5), normal((23, 70)).to(DEVICE)
    whole = compare(neuron, x, state=neuron.zero_state(x))
    for first in (1, 3, 18):
        with rb.backend("triton"):
            before, state = neuron.scan(x[:first])
        after = compare(neuron, x[first:], state=state)
        assert torch.equal(torch.cat([before, after["spikes"]]), whole["spikes"])


@pytest.mark.parametrize("name", ["batch sliced", "rows sliced", "every second step", "channels last", "transposed"])
@pytest.mark.parametrize("make", [functools.partial(rb.PLIF, channels=CHANNELS), functools.partial(rb.ProbLIF, seed=3)])
def test_layouts_run_where_they_lie(make, name):
    neuron, x = make().to(DEVICE), normal((6, 2, CHANNELS, 66)).to(DEVICE)
    view = layouts.views(x)[name]
    wanted = outcome(neuron, view.contiguous(), "triton")
    found = outcome(neuron, view, "triton")
    assert rb.last_backend().copied == (name == "transposed")
    for what, value in wanted.items():
        torch.testing.assert_close(found[what], value, rtol=1e-6, atol=1e-6)
    assert torch.equal(found["spikes"], wanted["spikes"])


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (9, 500), (18, 3, CHANNELS, 5)])
def test_every_element_is_written(shape):
    neuron, x = rb.TCLIF().to(DEVICE), normal(shape).to(DEVICE)
    wanted = outcome(neuron, x, "triton")
    with layouts.poisoned():
        found = outcome(neuron, x, "triton")
    for what, value in found.items():
        assert torch.equal(value, wanted[what]) and not value.isnan().any(), what


@pytest.mark.parametrize(
    "make", [rb.LIF, rb.KLIF, rb.ILIF, functools.partial(rb.LIF, surrogate=rb.surrogate.Triangle())]
)
def test_nan_travels_as_in_eager(make):
    x = quarters((9, 20)).to(DEVICE)
    x[2, 3] = x[8, 7] = float("nan")
    found = compare(make(), x)
    assert any(value.isnan().any() for value in found.values())


def test_one_program_or_many_sum_the_same_way_twice():
    neuron, x = rb.PLIF(), normal((5, 2000))
    first, second = compare(neuron, x), compare(neuron, x)
    assert torch.equal(first["gradient to w"], second["gradient to w"])


def test_scratch_is_what_the_backward_pass_borrows(monkeypatch):
    borrowed, empty = [], torch.empty

    def counted(size, **options):
        borrowed.append(size * 4 if isinstance(size, int) else 0)
        return empty(size, **options)

    for neuron, steps in ((rb.LIF(), 16), (rb.LIF(), 33), (rb.PLIF(), 33), (rb.ILIF(), 33)):
        borrowed.clear()
        monkeypatch.setattr(gpu.torch, "empty", counted)
        outcome(neuron, normal((steps, 10)).to(DEVICE), "triton")
        monkeypatch.undo()
        assert max(borrowed) == gpu.scratch_bytes(neuron.program(), steps, 10, summed=isinstance(neuron, rb.PLIF))
    assert gpu.scratch_bytes(rb.LIF().program(), 16, 10) == 0
    assert gpu.scratch_bytes(rb.LIF().program(), 33, 10) == 3 * 10 * 4
    assert gpu.scratch_bytes(rb.ILIF().program(), 33, 10) == 8 * 4 * 10 * 4


def test_what_cannot_run_says_why():
    x = torch.zeros(3, 4, dtype=torch.float64, device=DEVICE)
    with rb.backend("triton"), pytest.raises(RuntimeError, match="none for float64"):
        rb.LIF()(x)


@pytest.mark.skipif(DEVICE == "cuda", reason="needs a machine without a GPU")
def test_without_gpu_and_interpreter_it_says_why(monkeypatch):
    monkeypatch.setattr(gpu, "interpreting", lambda: False)
    with rb.backend("triton"), pytest.raises(RuntimeError, match="not on a GPU"):
        rb.LIF()(torch.zeros(3, 4))


@pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter computes with numpy's functions")
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "sin", "cos", "erf", "atan", "log1p", "expm1"])
def test_functions_are_within_two_ulp(name):
    """sigmoid within three: exp's two, and those of a sum and a quotient, which torch's own on a GPU has too."""

    class Function(rb.Neuron):
        def dynamics(self, x):
            return (getattr(torch, name)(x),)

    x = torch.cat([torch.linspace(-110, 110, 100_000), torch.linspace(-2, 2, 100_000)]).view(1, -1).to(DEVICE)
    x = x.abs() if name.startswith("log") else x
    with rb.backend("triton"):
        found = Function(None)(x)
    truth = getattr(torch, name)(x.double())
    largest, least = torch.finfo(torch.float32).max, 2.0**-126
    spacing = torch.exp2(truth.abs().clamp(min=least).log2().floor() - 23)
    off = ((found.double() - truth).abs() / spacing).nan_to_num(0.0)  # infinity where it is that, and log(0)
    off[(truth.abs() < least) & (found.abs() < least)] = 0.0  # numbers below 2^-126 may be 0
    beyond = truth.abs() > largest
    assert off[~beyond].max() <= (3.0 if name == "sigmoid" else 2.0) and bool(found[beyond].isinf().all())


@pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter divides")
def test_quotients_of_gradients_are_within_one_ulp():
    """Without the branches of an IEEE division; zeros, infinities and NaN come out as in eager."""

    class Quotient(rb.Neuron):
        states = ("v",)

        def dynamics(self, x, v):
            return x, x / v

    generator = torch.Generator().manual_seed(0)
    b = torch.randn(200_000, generator=generator) * torch.logspace(-20, 20, 200_000)
    cot = torch.randn(200_000, generator=generator)
    special = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), 1.0])
    b, cot = torch.cat([b, special.repeat(6)]), torch.cat([cot, special.repeat_interleave(6)])
    found = {}
    for backend in ("eager", "triton"):
        x = torch.zeros(1, b.numel(), device=DEVICE, requires_grad=True)
        with rb.backend(backend):
            _, last = Quotient(None).scan(x, {"v": b.to(DEVICE)})
        (found[backend],) = torch.autograd.grad(last["v"], x, cot.to(DEVICE))
    exact, mine = found["eager"].double(), found["triton"].double()
    finite = exact.isfinite() & (exact.abs() > 2.0**-100)
    assert ((mine - exact).abs() / exact.abs())[finite].max() <= 2.0**-23
    assert torch.equal(mine[200_000:].nan_to_num(7.0), exact[200_000:].nan_to_num(7.0))


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """As if nothing had been generated, so that planted kernels are used, and leave with the test."""
    monkeypatch.setattr(trace, "_programs", {})
    monkeypatch.setattr(gpu, "_modules", {})
    monkeypatch.setattr(build, "folder", lambda: tmp_path)


PLANTED = [
    ("a strict threshold", "lif", " >= 0.0", " > 0.0"),
    ("first states ignored", "lif", "if first_v is None", "if True"),
    ("a final state of zero", "lif", "tl.store(last_v + m, state_v", "tl.store(last_v + m, 0.0 * state_v"),
    ("gradients of final states ignored", "lif", "if cot_v is None", "if True"),
    ("the wrong checkpoint", "lif", "mark = c - 1", "mark = c - c"),
    ("the wrong checkpoint of several states", "clif", "mark = c - 1", "mark = c - c"),
    ("the wrong state before the chunk that is held", "lif", "state_v = start_v", "state_v = state_v"),
    ("the wrong chunk held", "lif", "currents = held", "currents = currents"),
    ("states of a chunk in the wrong order", "lif", "kept_v[CHUNK - 1 - back]", "kept_v[back]"),
    ("the last step left out", "lif", "t < steps", "t < steps - 1"),
    ("a gradient summed over one step", "plif", "sum_rate += ", "sum_rate = "),
    ("the sum of one program", "plif", "tl.num_programs(0) + tl.program_id(0)", "tl.num_programs(0)"),
    ("random numbers of other steps", "problif", "uniform = numbers[j]", "uniform = numbers[3 - j]"),
    ("random numbers from the first step on", "problif", " - lead", ""),
]


@pytest.mark.parametrize(("name", "right", "wrong"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_wrong_kernels_are_caught(fresh, monkeypatch, name, right, wrong):
    neuron, x = subjects.subject(name).dyadic(42).to(DEVICE), quarters((42, 70)).to(DEVICE)
    state = start(neuron, x) | ({"t": torch.tensor(3)} if neuron.random else {})
    with planted(monkeypatch, right, wrong, gpu_source), pytest.raises(CheckFailed):
        compare(neuron, x, state=state)


def test_a_damaged_file_is_written_again(fresh, tmp_path):
    neuron = rb.LIF()
    compare(neuron, quarters((4, 5)))
    files = sorted(tmp_path.glob("lif-*.py"))
    assert len(files) == 2 and not list(tmp_path.glob("tmp*"))
    for path in files:
        path.write_text(path.read_text()[:100])
    gpu._modules.clear()
    neuron.program().kernels.clear()
    neuron.program().prepared.clear()
    compare(neuron, quarters((4, 5)))
    assert all("def step" in path.read_text() for path in files)


@pytest.mark.skipif(DEVICE == "cpu", reason="CUDA graphs need a GPU")
def test_a_cuda_graph_replays_a_step_and_refuses_what_it_would_repeat():
    model = torch.nn.Sequential(torch.nn.Linear(7, 9), rb.CLIF(), torch.nn.Linear(9, 9), rb.ProbLIF(seed=3)).cuda()
    x, new = normal((5, 2, 7)).cuda(), normal((5, 2, 7)).cuda()
    wanted = torch.autograd.grad(model(new).sum(), list(model.parameters()))
    graphed = torch.cuda.make_graphed_callables(model, (x.clone(),))
    found = torch.autograd.grad(graphed(new).sum(), list(model.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    with pytest.raises(RuntimeError, match="repeats its random numbers; give it seed="):
        torch.cuda.make_graphed_callables(rb.ProbLIF().cuda(), (x,))
    state = rb.ProbLIF(seed=3).scan(x)[1]
    with pytest.raises(RuntimeError, match="repeats the step count"), torch.cuda.graph(torch.cuda.CUDAGraph()):
        rb.ProbLIF(seed=3).scan(x, state)
