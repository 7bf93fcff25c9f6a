"""What is special about single neurons: published traces, limits in which one neuron becomes another, ablations."""

import math

import pytest
import torch

import rheobase as rb
from tests.neurons import reference
from tests.neurons.dual import Dual


@pytest.fixture
def x():
    return torch.randn(9, 4, 3, generator=torch.Generator().manual_seed(1)) * 1.5


@pytest.fixture(autouse=True)
def in_float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def gradient(neuron, x, **given):
    """Spikes and the gradient to x of a random weighting of them."""
    x = x.clone().requires_grad_()
    s = neuron(x, **given)
    (s * torch.randn(s.shape, generator=torch.Generator().manual_seed(2), dtype=s.dtype)).sum().backward()
    return s, x.grad


def assert_same(one, other, x, **given):
    """Equal spikes and gradients, and at least one spike to compare."""
    (s, slope), (other_s, other_slope) = gradient(one, x, **given), gradient(other, x)
    assert s.any() and torch.equal(s, other_s)
    torch.testing.assert_close(slope, other_slope, rtol=1e-12, atol=1e-12)


def test_ilif_follows_the_published_trace():
    x = torch.tensor([1.2, 1.2, 0.9, 1.5])
    record = rb.ILIF(tau=1.1).trace(x)
    wanted = {
        "s": [1, 1, 0, 1],
        "u": [1.2, 1.1322, 0.8220, 1.5736],
        "v": [-0.3498, -0.4501, 0.8220, -0.1385],
        "M": [0.2, 0.3322, 0.3322, 0.9058],
        "Q": [0, 0.0360, 0.0371, 0.0011],
    }
    for name, values in wanted.items():
        torch.testing.assert_close(record[name], torch.tensor(values, dtype=torch.float64), rtol=0, atol=5.001e-5)


@pytest.mark.parametrize("mpiu", [True, False])
def test_ilif_current_unit_has_derivative_one_at_zero(mpiu):
    """Before the first spike Q = 0, and the gradient must flow through max(Q, 0) to the would-be spikes."""
    x = torch.tensor([0.8, 0.4], requires_grad=True)
    neuron = rb.ILIF(surrogate=rb.surrogate.Sigmoid(), gamma_i=0.5, mpiu=mpiu)
    u = neuron.trace(x)["u"]
    s, d = neuron(x), u.detach() - 1
    s[1].backward()
    g = [reference.sigmoid(float(v)) for v in d]
    reset = 1 - g[0] * (1 + (0.5 if mpiu else 0.0))  # ∂v/∂u at s = 0 and M = 0
    assert not s.any()
    assert x.grad[0] == pytest.approx(g[1] * (0.5 * reset - 0.5 * g[0] * 0.8), abs=1e-12)


def test_clif_with_one_step_is_lif(x):
    assert_same(rb.CLIF(tau=3.0), rb.LIF(tau=3.0), x[:1])


def test_clif_differs_from_lif_over_time(x):
    assert not torch.equal(rb.CLIF()(x), rb.LIF()(x))


def test_ilif_without_units_is_lif(x):
    assert_same(rb.ILIF(tau=1.1, mpiu=False, ciu=False), rb.LIF(tau=1.1), x)


def test_iplif_without_units_is_soft_plif(x):
    assert_same(rb.IPLIF(tau=1.7, mpiu=False, ciu=False), rb.PLIF(tau=1.7, variant="soft"), x)


def test_iplif_starts_as_ilif(x):
    assert_same(rb.IPLIF(tau=1.7), rb.ILIF(tau=1.7), x)


def test_plif_soft_starts_as_lif(x):
    assert_same(rb.PLIF(tau=1.7, variant="soft"), rb.LIF(tau=1.7), x)


def test_plif_original_starts_as_hard_lif_that_decays_its_input(x):
    other = rb.LIF(reset="hard", decay_input=True, detach_reset=True, surrogate=rb.surrogate.ATan())
    assert_same(rb.PLIF(tau=2.0), other, x * 3)


