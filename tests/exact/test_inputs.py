"""What `simulate` refuses, and that it says why; what it accepts in other forms."""

from __future__ import annotations

import math

import pytest
import torch

from rheobase import backend, exact
from rheobase.exact import kernel, operator

W = torch.full((3, 2), 2.0)
GOOD = {
    "neuron": exact.QIF(),
    "w_in": W,
    "w_net": torch.zeros(3, 3),
    "times": torch.tensor([0.1, 0.4]),
    "ids": torch.tensor([0, 1]),
    "T": 2.0,
}
NAN, INF = math.nan, math.inf
BAD = {
    "neuron": ({"neuron": "QIF"}, "neuron"),
    "w_in shape": ({"w_in": torch.ones(3)}, "w_in must be"),
    "w_in integer": ({"w_in": torch.ones(3, 2, dtype=torch.long)}, "w_in must be float32"),
    "w_in NaN": ({"w_in": W * NAN}, "w_in must not hold NaN"),
    "w_in elsewhere": ({"w_in": W.to("meta")}, "on the CPU or a CUDA GPU"),
    "times elsewhere": ({"times": GOOD["times"].to("meta")}, "times must be where w_in is"),
    "ids elsewhere": ({"ids": GOOD["ids"].to("meta")}, "ids must be where w_in is"),
    "T negative": ({"T": -1.0}, "T must be finite and above 0"),
    "T NaN": ({"T": NAN}, "T must be finite"),
    "no neurons": ({"w_in": torch.zeros(0, 2)}, "at least one row"),
    "delays NaN": ({"delays": (torch.tensor([0.1, NAN]), None)}, "delays of the inputs must not hold NaN"),
    "x0 NaN": ({"x0": torch.full((2, 3), NAN)}, "x0 must not hold NaN"),
    "w_net shape": ({"w_net": torch.zeros(3, 2)}, "w_net must be"),
    "w_net dtype": ({"w_net": torch.zeros(3, 3).double()}, "dtype of w_in"),
    "w_net infinite": ({"w_net": torch.full((3, 3), INF)}, "w_net must be finite"),
    "times NaN": ({"times": torch.tensor([0.1, NAN])}, "times must not hold NaN"),
    "times negative": ({"times": torch.tensor([0.1, -0.4])}, "times must not be negative"),
    "times shape": ({"times": torch.tensor(0.1)}, "times must be"),
    "times integer": ({"times": torch.tensor([1, 2])}, "times must be float32"),
    "ids high": ({"ids": torch.tensor([0, 2])}, "ids must lie in 0..1"),
    "ids low": ({"ids": torch.tensor([0, -2])}, "ids must lie in 0..1"),
    "ids float": ({"ids": torch.tensor([0.0, 1.0])}, "ids must be integers"),
    "ids shape": ({"ids": torch.tensor([0, 1, 1])}, "one shape"),
    "padding": ({"times": torch.tensor([0.1, INF])}, "padding"),
    "padding that has a time": ({"ids": torch.tensor([0, -1])}, "padding needs both"),
    "T zero": ({"T": 0.0}, "T must be finite and above 0"),
    "T infinite": ({"T": INF}, "T must be finite"),
    "T a flag": ({"T": True}, "T must be finite"),
    "T text": ({"T": "long"}, "T must be one number"),
    "x0 shape": ({"x0": torch.zeros(1, 3)}, r"x0 must be \[2, 3\]"),
    "x0 batch": ({"times": torch.zeros(4, 2), "ids": torch.zeros(4, 2).long(), "x0": torch.zeros(5, 2, 3)}, "batch"),
    "x0 high": ({"neuron": exact.LIF(), "x0": 1.01 * torch.ones(2, 3)}, "x0 row V must be at most 1.0"),
    "phase": ({"neuron": exact.Theta(1.0, 1.0), "x0": torch.full((1, 3), 9.0)}, "phases"),
    "max_events": ({"max_events": 0}, "max_events"),
    "delays": ({"delays": torch.zeros(2)}, "pair"),
    "delays shape": ({"delays": (torch.zeros(3), None)}, "delays of the inputs"),
    "delays negative": ({"delays": (None, -torch.ones(3))}, "not be negative"),
    "layers": ({"pseudospikes": True, "layers": [1, 1]}, "layers must be sizes"),
    "layers uncoupled": ({"pseudospikes": True, "layers": [99], "w_net": None}, "layers must be sizes"),
    "layers unused": ({"layers": [3]}, "layers are for pseudospikes"),
    "w_in None": ({"w_in": None}, "w_in must be a tensor; got NoneType"),
    "times None": ({"times": None}, "times must be a tensor; got NoneType"),
    "ids None": ({"ids": None}, "ids must be integers; got NoneType"),
    "max_events True": ({"max_events": True}, "max_events"),
    "layers within": (
        {"pseudospikes": True, "layers": [2, 1], "w_net": torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])},
        r"layers \[2, 1\] leave connections within a layer",
    ),
    "layers cross": ({"pseudospikes": True, "layers": [2, 1], "w_net": torch.ones(3, 3)}, "recurrent rule"),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD.keys())
