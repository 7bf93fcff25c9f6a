"""Exported networks do what they did: NIR graphs in a small interpreter of NIR's own equations, torch programs in a
process that never imports rheobase, models from files."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import rheobase as rb
from rheobase.export import nir_graph, torch_program
from rheobase.neurons import KINDS

nir = pytest.importorskip("nir")

CAN = {  # neurons that NIR can express, each with a soft and a hard reset where it has the choice
    "lif": ("lif", {"tau": 4.0}),
    "lif-hard": ("lif", {"tau": 3.0, "reset": "hard", "v_reset": -0.25, "decay_input": True}),
    "plif": ("plif", {"tau": 3.0}),
    "plif-soft": ("plif", {"variant": "soft", "tau": 1.5}),
    "dalif": ("dalif", {}),
    "problif": ("problif", {"sigma": 0.0, "tau": 3.0}),
    "probplif": ("probplif", {"sigma": 0.0, "tau": 3.0, "tau_std": 0.5}),
}


class Interpreter:
    """NIR's equations in steps of dt by forward Euler, all inputs of a node added up, a loop delayed by one step."""

    def __init__(self, graph, dt: float):
        self.graph, self.dt = graph, dt
        self.order, self.back = [], set()
        self._visit(next(iter(graph.inputs)), [])
        self.order.reverse()

    def _visit(self, name: str, path: list[str]) -> None:
        for source, target in self.graph.edges:
            if source == name and target in [*path, name]:
                self.back.add((source, target))
            elif source == name and target not in self.order:
                self._visit(target, [*path, name])
        if name not in self.order:
            self.order.append(name)

    def run(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """The output of every node at every step, for x [T, B, ...]."""
        states, before, steps = {}, {}, []
        for current in x:
            now = {}
            for name in self.order:
                sources = [edge[0] for edge in self.graph.edges if edge[1] == name]
                parts = [before.get(source, 0.0) if (source, name) in self.back else now[source] for source in sources]
                now[name] = self._node(name, self.graph.nodes[name], current if not parts else sum(parts), states)
            before = now
            steps.append(now)
        return {name: torch.stack([step[name] for step in steps]) for name in self.order}

    def _node(self, name, node, x, states):
        kind = type(node).__name__
        numbers = {key: torch.as_tensor(np.asarray(v)) for key, v in vars(node).items() if isinstance(v, np.ndarray)}
        if kind in ("LI", "LIF"):
            v = states.get(name, torch.zeros_like(x))
            v = v + self.dt / numbers["tau"] * (numbers["v_leak"] - v + numbers["r"] * x)
            if kind == "LI":
                states[name] = v
                return v
            z = (v > numbers["v_threshold"]).float()
            states[name] = torch.where(z > 0, numbers["v_reset"], v)
            return z
        if kind == "Conv2d":
            padding = tuple(int(one) for one in node.padding)
            stride, dilation = (tuple(map(int, np.broadcast_to(one, 2))) for one in (node.stride, node.dilation))
            return F.conv2d(x, numbers["weight"], numbers["bias"], stride, padding, dilation)
        return {
            "Input": lambda: x,
            "Output": lambda: x,
            "Threshold": lambda: (x > numbers["threshold"]).float(),
            "Scale": lambda: x * numbers["scale"],
            "Linear": lambda: x @ numbers["weight"].T,
            "Affine": lambda: x @ numbers["weight"].T + numbers["bias"],
            "Flatten": lambda: x.flatten(1),
            "AvgPool2d": lambda: F.avg_pool2d(x, tuple(node.kernel_size), tuple(node.stride), tuple(node.padding)),
        }[kind]()


def reread(graph, folder):
    """The graph after a way through a file."""
    nir.write(folder / "graph.nir", graph)
    return nir.read(folder / "graph.nir")


def spikes_of(model, x) -> dict[str, torch.Tensor]:
    from rheobase.training import record_spikes

    return {name.replace(".", "_"): spikes for name, spikes in record_spikes(model, x).items()}


@pytest.mark.parametrize("case", sorted(CAN))
@pytest.mark.parametrize("dt", [1e-4, 1.0])
def test_a_recurrent_network_has_the_same_spikes_in_nir(case, dt, tmp_path):
    name, options = CAN[case]
    torch.manual_seed(0)
    shape = {"num_classes": 3, "in_channels": 4, "hidden": (16, 8), "weight_gain": 3.0}
    model = rb.models.create("recurrent", name, neuron_options=options, **shape)
    x = 6 * torch.rand(25, 5, 4)
    found = Interpreter(reread(nir_graph(model, x, dt), tmp_path), dt).run(x)
    for layer, spikes in spikes_of(model, x).items():
        assert 0.01 < spikes.mean() < 0.9, "the check needs spikes"
        assert torch.equal(found[layer], spikes), layer
    torch.testing.assert_close(found["output"], model(x), rtol=1e-4, atol=1e-5)


def test_ties_at_the_threshold_spike_in_nir_too(tmp_path):
    """Exact arithmetic with many potentials on the threshold: a graph with θ itself would stay silent there."""
    model = rb.models.create("recurrent", "lif", num_classes=2, in_channels=4, hidden=(8,))
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randint(-2, 3, weight.shape, generator=torch.Generator().manual_seed(1)) / 2)
    x = torch.randint(0, 2, (20, 6, 4), generator=torch.Generator().manual_seed(2)).float()
    graph = reread(nir_graph(model, x, dt=1.0), tmp_path)
    spikes = spikes_of(model, x)["layers_0"]
    assert torch.equal(Interpreter(graph, 1.0).run(x)["layers_0"], spikes)
    threshold = graph.nodes["layers_0"]
    threshold.threshold = np.ones_like(threshold.threshold)
    assert not torch.equal(Interpreter(graph, 1.0).run(x)["layers_0"], spikes), "no potential was a tie"


