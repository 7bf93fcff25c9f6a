"""Neurons inside what torch does to programs: compilation, fake tensors, tracing, vmap, other derivatives."""

import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import rheobase as rb
from rheobase.checks import layouts
from rheobase.fuse import build, layout, library

VERSION = tuple(int(part) for part in torch.__version__.split(".")[:2])
pytestmark = pytest.mark.skipif(build.compiler() is None, reason="no C compiler")
NEURONS = {
    "clif": rb.CLIF(),
    "plif": rb.PLIF(channels=3),
    "drawn": rb.ProbLIF(seed=3),
    "features": rb.ProbPLIF(features=(3, 66)),
}
VIEWS = layouts.views(torch.randn(5, 2, 3, 66, generator=torch.Generator().manual_seed(0)) * 2)
VIEWS |= {"no batch": VIEWS["offset"][:, :0], "no steps": VIEWS["channels last"][:0]}


@pytest.fixture
def x():
    torch._dynamo.reset()
    return torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)) * 2


def checked(neuron, x) -> None:
    """torch's own check of the operator: what it says of its results to compilers must be what it returns."""
    x = x.detach().requires_grad_()
    states = [torch.randn(x.shape[1:]).requires_grad_() for _ in neuron.states]
    given = [torch.as_tensor(c).detach().clone().requires_grad_() for c in neuron.coefficients().values()]
    operator = torch.ops.rheobase.scan.default
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operator, (neuron._key, x, states, given, None, torch.tensor([0, 3])), test_utils=tests)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", NEURONS)
def test_operator_keeps_its_promises_on_every_layout(name, view):
    checked(NEURONS[name], VIEWS[view])


@pytest.mark.skipif(VERSION < (2, 12), reason="torch.library.opcheck of this torch compares no strides")
def test_the_check_catches_an_operator_that_promises_another_layout(monkeypatch):
    monkeypatch.setattr(library, "_layout", lambda key, x, uniform: layout.walk(x.contiguous(), False))
    checked(NEURONS["plif"], VIEWS["offset"])
    with pytest.raises(Exception, match="Stride mismatch"):
        checked(NEURONS["plif"], VIEWS["channels last"])


@pytest.mark.parametrize("make", [rb.CLIF, lambda: rb.ProbLIF(seed=5), lambda: rb.GLIF(steps=9, channels=5)])
def test_one_graph_for_every_number_of_steps(make, x):
    neuron, counter = make(), CompileCounter()
    compiled = torch.compile(lambda x: neuron(x) * 2, fullgraph=True, backend=counter)
    for steps in (5, 4, 3, 9, 8):
        x = torch.randn(steps, 6, 5) * 2
        assert torch.equal(compiled(x), neuron(x) * 2)
    assert counter.frame_count == 2  # of one number of steps, then of any
    assert rb.last_backend() == "cpu"


@pytest.mark.parametrize("moved", [False, True], ids=["plain", "moved"])
def test_one_graph_for_every_batch(moved, x):
    neuron, counter = rb.PLIF(channels=5), CompileCounter()
    compiled = torch.compile(neuron, fullgraph=True, dynamic=True, backend=counter)
    for batch in range(3, 8):
        x = torch.randn(batch, 4, 5).transpose(0, 1) if moved else torch.randn(4, batch, 5)
        assert torch.equal(compiled(x), neuron(x))
    assert counter.frame_count == 1


def test_an_exported_neuron_takes_any_batch(x):
    neuron, batch = rb.PLIF(channels=5), torch.export.Dim("batch", min=2, max=100)
    exported = torch.export.export(neuron, (x,), dynamic_shapes=({1: batch},)).module()
    more = torch.cat([x, x + 0.5, x - 0.5], 1)
    assert torch.equal(exported(more), neuron(more))


@pytest.mark.parametrize("context", [lambda: rb.backend("eager"), rb.surrogate.smooth], ids=["eager", "smooth"])
def test_a_compiled_neuron_says_how_to_run_the_loop(context, x):
    neuron = rb.PLIF(channels=5)
    compiled = torch.compile(neuron, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(x), neuron(x))
    with context():
        with pytest.raises(RuntimeError, match=r"PLIF: .*set_stance\('force_eager'\)"):
            compiled(x)
        with torch.compiler.set_stance("force_eager"):
            assert torch.equal(compiled(x), neuron(x))
        assert rb.last_backend() == "eager"


def test_compiled_states_and_gradients(x):
    neuron = rb.PLIF(channels=5)
    found = {}
    for name, run in (("plain", neuron.scan), ("compiled", torch.compile(neuron.scan, backend="aot_eager"))):
        given, first = x.clone().requires_grad_(), torch.full((3, 5), 0.5, requires_grad=True)
        spikes, state = run(given, {"v": first})
        weights = torch.arange(spikes.numel()).view(spikes.shape)
        gradients = torch.autograd.grad((spikes * weights).sum() + state["v"].sum(), [given, first, neuron.w])
        found[name] = [spikes.detach(), state["v"].detach(), *gradients]
    assert all(map(torch.equal, *found.values()))


def test_compiled_calls_refuse_states_that_do_not_fit(x):
    run = torch.compile(rb.LIF().scan, backend="aot_eager", fullgraph=True)
    for state in ({"v": torch.zeros(1, 5)}, {"v": torch.zeros(3, 5), "w": torch.zeros(3, 5)}, {"w": torch.zeros(3, 5)}):
        with pytest.raises(Exception, match=r"state|Observed exception"):
            run(x, state)