def test_plif_variant_defaults():
    original, soft = rb.PLIF(), rb.PLIF(variant="soft")
    assert (original.reset, original.detach_reset, original.surrogate) == ("hard", True, rb.surrogate.ATan(2.0))
    assert (soft.reset, soft.detach_reset, soft.surrogate) == ("soft", False, rb.surrogate.Rectangle(1.0))
    assert rb.PLIF(tau=4.0).w.item() == pytest.approx(-math.log(3.0))


def test_klif_with_slope_one_is_lif_of_rectified_potential(x):
    lif = rb.LIF(decay_input=True, reset="hard", surrogate=rb.surrogate.ATan())
    assert_same(rb.KLIF(reset="hard"), lif, x.abs() * 2)


def test_dalif_freezes_decays_at_the_activation_of_one(x):
    fixed = rb.DALIF(alpha=math.tanh(1.0), beta=math.tanh(1.0))
    assert_same(rb.DALIF(learn_alpha=False, learn_beta=False), fixed, x * 1.3)
    assert not list(fixed.parameters())


@pytest.mark.parametrize(("option", "frozen", "learned"), [("learn_alpha", "a", "b"), ("learn_beta", "b", "a")])
def test_dalif_ablation_learns_the_other_decay(x, option, frozen, learned):
    neuron = rb.DALIF(**{option: False})
    neuron(x * 1.3).sum().backward()
    assert getattr(neuron, frozen).grad is None
    assert getattr(neuron, learned).grad.abs() > 0


def test_dalif_temporal_decay_has_no_effect_in_one_step(x):
    neuron = rb.DALIF()
    neuron(x[:1] * 1.3).sum().backward()
    assert neuron.b.grad == 0 and neuron.a.grad != 0


def test_dietlif_gradient_to_its_threshold():
    """`∂s/∂θ = −g(z) u/θ²` with z = u/θ − 1."""
    neuron = rb.DietLIF(threshold=2.0)
    x = torch.tensor([1.5, 2.5, 1.75])
    neuron(x[None]).sum().backward()
    slopes = [reference.triangle(u / 2 - 1) * -u / 4 for u in x.tolist()]
    assert neuron.threshold.grad.item() == pytest.approx(sum(slopes), abs=1e-15)


@pytest.mark.parametrize("kind", ["dietlif", "glif"])
def test_strict_neurons_are_silent_at_the_threshold(kind):
    if kind == "dietlif":
        neuron, at = rb.DietLIF(), 1.0
    else:
        neuron = rb.GLIF(steps=1)
        neuron.load_state_dict({k: torch.zeros_like(v) for k, v in neuron.state_dict().items()})
        at = (0.5 + 0.25) / 0.75  # u = (1 − β(1 − g)) x − (1 − α) leak with every σ at ½
    x = torch.tensor([[at, at + 2**-10]])
    for backend in ("eager", "cpu"):
        with rb.backend(backend):
            assert neuron(x).tolist() == [[0.0, 1.0]], backend


@pytest.mark.parametrize("kind", [rb.ProbLIF, rb.ProbPLIF])
def test_sigma_towards_zero_is_the_deterministic_neuron(kind, x):
    x = x * 10
    given = {"uniform": torch.rand(x.shape, generator=torch.Generator().manual_seed(4))}
    sharp, deterministic = kind(sigma=1e-9, mix=0.0), kind(sigma=0.0)
    assert_same(sharp, deterministic, x, **given)
    with rb.backend("eager"):
        u = deterministic.trace(x)["u"]
    assert torch.equal(deterministic(x), (u >= 1).double())


def test_problif_subtracts_the_whole_threshold_after_a_spike():
    u = rb.ProbLIF(sigma=0.0, tau=2.0).trace(torch.tensor([10.0, 0.0]))["u"]
    alpha = math.exp(-0.5)
    assert u[1].item() == pytest.approx(alpha * (1 - alpha) * 10 - 1, rel=1e-6)