def loud(model: torch.nn.Module) -> torch.nn.Module:
    """The model with larger norms: else few spikes pass the untrained layers."""
    for norm in model.modules():
        if isinstance(norm, rb.layers.BatchNorm2d):
            torch.nn.init.constant_(norm.weight, 3.0)
            torch.nn.init.constant_(norm.bias, 0.5)
    return model


@pytest.mark.parametrize(
    ("name", "neuron", "size"),
    [
        ("cnn5", "lif", 32),
        ("spiking_resnet18", "lif", 32),
        ("resnet20", "plif", 16),
        ("vggsnn", "dalif", 16),
        ("vgg11", "lif", 32),  # its pool repeats one place 7 x 7 times
    ],
)
def test_an_image_network_has_the_same_spikes_in_nir(name, neuron, size, tmp_path):
    torch.manual_seed(1)
    model = rb.models.create(name, neuron, num_classes=3, image_size=size, width=0.0625)
    x = torch.randn(4, 4, 3, size, size)
    loud(model).train()(x)  # norms get statistics of their own
    model.eval()
    found = Interpreter(reread(nir_graph(model, x), tmp_path), 1e-4).run(x)
    layers = spikes_of(model, x)
    assert sum(spikes.mean() > 0.01 for spikes in layers.values()) > 3, "the check needs spikes"
    for layer, spikes in layers.items():
        assert torch.equal(found[layer], spikes), layer
    torch.testing.assert_close(found["output"], model(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(set(KINDS) - {one for one, _ in CAN.values()} | {"problif"}))
def test_neurons_that_nir_cannot_express_say_which_it_can(name):
    model = rb.models.create("cnn5", name, num_classes=3, width=0.0625, steps=2)
    with pytest.raises(ValueError, match="It can express LIF, PLIF, DALIF"):
        nir_graph(model, torch.zeros(2, 1, 3, 32, 32))


class Squaring(rb.LIF):
    """LIF with a step of its own, in its dynamics."""

    def dynamics(self, x, v, *, decay, threshold):
        u = decay * v + x * x
        s = self.fire(u, threshold)
        return s, self.after_spike(u, s, threshold)


class Halving(rb.DALIF):
    """DALIF with a step of its own, in its coefficients."""

    def coefficients(self):
        return {**super().coefficients(), "alpha": 0.5}


@pytest.mark.parametrize("kind", [Squaring, Halving])
def test_a_subclass_with_another_step_is_another_neuron(kind):
    model = torch.nn.Sequential(rb.layers.Linear(4, 3), kind())
    with pytest.raises(ValueError, match=f"cannot express {kind.__name__}: it has other equations"):
        nir_graph(model, torch.zeros(2, 1, 4))


@pytest.mark.parametrize("name", ["lif", "plif", "dalif", "problif"])
def test_another_gradient_makes_no_other_neuron(name):
    shape = {"num_classes": 3, "in_channels": 4, "hidden": (6,), "weight_seed": 0}
    options = {"sigma": 0.0} if name == "problif" else {}
    graphs = []
    for more in ({}, {"gradient_steps": 2}):
        torch.manual_seed(0)
        model = rb.models.create("recurrent", name, neuron_options={**options, **more}, **shape)
        graphs.append(nir_graph(model, torch.zeros(5, 1, 4)))
    for node, truncated in zip(*(graph.nodes.values() for graph in graphs), strict=True):
        for key, value in vars(node).items():
            assert not isinstance(value, np.ndarray) or np.array_equal(value, vars(truncated)[key]), key


def test_what_nir_does_not_know_of_a_layer_is_refused():
    """Rather than left out: each of these graphs would compute something else."""
    for options in ({"axon_delays": [0, 1, 2]}, {"delays": [0, 1, 2, 0]}, {"learn_state": True}):
        layer = rb.Recurrent(rb.LIF(), 4, 3, **options)
        with pytest.raises(ValueError, match="0 has delays or a learnt initial state"):
            nir_graph(torch.nn.Sequential(layer), torch.zeros(5, 1, 4))
    x = torch.zeros(2, 1, 3, 7, 7)
    for options in ({"ceil_mode": True}, {"padding": 1, "count_include_pad": False}):
        with pytest.raises(ValueError, match="0 pools beyond the edge or leaves padding out"):
            nir_graph(torch.nn.Sequential(rb.layers.AvgPool2d(2, **options)), x)


class Branches(torch.nn.Module):
    """A dilated convolution, and a norm behind it that is not alone in seeing it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = rb.layers.Conv2d(2, 3, 3, dilation=2, padding=1), rb.layers.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


def test_dilations_stay_and_norms_are_folded_only_where_they_are_alone(tmp_path):
    torch.manual_seed(0)
    model, x = Branches(), torch.randn(2, 3, 2, 9, 9)
    model.train()(x)
    found = Interpreter(reread(nir_graph(model, x), tmp_path), 1e-4).run(x)["output"]
    torch.testing.assert_close(found, model(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("export", [nir_graph, torch_program])
def test_examples_of_another_shape_or_type_are_refused_as_the_network_refuses_them(export):
    recurrent = rb.models.create("recurrent", "lif", num_classes=3, in_channels=4, hidden=(6,))
    images = rb.models.create("cnn5", "lif", width=0.0625, steps=2)
    for model, x, error, words in (
        (recurrent, torch.rand(3, 4), ValueError, r"must be \[T, B, ...\] of 4 inputs; got shape \(3, 4\)"),
        (recurrent, torch.rand(3, 2, 5), ValueError, "of 4 inputs"),
        (recurrent, torch.ones(3, 2, 4, dtype=torch.long), TypeError, "floating-point"),
        (images, torch.rand(2, 1, 2, 32, 32), ValueError, "made for 3 channels"),
        (images, torch.ones(2, 1, 3, 32, 32, dtype=torch.uint8), TypeError, "floating-point"),
        (torch.nn.Sequential(rb.LIF()), torch.rand(3), ValueError, r"must be \[T, B, ...\]"),
    ):
        with pytest.raises(error, match=words):
            export(model, x)


def test_layers_that_nir_cannot_express_are_named():
    x = torch.zeros(2, 1, 3, 32, 32)
    with pytest.raises(ValueError, match="features_pool1, MaxPool2d"):
        nir_graph(rb.models.create("plifnet", "lif", width=0.0625), x)
    with pytest.raises(ValueError, match=r"pools \(3, 3\) to \(7, 7\), which is no average of equal blocks"):
        nir_graph(rb.models.create("vgg11", "lif", width=0.0625), torch.zeros(2, 1, 3, 96, 96))
    with pytest.raises(ValueError, match="dt must be above 0"):
        nir_graph(rb.models.create("cnn5", "lif", width=0.0625), x, dt=0.0)


ALONE = """
import sys, torch
program = torch.export.load(sys.argv[1])
given = torch.load(sys.argv[2])
assert torch.equal(program.module()(given["x"]), given["y"]), "another result"
assert not [name for name in sys.modules if name.startswith("rheobase")], "rheobase was needed"
print("same")
"""


def test_a_torch_program_runs_without_rheobase(tmp_path):
    """A neuron of several states, a recurrent layer with its readout, and another batch size than the example's."""
    torch.manual_seed(0)
    model = rb.models.create("recurrent", "clif", num_classes=3, in_channels=4, hidden=(6,)).eval()
    program = torch_program(model, torch.rand(3, 2, 4))
    torch.export.save(program, tmp_path / "network.pt2")
    x = 3 * torch.rand(3, 5, 4)
    with torch.no_grad(), rb.backend("eager"):
        y = model(x)
    assert y.abs().sum() > 0
    torch.save({"x": x, "y": y}, tmp_path / "given.pt")
    arguments = [sys.executable, "-c", ALONE, str(tmp_path / "network.pt2"), str(tmp_path / "given.pt")]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "same\n", done.stderr


def test_a_torch_program_of_an_image_network_with_channels_last_and_drawn_spikes(tmp_path):
    torch.manual_seed(0)
    options = {"seed": 3, "tau": 2.0}
    model = rb.models.create("cnn5", "problif", num_classes=3, width=0.02, neuron_options=options).eval()
    model = model.to(memory_format=torch.channels_last)
    x = torch.randn(2, 2, 3, 32, 32)
    program = torch_program(model, x)
    torch.export.save(program, tmp_path / "network.pt2")
    with torch.no_grad(), rb.backend("eager"):
        assert torch.equal(torch.export.load(tmp_path / "network.pt2").module()(x), model(x))


def test_a_torch_program_knows_delays(tmp_path):
    """Of inputs and between neurons, also for another batch size; the network keeps them as they are."""
    torch.manual_seed(0)
    options = {"longest_delay": 4, "delay_step": 2, "weight_gain": 4.0}
    model = rb.models.create("recurrent", "lif", num_classes=3, in_channels=4, hidden=(6,), **options).eval()
    model.layers[0].delays = torch.tensor([0, 1, 3, 1])
    torch.export.save(torch_program(model, torch.rand(7, 2, 4)), tmp_path / "network.pt2")
    assert "layers.0.axon_delays" in model.state_dict()
    x = 3 * torch.rand(7, 5, 4)
    with torch.no_grad(), rb.backend("eager"):
        y = model(x)
        assert torch.equal(torch.export.load(tmp_path / "network.pt2").module()(x), y)
        model.layers[0].axon_delays.zero_()
        assert not torch.equal(model(x), y), "the delays matter"


def test_a_torch_program_sees_every_step_where_its_example_repeats_one():
    """And the model stays in the mode and the memory format it was in."""
    torch.manual_seed(0)
    model = loud(rb.models.create("cnn5", "lif", num_classes=3, width=0.0625, steps=2)).train()
    model = model.to(memory_format=torch.channels_last)
    program = torch_program(model, torch.randn(2, 3, 32, 32))
    assert model.training and model.features.conv2.conv.weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(2, 2, 3, 32, 32)
    with torch.no_grad(), rb.backend("eager"):
        torch.testing.assert_close(program.module()(x), model.eval()(x), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(model(x)[1], model(x[0].expand(2, -1, -1, -1, -1))[1]), "the second step matters"


def test_a_torch_program_needs_a_seed_for_neurons_that_draw():
    model = rb.models.create("recurrent", "problif", num_classes=3, in_channels=4, hidden=(6,))
    with pytest.raises(ValueError, match="give it a seed, or sigma=0"):
        torch_program(model, torch.rand(3, 2, 4))
