"""The Triton kernels, in Triton's interpreter, against the C kernel; compiled ahead for GPUs that are not here."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy
import pytest
import torch
from networks import NEURONS, random_case, weigh
from test_engines import solve

from rheobase import backend, exact, last_backend
from rheobase.exact import gpu, gpu_apart, gpu_coupled, lif_gpu

interpreted = pytest.mark.skipif(not gpu.fused.interpreting(), reason="Triton's interpreter is off (a GPU is here)")
SMALL = {"N": 3, "inputs": 3, "K": 4, "B": 1, "scale": 2.0}


def agree(case, tolerance=1e-9):
    """Events, states and every gradient of both engines."""
    (found, got), (truth, wanted) = solve(case, "triton"), solve(case, "cpu")
    assert torch.equal(found.ids, truth.ids) and torch.equal(found.is_input, truth.is_input)
    assert torch.equal(found.rank, truth.rank)
    torch.testing.assert_close(found.times, truth.times, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found.state_at_T, truth.state_at_T, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found.smallest_slope, truth.smallest_slope, rtol=tolerance, atol=tolerance)
    for one, other in zip(got, wanted, strict=True):
        size = float(other.abs().max()) if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance * (size + 1))
    return truth


@interpreted
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_triton_is_the_c_kernel(kind, coupled):
    case = random_case(kind, 6, coupled=coupled, delayed=coupled and kind in ("qif", "osclif"), **SMALL)
    assert int(agree(case).counts().sum()) >= 2
    with backend("triton"):
        case.run()
    assert last_backend() == "triton"


@interpreted
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
def test_single_precision_simultaneous_inputs_and_blocks(coupled, monkeypatch):
    """float32 to 1e-4; inputs at one time; states stored every second event."""
    monkeypatch.setattr(gpu, "INTERVAL", 2)
    case = random_case("lif", 5, coupled=coupled, **SMALL)
    case.times = (case.times * 4).round() / 4
    agree(case.cast(torch.float32), tolerance=1e-4)


@interpreted
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
def test_room_grows(coupled, monkeypatch):
    rooms = []
    for module in (gpu_coupled, gpu_apart):
        monkeypatch.setattr(module, "FIRST_ROOM", 0 if module is gpu_coupled else 1)
        attempt = module._attempt
        monkeypatch.setattr(
            module, "_attempt", lambda run, *given, attempt=attempt: rooms.append(run.room) or attempt(run, *given)
        )
    case = random_case("osclif", 1, coupled=coupled, **SMALL)
    agree(case)
    assert len(rooms) > 1 and rooms == sorted(rooms)
    with backend("triton"), pytest.raises(RuntimeError, match="max_events=6"):
        case.max_events = 6
        case.run()


@interpreted
def test_an_arrival_is_no_event():
    """Two spikes and their arrivals are two events."""
    given = exact.OscLIF(1.0, 1.4, 1.0), torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(0), [], 3.0
    delays = None, torch.tensor([0.1])
    with backend("triton"):
        assert len(exact.simulate(*given, delays=delays, max_events=2).times) == 2
        with pytest.raises(RuntimeError, match="max_events=1 "):
            exact.simulate(*given, delays=delays, max_events=1)


@interpreted
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
def test_strong_currents_empty_batches_and_overflow(coupled):
    case = random_case("qif", 0, coupled=coupled, **SMALL | {"scale": 60.0, "K": 2})
    case.T, case.w_in = 0.5, -case.w_in.abs()
    agree(case, tolerance=1e-8)
    for empty in ({"K": 0}, {"B": 0}):
        agree(random_case("theta", 0, coupled=coupled, **SMALL | empty))
    case = random_case("lif", 0, coupled=coupled, **SMALL).cast(torch.float32)
    case.w_in = -torch.full_like(case.w_in, 3e38)
    with backend("triton"), numpy.errstate(all="ignore"), pytest.raises(RuntimeError, match="overflowed"):
        case.run()


@interpreted
@pytest.mark.parametrize("kind", ["qif", "theta"])
def test_everything_lies_where_the_input_lies(kind):
    """Every tensor that is made without a device fails here, as it would beside tensors on a GPU."""
    case = random_case(kind, 6, **SMALL)
    with torch.device("meta"), backend("triton"):
        events = case.run(pseudospikes=True)
        first = events.first([0, 2], 3)
        layers = exact.feedforward(case.neuron, [case.w_in, case.w_net], case.times, case.ids, 2.0, pseudospikes=True)
        losses = exact.losses.first_spike(first[..., 0], [1], case.T) + exact.losses.count(first, [[1.0, 2.0]], case.T)
        assert (events.counts().device.type, layers[-1].first([0], 1).device.type, losses.device.type) == ("cpu",) * 3
    assert bool(first.isfinite().all())


@interpreted
def test_a_wrong_piece_is_caught(monkeypatch):
    """The kick of a LIF neuron in the adjoint of a QIF network."""
    right = gpu.functions
    monkeypatch.setattr(
        gpu, "functions",
        lambda part, back: right(part, back) | ({"KICK_BACK": lif_gpu.kick_back} if back else {}),
    )  # fmt: skip
    with pytest.raises(AssertionError):
        agree(random_case("qif", 6, **SMALL))


def test_backends_that_cannot_run_say_why(monkeypatch):
    case = random_case("qif", 0, **SMALL)
    monkeypatch.setattr(gpu.fused, "interpreting", lambda: False)
    with backend("triton"), pytest.raises(RuntimeError, match="not on a GPU"):
        case.run()
    monkeypatch.setattr(gpu.fused, "installed", lambda: False)
    with backend("triton"), pytest.raises(RuntimeError, match="triton is not installed"):
        case.run()
    with pytest.raises(ValueError, match="4096 coupled neurons"):
        gpu.width(5000, True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("delayed", [False, True], ids=["instant", "delayed"])
@pytest.mark.parametrize("coupled", [False, True], ids=["uncoupled", "coupled"])
@pytest.mark.parametrize("kind", NEURONS)
def test_a_gpu_is_the_c_kernel(kind, coupled, delayed, dtype):
    """On CUDA tensors "auto" runs Triton; networks wider than one warp, with many blocks of events."""
    case = random_case(kind, 3, N=100, K=100, B=4, scale=0.1, coupled=coupled, delayed=delayed).cast(dtype)
    case.w_net = case.w_net / 20 if coupled else None
    here, gradients = solve(case, "cpu")
    leaves = [leaf.detach().cuda().requires_grad_() for leaf in case.leaves()]
    w_in, *others = leaves
    w_net = others.pop(0) if coupled else None
    times, x0, *delays = others
    there = exact.simulate(
        case.neuron, w_in, w_net, times, case.ids.cuda(), case.T, x0=x0, delays=tuple(delays) or None
    )
    assert last_backend() == "triton" and there.times.is_cuda
    tolerance = 1e-8 if dtype == torch.float64 else 1e-3
    torch.testing.assert_close(there.times.cpu(), here.times, rtol=tolerance, atol=tolerance)
    if dtype == torch.float64:
        assert torch.equal(there.ids.cpu(), here.ids)
        for one, other in zip(torch.autograd.grad(weigh_on(there, here), leaves), gradients, strict=True):
            size = float(other.abs().max())
            torch.testing.assert_close(one.cpu(), other, rtol=tolerance, atol=tolerance * (size + 1))


def weigh_on(there, here):
    """The loss of `weigh`, whose random numbers are drawn on the CPU, for events on another device."""
    moved = {name: getattr(there, name).cpu() for name in ("times", "ids", "is_input", "state_at_T", "rank")}
    return weigh(dataclasses.replace(here, **moved))


SCRIPT = """
import json, re, sys, torch
from rheobase import exact
from rheobase.exact import gpu_ahead
neurons = {"qif": exact.QIF(), "lif": exact.LIF(), "theta": exact.Theta(1.0, 1.0)}
neurons["osclif"] = exact.OscLIF(1.0, 2.0, 1.0)
found = []
for kind, dtype, capability, coupled, backward, delayed in json.loads(sys.argv[1]):
    ptx = gpu_ahead.compile_ahead(
        neurons[kind], getattr(torch, dtype), capability, coupled, backward, delayed=delayed
    )
    atomic = re.search(r"\\b(atom|red)[.]", ptx) is not None
    found.append([re.search(r"[.]target (\\w+)", ptx).group(1), atomic])