def test_mistakes_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        exact.simulate(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: exact.QIF(tau=0.0), "tau"),
        (lambda: exact.QIF(tau=True), "tau"),
        (lambda: exact.LIF(threshold=NAN), "threshold"),
        (lambda: exact.Theta(tau=1.0, i0=0.2), "i0 must be above 1/4"),
        (lambda: exact.OscLIF(tau=1.0, i0=1.0, threshold=1.0), "i0 must be above the threshold"),
        (lambda: exact.simulate(**GOOD).first([3], 1), "output_ids"),
        (lambda: exact.simulate(**GOOD).first([0], 0), "count"),
        (lambda: exact.simulate(**GOOD).first([0.9], 1), "output_ids must be whole"),
    ],
)
def test_parameters_are_checked(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_order_of_the_input_does_not_matter():
    other = exact.simulate(**{**GOOD, "times": GOOD["times"].flip(0), "ids": GOOD["ids"].flip(0)})
    assert torch.equal(exact.simulate(**GOOD).times, other.times)


def test_the_diagonal_of_w_net_is_no_parameter():
    w_net = torch.eye(3).requires_grad_()
    events = exact.simulate(**{**GOOD, "w_net": w_net, "w_in": 5 * W})
    assert torch.equal(events.times.detach(), exact.simulate(**{**GOOD, "w_in": 5 * W}).times)
    assert int(events.counts().sum()) > 0
    assert torch.autograd.grad(events.times.sum(), w_net)[0].diagonal().tolist() == [0.0] * 3


@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_the_guard_names_itself(engine):
    wild = {**GOOD, "neuron": exact.LIF(), "w_in": 5 * W, "w_net": torch.full((3, 3), 50.0), "max_events": 300}
    with backend(engine), pytest.raises(RuntimeError, match="max_events=300"):
        exact.simulate(**wild)
    happened = len(exact.simulate(**GOOD).times)
    assert len(exact.simulate(**{**GOOD, "max_events": happened}).times) == happened


def test_events_at_T_do_not_happen():
    events = exact.simulate(**{**GOOD, "T": 0.4})
    assert events.times.tolist() == pytest.approx([0.1])


def test_without_a_compiler_the_reference_runs_and_says_so_once(monkeypatch):
    monkeypatch.setattr(operator.build, "compiler", lambda: None)
    monkeypatch.setattr(operator.backends, "warned", set())
    with pytest.warns(RuntimeWarning, match="no C compiler"):
        first = exact.simulate(**GOOD)
    again = exact.simulate(**GOOD)
    assert torch.equal(first.times, again.times)


def test_nothing_is_kept_when_no_gradient_is_wanted(monkeypatch):
    asked = []
    plain = kernel.KernelEngine.forward
    monkeypatch.setattr(
        kernel.KernelEngine, "forward", lambda self, problem, store: asked.append(store) or plain(self, problem, store)
    )
    exact.simulate(**GOOD)
    exact.simulate(**{**GOOD, "w_in": W.clone().requires_grad_()})
    with torch.no_grad():
        exact.simulate(**{**GOOD, "w_in": W.clone().requires_grad_()})
    assert asked == [False, True, False]


def test_inference_mode_and_two_backward_passes():
    w_in = (5 * W).requires_grad_()
    times = exact.simulate(**{**GOOD, "w_in": w_in}).first([0], 1)
    first, second = (torch.autograd.grad(times.sum(), w_in, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with torch.inference_mode():
        assert torch.equal(exact.simulate(**{**GOOD, "w_in": w_in}).first([0], 1), times)


@pytest.mark.parametrize("engine", ["cpu", "eager"])
@pytest.mark.parametrize("coupled", [True, False], ids=["coupled", "uncoupled"])
@pytest.mark.parametrize("name", ["w_in", "times", "ids", "x0", "delays"])
def test_what_the_sweep_back_needs_must_not_change_before_it(name, coupled, engine):
    given = {name: GOOD[name].clone() for name in ("w_in", "times", "ids")} | {"x0": torch.zeros(2, 3)}
    given = {name: value.double() if value.is_floating_point() else value for name, value in given.items()}
    given["w_in"].mul_(5).requires_grad_()
    late = torch.zeros(3, dtype=torch.float64)
    w_net = torch.ones(3, 3, dtype=torch.float64) if coupled else None
    with backend(engine):
        loss = exact.simulate(**{**GOOD, **given, "w_net": w_net, "delays": (None, late)}).first([0, 1, 2], 1).sum()
    with torch.no_grad():
        (late if name == "delays" else given[name]).zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_change_that_torch_cannot_see_does_not_lead_beyond_the_log():
    shared = torch.full((1, 2000), 9.0, dtype=torch.float64).numpy()
    shared[:, :5] = 0.1
    w_in = torch.full((3, 1), 5.0, dtype=torch.float64).requires_grad_()
    loss = [
        exact.simulate(exact.QIF(), w_in, None, times, torch.zeros(1, 2000, dtype=torch.long), 2.0).state_at_T
        for times in (torch.from_numpy(shared), torch.from_numpy(shared.copy()))
    ]
    shared[:] = 0.2
    changed, kept = (torch.autograd.grad(state.atan().sum(), w_in)[0] for state in loss)
    assert torch.equal(changed, kept)


@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_a_second_derivative_is_refused_even_where_the_loss_is_linear_in_the_times(engine):
    w_in = (5 * W).requires_grad_()
    with backend(engine):
        times = exact.simulate(**{**GOOD, "w_in": w_in}).first([0], 1)
    (slope,) = torch.autograd.grad(times.sum(), w_in, create_graph=True)
    with pytest.raises(RuntimeError, match="event-driven simulations have no second derivative"):
        slope.square().sum().backward()
    with pytest.raises(RuntimeError, match="one gradient at a time"):
        torch.autograd.grad(times, w_in, torch.ones(2, *times.shape), is_grads_batched=True)


def test_numpy_numbers_are_numbers():
    import numpy as np

    plain = exact.simulate(**{**GOOD, "w_in": 5 * W, "max_events": 100}, pseudospikes=True, layers=[3])
    other = {"neuron": exact.QIF(tau=np.float32(1.0)), "w_in": 5 * W, "T": np.float64(2.0), "max_events": np.int64(100)}
    events = exact.simulate(**{**GOOD, **other}, pseudospikes=True, layers=[np.int64(3)])
    assert events.neuron == exact.QIF(tau=1.0) and type(events.neuron.tau) is float
    assert torch.equal(events.first(np.array([0, 2]), np.int32(2)), plain.first([0, 2], 2))


@pytest.mark.parametrize("x0", [None, torch.ones(2, 3)], ids=["default", "one for all"])
@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_a_batch_of_no_samples_has_no_states(engine, x0):
    empty = {"times": torch.zeros(0, 4), "ids": torch.zeros(0, 4, dtype=torch.long), "x0": x0}
    with backend(engine):
        events = exact.simulate(**{**GOOD, **empty}, pseudospikes=True)
    assert events.state_at_T.shape == (0, 2, 3) and events.first([0, 1], 2).shape == (0, 2, 2)


@pytest.mark.parametrize("coupled", [True, False], ids=["coupled", "uncoupled"])
@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_an_arrival_is_no_event(engine, coupled):
    """Seven spikes, each of which arrives .1 later."""
    neuron, w_net = exact.OscLIF(1.0, 1.4, 1.0), torch.zeros(1, 1) if coupled else None
    given = neuron, torch.zeros(1, 1), w_net, torch.zeros(0), [], 10.0
    with backend(engine):
        events = exact.simulate(*given, delays=(None, torch.tensor([0.1])), max_events=7)
        assert len(events.times) == int(events.counts().sum()) == 7
        with pytest.raises(RuntimeError, match="max_events=6"):
            exact.simulate(*given, delays=(None, torch.tensor([0.1])), max_events=6)