@pytest.mark.parametrize(("sigma", "rate", "mean"), [(1.0, 0.081, -1.66), (1.3, 0.103, -2.10)])
def test_problif_without_input_fires_at_the_published_rate(sigma, rate, mean):
    """Means over steps 300 to 1500 of 4,096 neurons; their standard errors are below 1e-4 and .001."""
    neuron = rb.ProbLIF(sigma=sigma, seed=1)
    with torch.no_grad():
        _, state = neuron.scan(torch.zeros(300, 4096))
        record = neuron.trace(torch.zeros(300, 4096), state)
    assert record["s"].mean().item() == pytest.approx(rate, abs=0.0006)
    assert record["u"].mean().item() == pytest.approx(mean, abs=0.006)


def psn_reference(neuron, x, steps):
    """Spikes of a PSN by sums over time, the variants' bands written out."""
    weight, k = neuron.weight.detach().tolist(), neuron.order
    if neuron.variant == "sliding":
        rows = [[weight[k - 1 - (t - j)] if 0 <= t - j < k else 0.0 for j in range(steps)] for t in range(steps)]
    else:
        inside = (lambda t, j: True) if neuron.variant == "full" else (lambda t, j: t - k < j <= t)
        rows = [[weight[t][j] if inside(t, j) else 0.0 for j in range(steps)] for t in range(steps)]
    bias = neuron.bias.detach().flatten().expand(steps).tolist()
    out = torch.zeros_like(x)
    for n in range(x[0].numel()):
        s = reference.psn(
            [Dual(float(v)) for v in x.flatten(1)[:, n]],
            [[Dual(w) for w in row] for row in rows],
            [Dual(b) for b in bias],
            reference.atan,
        )
        out.flatten(1)[:, n] = torch.tensor([v.value for v in s], dtype=x.dtype)
    return out


PSN = [{"steps": 9}, {"steps": 9, "variant": "masked", "order": 3}, {"variant": "sliding", "order": 3}]


@pytest.mark.parametrize("options", PSN, ids=["full", "masked", "sliding"])
def test_psn_computes_its_equations(options, x):
    torch.manual_seed(0)
    neuron = rb.PSN(**options)
    with torch.no_grad():
        neuron.bias.fill_(-0.3)
    spikes = neuron(x)
    assert spikes.any() and torch.equal(spikes, psn_reference(neuron, x, 9))


@pytest.mark.parametrize("options", PSN[1:], ids=["masked", "sliding"])
def test_psn_variants_are_causal_and_of_their_order(options, x):
    torch.manual_seed(0)
    with rb.surrogate.smooth():
        x = x.clone().requires_grad_()
        rb.PSN(**options)(x)[5].sum().backward()
    seen = x.grad.abs().sum((1, 2)) > 0
    assert seen.tolist() == [False] * 3 + [True] * 3 + [False] * 3


def test_psn_starts_as_published():
    neuron = rb.PSN(variant="sliding", order=4)
    assert neuron.weight.tolist() == [0.125, 0.25, 0.5, 1.0] and neuron.bias.item() == -1
    full = rb.PSN(steps=6)
    assert full.bias.tolist() == [[-1.0]] * 6 and full.weight.abs().max() <= 1 / math.sqrt(6)


def test_glif_starts_as_published():
    neuron = rb.GLIF(steps=3, channels=2)
    start = {"tau": 0.25, "v_th": 0.5, "v_re": 0.5, "leak": 0.0625, "g": 0.5}
    for name, value in start.items():
        torch.testing.assert_close(torch.sigmoid(getattr(neuron, name)), torch.full_like(getattr(neuron, name), value))
    gates = torch.stack([neuron.alpha, neuron.beta, neuron.gamma])
    assert gates.abs().max() <= 0.1 and gates.unique().numel() == 6
    assert neuron.g.shape == (3, 2)
    many = rb.GLIF(steps=1, channels=4000)
    for gate in (many.alpha, many.beta, many.gamma):  # uniform(−.1, .1)
        assert gate.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.05) and gate.abs().max() <= 0.1


