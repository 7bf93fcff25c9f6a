"""The fused recurrent kernel against the eager loop: outputs, final states, every gradient."""

import pytest
import torch

import rheobase as rb
from rheobase.fuse import recurrent_launch, recurrent_reach
from tests.recurrent import cases

pytestmark = pytest.mark.skipif(rb.fuse.build.compiler() is None, reason="needs a C compiler")
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


@pytest.fixture(autouse=True)
def same_parameters():
    torch.manual_seed(0)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).split(".")[1])
@pytest.mark.parametrize("name", cases.FUSED)
def test_exact_inputs_give_equal_spikes(name, dtype):
    neuron = cases.make(name, 17).to(torch.float64 if dtype == torch.float64 else torch.float32)
    inputs = cases.dyadic(neuron, name, (cases.STEPS, 5, 17), dtype)
    eager = cases.call(neuron, inputs, "eager")
    assert 0.02 < eager["spikes"].double().mean() < 0.7
    cases.compare(eager, cases.call(neuron, inputs, "cpu"))


@pytest.mark.parametrize("name", cases.FUSED)
def test_random_inputs(name):
    """Samples without a flip have the same gradients; a flip comes of a last bit, so they are few."""
    neuron = cases.make(name, 40)
    inputs = cases.random(name, (cases.STEPS, 12, 40), torch.float32)
    if neuron.random:
        inputs.uniform = torch.rand(inputs.x.shape, generator=torch.Generator().manual_seed(4))
    eager, fused = (cases.call(neuron, inputs, backend) for backend in ("eager", "cpu"))
    same = (eager["spikes"] == fused["spikes"]).all(2).all(0)
    assert same.sum() >= 10, f"{int((~same).sum())} of 12 samples have a flip"
    one, two = eager["grad:x"][:, same], fused["grad:x"][:, same]
    assert (one - two).abs().max() <= 2e-5 * one.abs().max()


SIZES = [(0, 3, 17), (1, 1, 1), (1, 3, 17), (63, 1, 256), (63, 3, 1), (5, 33, 70), (9, 40, 256)]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("name", ["lif", "ilif", "probplif"])
def test_sizes(name, shape):
    neuron = cases.make(name, shape[-1])
    for state in (True, False):
        inputs = cases.dyadic(neuron, name, shape, torch.float32, state)
        if neuron.random:
            neuron.seed = 5
        cases.compare(cases.call(neuron, inputs, "eager"), cases.call(neuron, inputs, "cpu"))


@pytest.mark.parametrize("name", ["lif", "glif", "alif", "problif"])
@pytest.mark.parametrize("first", [1, 16, 21])
def test_two_halves_are_the_whole(name, first):
    neuron = cases.make(name, 70)
    inputs = cases.random(name, (cases.STEPS, 9, 70), torch.float32)
    if neuron.random:
        neuron.seed = 5
    whole, end = neuron.recur(inputs.x, inputs.weight)
    one, state = neuron.recur(inputs.x[:first], inputs.weight)
    two, last = neuron.recur(inputs.x[first:], inputs.weight, state)
    assert rb.last_backend() == "cpu" and torch.equal(whole, torch.cat([one, two]))
    assert all(torch.equal(end[key], last[key]) for key in end)


@pytest.mark.parametrize("name", ["lif", "glif", "probplif"])
def test_threads_do_not_change_a_bit(name):
    neuron, found, before = cases.make(name, 70), [], torch.get_num_threads()
    inputs = cases.dyadic(neuron, name, (cases.STEPS, 50, 70), torch.float32)
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(cases.call(neuron, inputs, "cpu"))
    finally:
        torch.set_num_threads(before)
    cases.identical(*found)


def test_sparse_and_dense_give_the_same_bits(monkeypatch):
    """All products sparse, all dense, on numbers whose sums round."""
    neuron, inputs, found = rb.LIF(), cases.random("lif", (cases.STEPS, 21, 70), torch.float32), []
    for limit in (1025, recurrent_launch.DENSE):
        monkeypatch.setattr(recurrent_launch, "LIMIT", limit)
        monkeypatch.setattr(recurrent_launch, "WEIGHT_LIMIT", limit)
        found.append(cases.call(neuron, inputs, "cpu"))
    assert found[0]["spikes"].mean() > 0.1
    cases.identical(*found)


@pytest.mark.parametrize("where", ["x", "weight", "v", "spikes"])
@pytest.mark.parametrize("surrogate", [rb.surrogate.Rectangle(), rb.surrogate.ATan()], ids=str)
def test_nan_goes_where_eager_sends_it(where, surrogate):
    neuron = rb.LIF(surrogate=surrogate)
    inputs = cases.dyadic(neuron, "lif", (20, 3, 17), torch.float32)
    inputs.leaves()[where].view(-1)[4] = float("nan")
    eager, fused = (cases.call(neuron, inputs, backend) for backend in ("eager", "cpu"))
    for key, value in eager.items():
        assert torch.equal(value.isnan(), fused[key].isnan()), key
    assert any(value.isnan().any() for value in eager.values())