print(json.dumps(found))
"""
FEW = [
    ("qif", "float64", 80, True, True, False), ("theta", "float32", 80, False, False, False),
    ("osclif", "float32", 90, True, False, True),
]  # fmt: skip
ALL = [
    (kind, dtype, capability, coupled, backward, delayed) for kind in NEURONS for dtype in ("float32", "float64")
    for capability in (80, 90) for coupled in (False, True) for backward in (False, True)
    for delayed in ((False, True) if coupled else (False,))
]  # fmt: skip


# Calls go through Triton's own binding of arguments and its compiler, for an sm_90 that is not there; none is launched.
UNLAUNCHED = """
import json, sys, triton
from triton.backends.compiler import GPUTarget
import rheobase as rb
from networks import random_case, weigh
from rheobase.exact import gpu, gpu_loop, gpu_walk

class Driver:
    get_current_target = lambda self: GPUTarget("cuda", 90, 32)
    get_current_device = get_current_stream = lambda self, *_: 0

class Unlaunched:
    def __init__(self, function):
        self.function = function
    def __getitem__(self, grid):
        return lambda **given: compiled.add(self.function.run(grid=grid, warmup=True, **given).hash)

triton.runtime.driver.set_active(Driver())
gpu.obstacle, compiled = lambda device: None, set()
for module in (gpu_loop, gpu_walk):
    module.forward, module.backward = Unlaunched(module.forward), Unlaunched(module.backward)
for K in (1, 16, 20, 37):
    for coupled in (False, True):
        case = random_case("lif", 0, coupled=coupled, K=K, B=2)
        case.w_in.requires_grad_()
        with rb.backend("triton"):
            weigh(case.run()).backward()
print(json.dumps(len(compiled)))
"""


def outside(script: str, *arguments: str):
    """What a script prints in a process where Triton's interpreter is off."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([os.path.dirname(__file__), environment.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


def test_kernels_compile_ahead():
    """Some of the kernels for sm_80 and sm_90; all of them with RHEOBASE_CHECKS=full."""
    wanted = ALL if os.environ.get("RHEOBASE_CHECKS") == "full" else FEW
    for (_, _, capability, _, backward, _), (target, atomic) in zip(
        wanted, outside(SCRIPT, json.dumps(wanted)), strict=True
    ):
        assert target.startswith(f"sm_{capability}") and atomic == backward  # weight gradients are summed so


def test_calls_bind_and_a_new_number_of_inputs_compiles_nothing():
    """One forward and one backward kernel of either loop."""
    assert outside(UNLAUNCHED) == 4


def test_weigh_feels_every_event():
    """The comparison's own loss has a gradient at every event."""
    case = random_case("lif", 5, **SMALL)
    case.times.requires_grad_()
    events = case.run()
    (g,) = torch.autograd.grad(weigh(events), events.times)
    assert bool((g[~events.times.isinf()] != 0).all())
