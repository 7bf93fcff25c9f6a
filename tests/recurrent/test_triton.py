"""The recurrent GPU kernels against the eager loop: on a GPU where there is one, else in Triton's interpreter."""

import json

import pytest
import torch

import rheobase as rb
from rheobase.fuse import build, gpu, recurrent_gpu, recurrent_gpu_source, trace
from tests.fuse.test_compile_ahead import outside
from tests.planting import planted
from tests.recurrent import cases

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STEPS = 6  # one and a half chunks
FEW = ["alif", "glif", "plif", "probplif"]  # three states, coefficients per step, a gradient to one, random
FUSED = cases.FUSED if DEVICE == "cuda" else FEW


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    torch.manual_seed(0)
    monkeypatch.setattr(recurrent_gpu, "CHUNK", 4)


def check(
    name: str, n: int = 17, dtype=torch.float32, state: bool = True, weight=torch.float32, delays=None, **options
) -> None:
    """No flip, equal states and gradients on exact inputs, of 18 samples: two programs."""
    neuron = rb.LIF(**options) if options else cases.make(name, n)
    if neuron.random:
        neuron.seed = 5
    inputs = cases.dyadic(neuron, name, (STEPS, 18, n), dtype, state, delays)
    inputs.weight = inputs.weight.to(weight)
    neuron, inputs = neuron.to(DEVICE), inputs.to(DEVICE)
    eager = cases.call(neuron, inputs, "eager")
    assert 0.02 < eager["spikes"].double().mean() < 0.7
    found = cases.call(neuron, inputs, "triton")
    if weight == torch.bfloat16:  # sums of the same numbers, rounded to 8 bits
        for values in (eager, found):
            values["grad:weight"] = values["grad:weight"].float() * 2**-8
    cases.compare(eager, found)


@pytest.mark.parametrize("name", FUSED)
def test_every_kind_of_neuron_equals_eager(name):
    check(name)


def test_fresh_states_types_of_16_bits_and_other_resets():
    check("lif", state=False)
    check("lif", dtype=torch.bfloat16)
    check("lif", reset="hard", v_reset=-0.25, surrogate=rb.surrogate.Triangle())


def test_given_random_numbers():
    neuron = rb.ProbLIF()
    inputs = cases.dyadic(neuron, "problif", (STEPS, 5, 17), torch.float32)
    inputs.uniform = torch.rand(inputs.x.shape, generator=torch.Generator().manual_seed(4))
    inputs = inputs.to(DEVICE)
    cases.compare(cases.call(neuron, inputs, "eager"), cases.call(neuron, inputs, "triton"))


def test_wide_layers_read_the_weight_at_every_step(monkeypatch):
    monkeypatch.setattr(recurrent_gpu, "HELD", 16)
    monkeypatch.setattr(recurrent_gpu, "ROWS", 16)
    check("lif", n=40)
    check("probplif", n=40)


@pytest.mark.parametrize("held", [True, False], ids=["narrow", "wide"])
@pytest.mark.parametrize("state", [False, True], ids=["fresh", "carried on"])
def test_delays_equal_the_eager_loop(monkeypatch, state, held):
    """Some longer than the call: what arrives from before, and what nothing receives."""
    monkeypatch.setattr(recurrent_gpu, "HELD", 128 if held else 16)
    monkeypatch.setattr(recurrent_gpu, "ROWS", 16)
    check("lif", n=20, state=state, delays=torch.arange(20) % 4 * 3)
    check("probplif", n=20, state=state, delays=torch.arange(20) % 2)


@pytest.mark.parametrize("held", [True, False], ids=["narrow", "wide"])
def test_nothing_arrives_at_the_first_step_not_even_nan(monkeypatch, held):
    monkeypatch.setattr(recurrent_gpu, "HELD", 128 if held else 16)
    monkeypatch.setattr(recurrent_gpu, "ROWS", 16)
    inputs = cases.dyadic(rb.LIF(), "lif", (1, 3, 20), torch.float32, state=False).to(DEVICE)
    inputs.x[0], inputs.weight[0, 4] = 1.25, float("nan")
    found = cases.call(rb.LIF(), inputs, "triton")
    assert (found["spikes"] == 1).all() and not any(value.isnan().any() for value in found.values())


def test_parts_of_a_weight_are_all_of_it():
    """Every bit of float32 in three numbers of bfloat16; what is not finite stays."""
    weight = (torch.randn(20, 20) * torch.logspace(-6, 6, 20)).to(DEVICE)
    parts = recurrent_gpu.parts(weight, 20)
    assert parts.shape == (3, 32, 32) and torch.equal(parts.double().sum(0)[:20, :20].float(), weight)
    assert parts[:, 20:].abs().sum() == parts[:, :, 20:].abs().sum() == 0
    weight[3, 4], weight[5, 6] = float("inf"), float("nan")
    total = recurrent_gpu.parts(weight, 20).double().sum(0)[:20, :20].float()
    assert torch.equal(total.nan_to_num(7.0), weight.nan_to_num(7.0))
    assert recurrent_gpu.parts(weight.bfloat16(), 20).shape == (1, 32, 32)