def test_probplif_spreads_its_time_constants_as_it_says():
    """τ ~ N(tau, tau_std) or ln τ ~ N(ln tau, tau_log_std); bounds at four standard errors of 4,000 draws."""
    torch.manual_seed(0)
    tau = rb.ProbPLIF(tau=20.0, features=4000, tau_std=5.0).tau
    assert tau.mean().item() == pytest.approx(20, abs=0.32) and tau.std().item() == pytest.approx(5, abs=0.23)
    log = rb.ProbPLIF(tau=20.0, features=4000, tau_log_std=0.7).tau.log()
    assert log.mean().item() == pytest.approx(math.log(20), abs=0.045) and log.std().item() == pytest.approx(
        0.7, abs=0.032
    )
    assert rb.ProbPLIF(tau=20.0, features=3).tau.tolist() == [20.0] * 3


def test_no_learnable_parameter_where_the_paper_has_none():
    for kind in (rb.LIF, rb.CLIF, rb.ILIF, rb.ALIF, rb.ProbLIF):
        assert not list(kind().parameters()), kind.__name__


def test_learnable_parameters_carry_the_published_names():
    wanted = {"plif": "w", "iplif": "w", "dalif": "a b", "klif": "k", "probplif": "tau", "tclif": "c1 c2",
              "dietlif": "leak threshold"}  # fmt: skip
    found = {name: " ".join(k for k, _ in rb.neurons.create(name).named_parameters()) for name in wanted}
    assert found == wanted


def test_trace_says_that_it_ran_eager():
    rb.LIF()(torch.zeros(2, 3))
    rb.CLIF().trace(torch.zeros(2, 3))
    assert rb.last_backend() == "eager"


@pytest.mark.parametrize("make", [rb.LIF, rb.ProbLIF, lambda: rb.GLIF(steps=3), rb.ALIF])
def test_trace_of_no_steps_is_empty(make):
    neuron, x = make(), torch.rand(3, 2, 5)
    whole, nothing = neuron.trace(x), neuron.trace(x[:0])
    assert whole.keys() == nothing.keys()
    for name, values in nothing.items():
        assert values.shape == (0, 2, 5) and values.dtype == whole[name].dtype, name


def test_without_noise_the_probability_of_a_spike_is_the_spike():
    record = rb.ProbLIF(tau=2.0, sigma=0.0).trace(4 * torch.rand(9, 20))
    assert torch.equal(record["p"], record["s"]) and 0 < record["s"].mean() < 1


def test_a_time_constant_of_zero_has_a_finite_gradient():
    """α = exp(−1/|τ|) is 0 there, and so is its slope."""
    neuron, x = rb.ProbPLIF(features=4, seed=0), torch.rand(6, 2, 4)
    with torch.no_grad():
        neuron.tau.copy_(torch.tensor([0.0, -0.0, 1e-30, 5.0]))
    neuron(x).sum().backward()
    assert torch.equal(neuron.coefficients()["alpha"][:3], torch.zeros(3))
    assert neuron.tau.grad.isfinite().all() and (neuron.tau.grad[:3] == 0).all() and neuron.tau.grad[3] != 0


def test_surrogates_by_name_in_every_constructor():
    assert rb.LIF(surrogate="atan").surrogate == rb.surrogate.ATan()
    assert rb.CLIF(surrogate="Rectangle(width=0.5)").surrogate == rb.surrogate.Rectangle(0.5)
    with pytest.raises(ValueError, match="Did you mean 'ATan'"):
        rb.LIF(surrogate="atam")


def test_public_names_are_all_there_is_to_see():
    assert {"LIF", "training", "plots", "recipes", "surrogate", "__version__"} <= set(dir(rb))
    assert not {"Any", "importlib", "TYPE_CHECKING", "atomic", "names"} & set(dir(rb))