@pytest.mark.parametrize("steps", [1, 20])
def test_nothing_arrives_at_the_first_step_not_even_nan(steps):
    neuron = rb.LIF()
    inputs = cases.dyadic(neuron, "lif", (steps, 3, 17), torch.float32, state=False)
    inputs.x[0], inputs.weight[0, 4] = 1.25, float("nan")
    eager, fused = (cases.call(neuron, inputs, backend) for backend in ("eager", "cpu"))
    assert (fused["spikes"][0] == 1).all()
    for key, value in eager.items():
        torch.testing.assert_close(fused[key], value, rtol=1e-5, atol=1e-5, equal_nan=True, msg=key)


def test_given_random_numbers():
    neuron = rb.ProbLIF()
    inputs = cases.dyadic(neuron, "problif", (cases.STEPS, 5, 17), torch.float32)
    inputs.uniform = torch.rand(inputs.x.shape, generator=torch.Generator().manual_seed(4))
    cases.compare(cases.call(neuron, inputs, "eager"), cases.call(neuron, inputs, "cpu"))


def test_strided_inputs():
    """x with time second in memory, and a cotangent without memory of its own."""
    neuron, inputs = rb.LIF(), cases.dyadic(rb.LIF(), "lif", (cases.STEPS, 5, 17), torch.float32)
    found = []
    for backend in ("eager", "cpu"):
        x = inputs.x.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
        with rb.backend(backend):
            spikes, _ = neuron.recur(x, inputs.weight)
        found.append([spikes.detach(), *torch.autograd.grad(spikes.sum(), [x])])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)
    assert rb.last_backend().copied


def test_gradients_only_where_asked():
    neuron, inputs = rb.LIF(), cases.dyadic(rb.LIF(), "lif", (20, 3, 17), torch.float32)
    full = cases.call(neuron, inputs, "cpu")
    for key in ("x", "weight", "spikes", "v"):
        leaf = inputs.leaves()[key].clone().requires_grad_()
        x, weight = (leaf if key == name else inputs.leaves()[name] for name in ("x", "weight"))
        state = inputs.state if key in ("x", "weight") else inputs.state | {key: leaf}
        spikes, last = neuron.recur(x, weight, state)
        assert torch.equal(spikes, full["spikes"]) and last["v"].requires_grad
        (grad,) = torch.autograd.grad(spikes.sum() + last["v"].sum(), [leaf])
        assert grad.isfinite().all() and grad.abs().sum() > 0


def test_plain_calls_give_the_same_spikes():
    """With a graph x is let go: changing it before backward changes nothing; the weight is watched."""
    inputs, grads = cases.dyadic(rb.LIF(), "lif", (20, 3, 17), torch.float32), []
    x, weight = inputs.x.clone(), inputs.weight.clone().requires_grad_()
    with torch.no_grad():
        plain, _ = rb.LIF().recur(x, weight)
    for change in (0, 1):
        spikes, _ = rb.LIF().recur(x, weight)
        assert not plain.requires_grad and torch.equal(plain, spikes)
        x.add_(change)
        grads += torch.autograd.grad(spikes.sum(), weight)
    assert torch.equal(*grads) and grads[0].abs().sum() > 0
    spikes, _ = rb.LIF().recur(x, weight)
    weight.data, _ = weight.data + 1, weight.detach().add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        spikes.sum().backward()


def test_a_retained_graph_gives_the_same_gradients_again():
    """Only the last backward pass may write over the currents."""
    inputs = cases.dyadic(rb.LIF(), "lif", (20, 3, 17), torch.float32)
    x, weight = inputs.x.clone().requires_grad_(), inputs.weight.clone().requires_grad_()
    spikes, _ = rb.LIF().recur(x, weight)
    grads = [torch.autograd.grad(spikes.sum(), [x, weight], retain_graph=keep) for keep in (True, True, False)]
    copies = [[g.clone() for g in some] for some in grads]
    for other in copies[1:]:
        assert torch.equal(copies[0][0], other[0]) and torch.equal(copies[0][1], other[1])
    with pytest.raises(RuntimeError, match="a second time"):
        torch.autograd.grad(spikes.sum(), x)


DELAYS = {
    "none": torch.zeros(17, dtype=torch.int64),
    "some": torch.arange(17) % 4 * 3,
    "beyond the end": torch.arange(17) * 3,
    "all": torch.full((17,), 16),
}


@pytest.mark.parametrize("state", [True, False], ids=["given", "fresh"])
@pytest.mark.parametrize("delays", DELAYS)
def test_delays_equal_the_eager_loop(delays, state):
    for name, dtype in (("lif", torch.float32), ("alif", torch.float64), ("probplif", torch.float32)):
        neuron = cases.make(name, 17).to(dtype)
        inputs = cases.dyadic(neuron, name, (cases.STEPS, 5, 17), dtype, state, DELAYS[delays])
        if neuron.random:
            neuron.seed = 5
        eager = cases.call(neuron, inputs, "eager")
        assert 0.02 < eager["spikes"].double().mean() < 0.7
        cases.compare(eager, cases.call(neuron, inputs, "cpu"))