def test_random_numbers_sum_as_precisely_as_eager():
    """Against float64: gradients of ordinary numbers, whose sums round."""
    neuron, found = rb.LIF(surrogate=rb.surrogate.Triangle()), {}
    inputs = cases.random("lif", (STEPS, 6, 40), torch.float32).to(DEVICE)
    inputs.x, inputs.weight = inputs.x.double(), inputs.weight.double()
    truth = cases.call(neuron, inputs, "eager")
    inputs.x, inputs.weight = inputs.x.float(), inputs.weight.float()
    for backend in ("eager", "triton"):
        found[backend] = cases.call(neuron, inputs, backend)
        assert torch.equal(found[backend]["spikes"].double(), truth["spikes"])
    for key in ("grad:x", "grad:weight"):
        eager, fused = ((found[b][key] - truth[key]).abs().max() for b in ("eager", "triton"))
        assert fused <= 3 * eager + 1e-7, key


def test_two_halves_no_steps_and_a_retained_graph():
    neuron, inputs = rb.CLIF(), cases.dyadic(rb.CLIF(), "clif", (STEPS, 3, 17), torch.float32, False)
    inputs = inputs.to(DEVICE)
    with rb.backend("triton"):
        whole, end = neuron.recur(inputs.x, inputs.weight)
        one, state = neuron.recur(inputs.x[:3], inputs.weight)
        two, last = neuron.recur(inputs.x[3:], inputs.weight, state)
        _, same = neuron.recur(inputs.x[:0], inputs.weight, last)
        x = inputs.x.clone().requires_grad_()
        spikes, _ = neuron.recur(x, inputs.weight)
        first, again = (torch.autograd.grad(spikes.sum(), x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(whole, torch.cat([one, two])) and torch.equal(first, again)
    assert all(torch.equal(end[key], last[key]) and torch.equal(end[key], same[key]) for key in end)


def test_what_has_no_kernel_says_so():
    x, weight = torch.zeros(2, 1, 3, device=DEVICE), torch.zeros(3, 3, device=DEVICE)
    with rb.backend("triton"):
        with pytest.raises(RuntimeError, match="at most 512 neurons"):
            rb.LIF().recur(torch.zeros(2, 1, 513, device=DEVICE), torch.zeros(513, 513, device=DEVICE))
        rb.LIF().recur(x, weight, delays=torch.zeros(3, dtype=torch.int64))
    assert rb.last_backend() == "triton"


SCRIPT = """
import json, re
from rheobase import show
from rheobase.fuse import gpu_source, recurrent_gpu

found = {}
for name, capability, n in (("lif", 80, 256), ("probplif", 90, 128)):
    for backward in (False, True):
        neuron = show.from_spec(name)
        variant = gpu_source.Variant.like(show.default_variant(neuron))
        kernel = recurrent_gpu.compile_ahead(neuron.program(), variant, capability, n, backward)
        ptx = kernel.asm["ptx"]
        found[f"{name} {capability} {n} {backward}"] = {
            "target": re.search(r"[.]target (\\w+)", ptx).group(1), "local": ".local" in ptx, "products": "mma" in ptx,
            "shared": kernel.metadata.shared, "fused": len(re.findall(r"\\bfma[.]", ptx))}
print(json.dumps(found))
"""


def test_both_passes_compile_for_gpus_that_are_not_here():
    """On tensor cores, without local memory, in the shared memory that an A100 has (163 KiB), nothing fused."""
    for case, facts in outside(SCRIPT).items():
        name, capability, *_ = case.split()
        assert facts["target"].startswith(f"sm_{capability}"), case
        assert facts["products"] and not facts["local"] and facts["shared"] <= 163 * 1024, (case, json.dumps(facts))
        assert name != "lif" or facts["fused"] == 0, case


PLANTED = {
    "a strict threshold": (" >= 0.0", " > 0.0"),
    "first states ignored": ("if first_v is None", "if True"),
    "no spikes from before the first step": ("if before is not None", "if False"),
    "delayed spikes from before all as at the first step": ("tl.load(before + here,", "tl.load(before + m,"),
    "a part of the weight left out": (
        "plus(plus(tl.dot(s, low), tl.dot(s, middle)), tl.dot(s, high))",
        "plus(tl.dot(s, low), tl.dot(s, middle))",
    ),
    "a part of the gradient left out": ("    return plus(total, tl.dot(d_high, high))", "    return total"),
    "nothing flows back": ("cot += sent", "cot += 0.0 * sent"),
    "the states of the first chunk": ("(first // CHUNK", "(0 // CHUNK"),
    "a final state of zero": ("tl.store(last_v + m, state_v", "tl.store(last_v + m, 0.0 * state_v"),
    "states of a chunk in the wrong order": ("t = end - 1 - gone", "t = first + gone"),
    "gradients of final states ignored": ("if cot_v is None", "if True"),
    "every delay one step longer": ("at = t - tl.load", "at = t - 1 - tl.load"),
    "delays forgotten on the way back": ("arrived = t + 1 + behind", "arrived = t + 1 + 0 * behind"),
    "a sum over one step": ("sum_rate += ", "sum_rate = "),
    "one program for all samples": ("tl.program_id(0).to(tl.int64) * BLOCK +", "0 * BLOCK +"),
}


@pytest.mark.parametrize("wrong", PLANTED)
def test_wrong_kernels_are_caught(monkeypatch, tmp_path, wrong):
    old, new = PLANTED[wrong]
    monkeypatch.setattr(trace, "_programs", {})
    monkeypatch.setattr(gpu, "_modules", {})
    monkeypatch.setattr(build, "folder", lambda: tmp_path)
    delays = torch.arange(17) % 3 if "delay" in wrong else None
    with planted(monkeypatch, old, new, recurrent_gpu_source), pytest.raises(AssertionError, match=r"flips|off by"):
        check("plif" if "rate" in old else "lif", delays=delays)
