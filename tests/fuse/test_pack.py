"""`pack_spikes`: what is packed, that it comes back bit for bit, and that everything else stays as it is."""

import contextlib
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import save_on_cpu
from torch.utils.checkpoint import checkpoint

import rheobase as rb
from rheobase.fuse import build, pack

NAN = float("nan")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def spikes(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.fixture(params=["compiled", "torch"])
def way(request, monkeypatch):
    """The C functions, and torch's operations where there is no compiler."""
    if request.param == "torch":
        monkeypatch.setattr(build, "compiler", lambda: None)


LAYOUTS = {
    "plain": lambda s: s,
    "permuted": lambda s: s.permute(2, 0, 1),
    "sliced": lambda s: s[:, 1:],
    "one": lambda s: s[..., :1],
    "expanded": lambda s: s[:1].expand(9, -1, -1),
    "channels last": lambda s: s[None].contiguous(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_spikes_come_back_bit_for_bit(layout, dtype, way):
    given = LAYOUTS[layout](spikes(9, 11, 13, dtype=dtype))
    packed = pack.pack(given)
    assert isinstance(packed, pack.Packed)
    assert packed.bits.numel() == -(-given.numel() // 8) and packed.bits.element_size() == 1
    back = pack.unpack(packed)
    assert back.dtype == dtype and torch.equal(back, given)


def with_value(value: float, place: int) -> torch.Tensor:
    out = spikes(9999)
    out[place] = value
    return out


KEPT = {
    "NaN": with_value(NAN, 0), "half": with_value(0.5, 9998), "negative zero": with_value(-0.0, 5000),
    "two": with_value(2.0, 4096), "small": spikes(63), "whole numbers": spikes(100).long(), "truth": spikes(100) > 0,
    "sparse": spikes(10, 10).to_sparse(), "negated view": torch._neg_view(spikes(100)),  # type: ignore[attr-defined]
    "no memory": spikes(100).to("meta"), "parameter": torch.nn.Parameter(spikes(100)),
    "mkldnn": spikes(10, 10).to_mkldnn(),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_everything_else_stays_as_it_is(name, way):
    held = pack.pack(KEPT[name])
    assert isinstance(held, pack.Kept)
    back = pack.unpack(held)
    assert back is KEPT[name] or (type(back) is type(KEPT[name]) and back.layout == KEPT[name].layout)
    if back.layout == torch.strided and not back.is_meta:
        assert back.data_ptr() == KEPT[name].data_ptr() and back.is_neg() == KEPT[name].is_neg()


def test_fake_tensors_stay_as_they_are():
    with FakeTensorMode(), rb.pack_spikes():
        weight = torch.ones(80, requires_grad=True)
        (weight * torch.ones(80)).sum().backward()
    assert weight.grad is not None and weight.grad.shape == (80,)


def gradients(context, through) -> list[torch.Tensor]:
    """Of a small network whose layers save spikes, also through a cast and a view."""
    generator = torch.Generator().manual_seed(3)
    x = (torch.randn(6, 8, 40, generator=generator) * 2).requires_grad_()
    weights = [(torch.randn(40, 40, generator=generator) * 0.2).requires_grad_() for _ in range(3)]

    def network(x: torch.Tensor) -> torch.Tensor:
        for weight in weights:
            x = rb.LIF()(3 * (x @ weight))
        return x.to(torch.bfloat16).float().view(-1, 40) @ weights[0]

    with context():
        out = through(network, x)
    (out * torch.arange(40.0)).sum().backward()
    return [x.grad, *(w.grad for w in weights)]  # type: ignore[list-item]


@contextlib.contextmanager
def twice():
    with rb.pack_spikes(), rb.pack_spikes():
        yield


@contextlib.contextmanager
def inside_another():
    with save_on_cpu(), rb.pack_spikes():
        yield


PLAIN = {"through": lambda network, x: network(x)}
WAYS = {
    "alone": {"context": rb.pack_spikes} | PLAIN,
    "nested": {"context": twice} | PLAIN,
    "inside other hooks": {"context": inside_another} | PLAIN,
    "checkpoint": {"context": rb.pack_spikes, "through": lambda f, x: checkpoint(f, x, use_reentrant=False)},
    "old checkpoint": {"context": rb.pack_spikes, "through": lambda f, x: checkpoint(f, x, use_reentrant=True)},
}


@pytest.mark.parametrize("name", WAYS)
def test_gradients_do_not_change(name):
    wanted = gradients(contextlib.nullcontext, **PLAIN)
    assert all(w.any() for w in wanted)
    assert all(map(torch.equal, gradients(**WAYS[name]), wanted))


def test_threads_pack_for_themselves():
    wanted = gradients(contextlib.nullcontext, **PLAIN)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: gradients(rb.pack_spikes, **PLAIN), range(8)):
            assert all(map(torch.equal, found, wanted))
    assert not pack.packing()


def test_spikes_of_a_kernel_are_known_until_somebody_changes_them():
    x = torch.randn(5, 4, 20) * 2
    assert not pack.noted(rb.LIF()(x))
    with rb.pack_spikes():
        made, probabilities = rb.LIF()(x), rb.LeakyReadout(20, 3)(x)
        recurrent = rb.LIF().recur(x, torch.zeros(20, 20))[0]
    assert pack.noted(made) and pack.noted(made.detach()) and pack.noted(made.flatten(1)[2:]) and pack.noted(recurrent)
    assert not any(map(pack.noted, (made.clone(), made * 0.5, made.to(torch.bfloat16), probabilities, x)))
    view = made[1:]
    made.mul_(0.5)
    assert not pack.noted(made) and not pack.noted(view)
    with rb.pack_spikes():
        made = rb.LIF()(x)
    held = torch.empty(0).set_(made)  # type: ignore[call-overload]
    assert pack.noted(held)
    del made  # now nobody could tell whether it has changed
    assert not pack.noted(held)


def test_what_was_no_spikes_is_not_looked_at_again(monkeypatch):
    """At the same place with the same shape, for some contexts; spikes are looked at every time."""
    looked = []
    signbit = torch.signbit
    monkeypatch.setattr(torch, "signbit", lambda tensor: looked.append(tensor.shape) or signbit(tensor))
    monkeypatch.setattr(pack, "_refused", {})
    monkeypatch.setattr(pack, "MEMORY", 3)
    real, ones = torch.randn(100), spikes(100)
    found = []
    for _ in range(5):
        with rb.pack_spikes():
            found.append((pack._refuse(real), pack._refuse(ones), pack._refuse(-0.0 * ones)))
    assert found == [(True, False, True)] * 5
    assert len(looked) == 2 + 5 + 2  # both that are none: in the first and the fourth; the spikes: always
    with rb.pack_spikes():
        assert not pack._refuse(spikes(200))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here; its functions run in Triton's interpreter")
def test_gradients_do_not_change_on_a_gpu():
    with torch.device("cuda"):
        weight = torch.randn(40, 40, requires_grad=True)
        x = torch.randn(6, 8, 40, requires_grad=True)
    found = []
    for context in (contextlib.nullcontext, rb.pack_spikes, rb.pack_spikes):
        with context():
            out = rb.LIF()(3 * (rb.LIF()(3 * x) @ weight)) @ weight
        found.append(torch.autograd.grad((out * torch.arange(40.0, device="cuda")).sum(), [x, weight]))
    for other in found[1:]:
        assert all(map(torch.equal, other, found[0]))


@pytest.mark.parametrize("dtype", DTYPES[:3])
@pytest.mark.parametrize("count", [64, 8191, 8192, 20001])
def test_a_gpus_bits_are_those_of_the_cpu(count, dtype):
    pack_gpu = pytest.importorskip("rheobase.fuse.pack_gpu")
    given = spikes(count, dtype=dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    bits, back = pack_gpu.pack(given), torch.full_like(given, NAN)
    assert torch.equal(bits.cpu(), pack._pack_torch(given.cpu()))
    pack_gpu.unpack(bits, back)
    assert torch.equal(back, given)


@pytest.mark.parametrize("context", [rb.pack_spikes, save_on_cpu, FakeTensorMode, lambda: torch.device("meta")])
def test_a_neuron_can_be_made_inside_a_context(context):
    """Tracing knows nothing of the caller's hooks, modes and devices."""
    with context():
        neuron = rb.CLIF(tau=2.0 + 1e-9)
    assert neuron(torch.ones(3, 70)).shape == (3, 70)


@pytest.mark.parametrize("change", ["input", "parameter"])
def test_what_was_changed_in_place_is_refused_as_without_packing(change):
    layer, x = torch.nn.Linear(50, 50), torch.randn(4, 20, 50, generator=torch.Generator().manual_seed(0)) * 2
    for context in (contextlib.nullcontext(), rb.pack_spikes()):
        with context:
            current = layer(x)
            spikes = torch.nn.functional.linear(rb.CLIF()(current) - 0.5, layer.weight)
            with torch.no_grad():
                (current if change == "input" else layer.weight).mul_(0)
            with pytest.raises(RuntimeError, match="version"):
                spikes.sum().backward()


def test_an_operations_own_output_is_freed():
    """A tensor with its graph, held by that graph, would never be."""
    x, freed = torch.randn(200, 200, requires_grad=True), []
    with rb.pack_spikes():
        y = torch.sigmoid(x)
    weakref.finalize(y, freed.append, True)
    del y
    gc.collect()
    assert freed


def test_second_derivatives_pass_through():
    x = torch.randn(80, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    found = []
    for context in (contextlib.nullcontext(), rb.pack_spikes()):
        with context:
            (first,) = torch.autograd.grad(torch.sigmoid(x).pow(2).sum(), x, create_graph=True)
            found.append(torch.autograd.grad(first.sum(), x)[0])
    assert torch.equal(*found)
