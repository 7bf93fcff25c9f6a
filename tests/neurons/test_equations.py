"""Every neuron against the equations, written out independently in reference.py: values and gradients in float64."""

import itertools

import pytest
import torch

import rheobase as rb
from tests.neurons import reference
from tests.neurons.dual import Dual, variables

TOLERANCE = 1e-12
STEPS = 7

HARD = {"reset": "hard", "v_reset": -0.25}
SPECIAL = {"tau": 3.0, "threshold": 0.75}
CASES = {
    "lif": [{}, SPECIAL | HARD, {"decay_input": True, "detach_reset": True}, {"reset": "hard"}, {"tau": 1.1}],
    "plif": [{}, {"variant": "soft"}, SPECIAL, {"variant": "soft", "channels": 3, "tau": 1.5}, HARD, {"channels": 3},
             {"detach_reset": False}, {"reset": "soft"}],
    "clif": [{}, SPECIAL],
    "ilif": [{}, SPECIAL, {"gamma_u": 0.5, "gamma_i": 0.75}, {"mpiu": False}, {"ciu": False},
             {"mpiu": False, "ciu": False}],
    "iplif": [{}, SPECIAL | {"gamma_i": 0.5}, {"channels": 3}, {"ciu": False}, {"mpiu": False}],
    "dalif": [{}, {"activation": "sigmoid"}, {"channels": 3, "threshold": 0.5}, {"alpha": 0.8, "beta": -0.3},
              {"alpha": 0.9}, {"beta": 0.7, "learn_alpha": False}, {"learn_beta": False}],
    "klif": [{}, SPECIAL | {"reset": "hard"}, {"channels": 3}, HARD | {"detach_reset": True}],
    "glif": [{"steps": STEPS}, {"steps": STEPS + 2, "channels": 3}],
    "alif": [{}, {"tau": 2.0, "tau_a": 3.0, "threshold": 0.4}, {"beta": 0.2, "dt": 4.0, "tau_a": 10.0}],
    "tclif": [{}, {"threshold": 0.5, "gamma": 0.25}, {"channels": 3}],
    "dietlif": [{}, {"channels": 3}, {"leak": 0.5, "threshold": 2.0}, {"detach_reset": False}],
    "problif": [{}, {"tau": 2.0, "sigma": 0.5}, {"sigma": 0.0, "tau": 3.0}, {"mix": 0.25, "dt": 5.0, "threshold": 0.5}],
    "probplif": [{}, {"features": 3, "tau": 4.0}, {"features": (3, 2), "tau": 2.0}, {"sigma": 0.0, "dt": 6.0}],
}  # fmt: skip
FLAT = [(name, options) for name, cases in CASES.items() for options in cases]
SURROGATES = [getattr(rb.surrogate, name) for name in rb.surrogate.names()]


def spelled(value) -> str:
    return "-".join(f"{k}={v}" for k, v in value.items()) or "default" if isinstance(value, dict) else str(value)


def shaken(neuron: rb.Neuron, generator: torch.Generator) -> rb.Neuron:
    """The same neuron in float64 with every parameter moved off its start, each entry on its own."""
    neuron.double()
    with torch.no_grad():
        for value in neuron.parameters():
            value += (torch.rand(value.shape, generator=generator) - 0.3) * (0.2 + 0.3 * value.abs())
    return neuron


def numbers(neuron, t: int, c: int, w: int) -> dict:
    """Each learnable parameter for one neuron; GLIF's g at step t."""
    found = {}
    for name, value in neuron.named_parameters():
        value = value[t] if name == "g" else value
        found[name] = float(value.detach()[(c, w)[: value.dim()]])
    return found


def run_reference(name, neuron, options, x, states, uniform, at, slope):
    """Spikes, final states and their derivatives to x, first states and parameters (by step) of one neuron."""
    b, c, w = at
    step = reference.NEURONS[name]
    steps, count = x.shape[0], len(neuron.states)
    per_step = [numbers(neuron, t, c, w) for t in range(steps)]
    names = list(per_step[0])
    seeds = [float(x[t, b, c, w]) for t in range(steps)] + [float(states[k][b, c, w]) for k in neuron.states]
    seeds += [row[k] for row in per_step for k in names]
    duals = variables(seeds)
    currents, now, rest = duals[:steps], duals[steps : steps + count], duals[steps + count :]
    spikes, rows = [], []
    for t in range(steps):
        p = dict(zip(names, rest[t * len(names) : (t + 1) * len(names)], strict=True))
        s, now = step(currents[t], now, p, options, slope, float(uniform[t, b, c, w]))
        spikes.append(s)
        rows.append([Dual(v.value, v.slope) for v in now])
    return spikes, rows, names


def random_case(name, options, generator, surrogate=None):
    """A neuron off its defaults, inputs that make it fire, initial states and random numbers."""
    extra = {} if surrogate is None else {"surrogate": surrogate}
    neuron = shaken(rb.neurons.create(name, **options, **extra), generator)
    shape = (STEPS, 1, 3, 2)
    x = torch.randn(shape, generator=generator, dtype=torch.float64) * 1.5 + 0.4
    states = {k: torch.randn(shape[1:], generator=generator, dtype=torch.float64) * 0.5 for k in neuron.states}
    uniform = torch.rand(shape, generator=generator, dtype=torch.float64)
    while neuron(x).mean() < 0.1:
        x = x * 3
    return neuron, x, states, uniform