def test_fake_tensors_and_graphs_see_one_operator(x):
    with FakeTensorMode() as mode:
        assert rb.LIF()(mode.from_tensor(x)).shape == x.shape
    graph = make_fx(rb.LIF())(x)
    assert "rheobase.scan.default" in graph.code
    assert torch.equal(graph(x + 1), rb.LIF()(x + 1))  # pyright: ignore
    layer = rb.Recurrent(rb.LIF(), 5, 5)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert layer(mode.from_tensor(x)).shape == x.shape


def test_counters_of_operations_change_nothing(x):
    def gradient() -> torch.Tensor:
        given = x.clone().requires_grad_()
        (rb.LIF()(given) * x).sum().backward()
        return given.grad  # type: ignore[return-value]

    wanted = gradient()
    with FlopCounterMode(display=False):
        assert torch.equal(gradient(), wanted)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_jit_trace_follows_the_steps(x):
    traced = torch.jit.trace(torch.nn.Sequential(rb.LIF()), x, check_trace=False)
    assert torch.equal(traced(x + 1), rb.LIF()(x + 1))  # pyright: ignore


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_forward_mode_is_refused_by_torch_not_answered_with_nothing(x):
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="jvp"):
        rb.LIF()(forward_ad.make_dual(x, torch.ones_like(x)))


def test_forward_mode_of_the_smooth_neuron_is_its_gradient(x):
    along, neuron = torch.linspace(-1, 1, x.numel()).view_as(x), rb.CLIF()
    with rb.surrogate.smooth():
        slope = torch.func.grad(lambda x: neuron(x).sum())(x)
        moved = torch.func.jvp(lambda x: neuron(x).sum(), (x,), (along,))[1]
    assert moved != 0 and torch.allclose(moved, (slope * along).sum(), rtol=1e-4)


def test_vmap_and_gradients_per_sample(x):
    neuron, w = rb.PLIF(), torch.tensor(0.3)
    assert torch.equal(torch.vmap(neuron, in_dims=1, out_dims=1)(x), neuron(x))

    def loss(w: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return (torch.func.functional_call(neuron, {"w": w}, (x,)) * x).sum()

    together = torch.vmap(torch.func.grad(loss), in_dims=(None, 1))(w, x)
    singly = torch.stack([torch.func.grad(loss)(w, x[:, k]) for k in range(3)])
    assert together.abs().sum() > 0 and torch.allclose(together, singly)
    with rb.backend("cpu"), pytest.raises(RuntimeError, match=r"torch\.func"):
        torch.vmap(neuron, in_dims=1)(x)


def test_many_gradients_at_once_are_refused(x):
    given = x[:, 0, 0].clone().requires_grad_()
    with pytest.raises(RuntimeError, match=r"one gradient at a time.*rb.backend\('eager'\)"):
        torch.autograd.grad(rb.LIF()(given), given, torch.eye(4), is_grads_batched=True)


def test_lazily_negated_tensors_mean_what_they_say(x):
    """The imaginary part of a conjugate is a view whose memory holds the opposite."""
    dense = torch._neg_view(x)  # type: ignore[attr-defined]
    for negative in ((x * 1j).conj().imag, dense):
        assert negative.is_neg() and torch.equal(rb.LIF()(negative), rb.LIF()(-x))
    found = []
    for cotangent in (dense, -x):
        given = x.clone().requires_grad_()
        rb.LIF()(given).backward(cotangent)
        found.append(given.grad)
    assert torch.equal(*found)


REFUSED = {
    "sparse": (lambda x: rb.LIF()(x.to_sparse()), TypeError, "dense.*sparse_coo.*to_dense"),
    "nested": (lambda x: rb.LIF()(torch.nested.nested_tensor([x[0], x[1]])), TypeError, "dense"),
    "state": (lambda x: rb.LIF().scan(x, {"v": x[0].to("meta")}), ValueError, "state v.*on cpu; got.*on meta"),
    "parameter": (lambda x: rb.PLIF(channels=5).to("meta")(x), ValueError, "rate is on meta, the input on cpu"),
    "uniform": (lambda x: rb.ProbLIF()(x, uniform=x.to("meta")), ValueError, "x's device cpu; got meta"),
    "weight": (lambda x: rb.LIF().recur(x, torch.eye(5, device="meta")), ValueError, "weight is on meta"),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=list(REFUSED))
def test_tensors_without_memory_here_are_refused(call, kind, words, x):
    with pytest.raises(kind, match=words):
        call(x)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # torch.compile does so itself
@pytest.mark.parametrize("make", [lambda: rb.PSN(steps=4), lambda: rb.PSN(variant="sliding", order=2)])
def test_eager_neurons_and_surrogates_compile_whole(make, x):
    neuron, given = make(), x.requires_grad_()
    compiled = torch.compile(neuron, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(given), neuron(given))
    one, other = (torch.autograd.grad(call(given).sum(), given)[0] for call in (compiled, neuron))
    torch.testing.assert_close(one, other)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # torch.compile does so itself
def test_a_compiled_surrogate_knows_smooth(x):
    surrogate = rb.surrogate.Sigmoid()
    compiled = torch.compile(lambda d: surrogate(d) * 2, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x), 2 * surrogate(x))
    with rb.surrogate.smooth():
        torch.testing.assert_close(compiled(x), 2 * surrogate.primitive(x))
    assert torch.equal(compiled(x), 2 * surrogate(x))