def test_delays_of_the_eager_loop_are_what_they_say():
    """Against sums written out by hand."""
    inputs = cases.dyadic(rb.LIF(), "lif", (20, 3, 17), torch.float32, False, DELAYS["some"])
    with rb.backend("eager"):
        spikes, state = rb.LIF().recur(inputs.x, inputs.weight, delays=inputs.delays)
        late = torch.zeros_like(spikes)
        for j, delay in enumerate(inputs.delays.tolist()):
            late[1 + delay :, :, j] = spikes[: 20 - 1 - delay, :, j]
        assert torch.equal(spikes, rb.LIF()(inputs.x + late @ inputs.weight.T))
    assert torch.equal(state["spikes"], spikes[-10:])


@pytest.mark.parametrize("surrogate", [rb.surrogate.Rectangle(), rb.surrogate.Triangle(0.25, 0.5)], ids=str)
@pytest.mark.parametrize("reset", [{}, {"reset": "hard"}, {"detach_reset": True}], ids=str)
def test_compact_surrogates_leave_out_only_what_does_not_matter(monkeypatch, surrogate, reset):
    """Every product of gradients computed where it is needed only, and every one dense."""
    neuron, found = rb.LIF(surrogate=surrogate, **reset), []
    inputs = cases.dyadic(neuron, "lif", (cases.STEPS, 21, 70), torch.float32)
    for limit in (1024, recurrent_launch.DENSE):
        monkeypatch.setattr(recurrent_launch, "reach_limit", lambda _, limit=limit: limit)
        found.append(cases.call(neuron, inputs, "cpu"))
        cases.compare(cases.call(neuron, inputs, "eager"), found[-1])
    assert not torch.equal(*(one["grad:x"] for one in found)), "both ways ran the same way"


def test_which_neurons_have_gates():
    def gated(neuron):
        program = neuron.program()
        names = [f"grad:{name}" for name in ("x", *program.step.states, *program.step.coefficients)]
        return recurrent_reach.gates(program, names) is not None

    assert gated(rb.LIF()) and gated(rb.ALIF(surrogate=rb.surrogate.Triangle())) and gated(rb.LIF(detach_reset=True))
    assert not gated(rb.LIF(surrogate=rb.surrogate.ATan())) and not gated(
        rb.ProbLIF(surrogate=rb.surrogate.Rectangle())
    )
    assert gated(rb.ProbLIF(sigma=0, surrogate=rb.surrogate.Rectangle()))


def test_saved_is_one_bit_per_spike():
    """Besides the currents in place of x: 1 bit per neuron and step, and a state every CHUNK steps."""
    neuron = rb.CLIF()
    x = torch.randn(64, 8, 128)
    loop = recurrent_launch.Loop(neuron.program(), x, (0, 0), None)
    loop.forward(torch.zeros(128, 128), None, [None, None], list(neuron.coefficients().values()), keep=True)
    assert loop.x.untyped_storage().nbytes() == loop.call.x.untyped_storage().nbytes() == 4
    assert torch.equal(loop.currents, x)
    assert loop.bits.nbytes * 8 == x.numel()
    assert loop.marks.nbytes == 2 * x.nbytes / recurrent_launch.CHUNK
    longer = recurrent_launch.Loop(neuron.program(), torch.randn(640, 80, 128), (0, 0), None)
    assert loop.scratch() < longer.scratch() < 2**20


def test_a_second_derivative_raises():
    """Rather than being zero: the kernel computes first derivatives only."""
    x, weight = torch.randn(6, 2, 3, requires_grad=True), torch.randn(3, 3, requires_grad=True)
    (grad,) = torch.autograd.grad(rb.LIF().recur(x, weight)[0].sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(grad.sum(), weight)


class Graded(rb.Neuron):
    """Spikes of any size: nothing that could be kept as bits."""

    states = ("v",)

    def __init__(self):
        super().__init__(rb.surrogate.ATan())

    def dynamics(self, x, v):
        v = 0.5 * v + x
        return v.clamp(min=0.0), v


def test_graded_spikes_run_eager():
    x, weight = torch.randn(4, 2, 3), torch.randn(3, 3)
    Graded().recur(x, weight)
    assert rb.last_backend() == "eager"
    with rb.backend("cpu"), pytest.raises(RuntimeError, match="other than 0 and 1"):
        Graded().recur(x, weight)


@pytest.mark.parametrize(
    "shape, weight, wanted",
    [((4, 3), (3, 3), r"\[T, B, n\]"), ((4, 2, 3), (3, 4), r"\[3, 3\]"), ((4, 2, 3), (9,), r"\[3, 3\]")],
)
def test_refusals(shape, weight, wanted):
    with pytest.raises(ValueError, match=wanted):
        rb.LIF().recur(torch.zeros(shape), torch.zeros(weight))