def check_against_reference(name, options, neuron, x, states, uniform, slope):
    """Spikes, every state at every step, and all gradients of a random loss, to 1e-12."""
    generator = torch.Generator().manual_seed(5)
    plain = x, states, uniform
    x = x.clone().requires_grad_()
    states = {k: v.clone().requires_grad_() for k, v in states.items()}
    given = {"uniform": uniform} if hasattr(neuron, "seed") else {}
    start = states | {k: torch.tensor(0) for k in neuron._clocked()}
    record = neuron.trace(x, start, **given)
    with rb.backend("eager"):
        spikes, last = neuron.scan(x, start, **given)
    pull = torch.randn(spikes.shape, generator=generator, dtype=torch.float64)
    pulls = {k: torch.randn(x.shape[1:], generator=generator, dtype=torch.float64) for k in neuron.states}
    ((pull * spikes).sum() + sum((pulls[k] * last[k]).sum() for k in neuron.states)).backward()
    wanted = {k: torch.zeros_like(v) for k, v in neuron.named_parameters()}
    fired = 0
    for at in itertools.product(*map(range, x.shape[1:])):
        s, rows, names = run_reference(name, neuron, options, *plain, at, slope)
        fired += sum(v.value for v in s)
        assert [v.value for v in s] == spikes.detach()[(slice(None), *at)].tolist(), f"spikes of neuron {at}"
        for k, state in enumerate(neuron.states):
            mine = torch.tensor([row[k].value for row in rows], dtype=torch.float64)
            assert_close(record[state][(slice(None), *at)], mine, f"state {state} of neuron {at}")
        loss = sum((float(pull[(t, *at)]) * v for t, v in enumerate(s)), Dual(0.0))
        loss = loss + sum((float(pulls[state][at]) * rows[-1][k] for k, state in enumerate(neuron.states)), Dual(0.0))
        slopes = torch.tensor(loss.slope)
        steps, count = x.shape[0], len(neuron.states)
        assert_close(x.grad[(slice(None), *at)], slopes[:steps], f"gradient to x of neuron {at}")
        first = torch.stack([states[k].grad[at] for k in neuron.states])
        assert_close(first, slopes[steps : steps + count], f"gradients to the first states of neuron {at}")
        for t, row in enumerate(slopes[steps + count :].view(steps, len(names))):
            for k, value in zip(names, row, strict=True):
                target = wanted[k][t] if k == "g" else wanted[k]
                (target if target.dim() == 0 else target[at[1 : 1 + target.dim()]]).add_(value)
    for k, value in neuron.named_parameters():
        if value.requires_grad:
            assert value.grad is not None, f"no gradient to parameter {k}"
            assert_close(value.grad, wanted[k], f"gradient to parameter {k}")
    return fired / x.numel()


def assert_close(got, wanted, what):
    error = (got.detach() - wanted).abs()
    assert bool((error <= TOLERANCE * (1 + wanted.abs())).all()), f"{what}: off by {float(error.max()):.3g}"


def test_every_neuron_has_an_independent_reference():
    assert {*CASES, "psn"} == set(rb.neurons.names())


@pytest.mark.parametrize(("name", "options"), FLAT, ids=spelled)
def test_neuron_computes_its_equations_and_their_gradients(name, options):
    generator = torch.Generator().manual_seed(len(name) + len(options))
    neuron, x, states, uniform = random_case(name, options, generator)
    kind = type(neuron.surrogate).__name__.lower()
    fields = {k: getattr(neuron.surrogate, k) for k in neuron.surrogate.__dataclass_fields__}

    def slope(d):
        return reference.SURROGATES[kind](d, **fields)

    rate = check_against_reference(name, options, neuron, x, states, uniform, slope)
    assert 0.02 < rate < 0.98, f"the check saw {rate:.0%} spikes"


@pytest.mark.parametrize("surrogate", SURROGATES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", CASES)
def test_gradient_uses_the_surrogate_it_is_given(name, surrogate):
    generator = torch.Generator().manual_seed(3)
    options = CASES[name][0]
    neuron, x, states, uniform = random_case(name, options, generator, surrogate())
    small = x[..., :1], {k: v[..., :1] for k, v in states.items()}, uniform[..., :1]
    rate = check_against_reference(name, options, neuron, *small, reference.SURROGATES[surrogate.__name__.lower()])
    assert rate > 0


@pytest.mark.parametrize("name", CASES)
def test_fresh_states_are_zero(name):
    generator = torch.Generator().manual_seed(8)
    neuron, x, states, uniform = random_case(name, CASES[name][0], generator)
    given = {"uniform": uniform} if hasattr(neuron, "seed") else {}
    zero = {k: torch.zeros_like(v) for k, v in states.items()} | {k: torch.tensor(0) for k in neuron._clocked()}
    assert torch.equal(neuron(x, **given), neuron.scan(x, zero, **given)[0])
    assert all(not v.any() for k, v in neuron.zero_state(x).items() if k in neuron.states)
