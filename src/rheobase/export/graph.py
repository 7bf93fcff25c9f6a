"""A network as a NIR graph: its layers by torch.fx, each one as NIR's primitives with the same step.

NIR is in continuous time; what reads a graph takes steps of dt by forward Euler, as SpikingJelly, snnTorch and Norse
do: `v ← v + dt/τ (v_leak − v + R I)`. So `v ← decay v + gain I` is τ = dt / (1 − decay), R = gain / (1 − decay). A loop
in a graph takes one step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from rheobase import layers
from rheobase.export.enlarging import fold_enlarging
from rheobase.export.example import sequence
from rheobase.export.leaky import Value, leaky
from rheobase.models import Network
from rheobase.models.recurrent import RecurrentNetwork
from rheobase.neurons import Neuron

if TYPE_CHECKING:
    import nir

LEAVES = (Neuron, layers.Recurrent, layers.LeakyReadout, layers.BatchNorm2d, layers.Dropout, nn.Identity)
LEAVES += (layers.Conv2d, layers.Linear, layers.AvgPool2d, layers.MaxPool2d, layers.AdaptiveAvgPool2d, layers.Flatten)


def nir_graph(model: nn.Module, x: Tensor, dt: float = 1e-4) -> nir.NIRGraph:
    """The graph of a network in evaluation mode; norms are folded into the convolutions before them, pools that only
    repeat places into the linear layer behind them.

    x [T, B, ...] is an example input, of which only the shape of one sample at one step matters. A hard reset is NIR's
    LIF; a soft reset, which NIR's LIF has not, is a leaky integrator, a threshold and a loop that subtracts. NIR spikes
    above its threshold and Rheobase at it, so that the threshold is written as the next smaller float32.
    Units: dt in seconds per step; it changes time constants, not spikes.
    Errors: ValueError naming the layer that NIR cannot express, and for an x that the model does not take;
    ModuleNotFoundError without the package nir.
    """
    if not (0 < dt < math.inf):
        raise ValueError(f"nir: dt must be above 0 seconds; got {dt}.")
    writer, x = _Writer(dt), sequence(model, x)
    body = fx.GraphModule(root := _Body(model.eval()), _Tracer().trace(root))
    with torch.no_grad():
        ShapeProp(body).propagate(x)
        fold_enlarging(body)
        ShapeProp(body).propagate(x)
        for node in body.graph.nodes:
            writer.add(node, body)
    return writer.graph()


class _Body(nn.Module):
    """The network without the checks of its input, which cannot be traced."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.model, Network):
            return self.model.classify(self.model.features(x))
        return self.model.classify(x) if isinstance(self.model, RecurrentNetwork) else self.model(x)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, LEAVES) or super().is_leaf_module(m, module_qualified_name)


class _Writer:
    """Collects NIR's nodes and edges. A value of the network is the list of nodes whose outputs add up to it."""

    def __init__(self, dt: float):
        try:
            import nir
        except ImportError as error:
            raise ModuleNotFoundError("NIR needs its package: pip install 'rheobase[nir]'.") from error
        self.nir, self.dt = nir, dt
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.values: dict[fx.Node, list[str]] = {}

    def graph(self) -> nir.NIRGraph:
        notes = {"dt": self.dt, "discretisation": "forward Euler", "written_by": "rheobase"}
        return self.nir.NIRGraph(self.nodes, self.edges, metadata=notes)

    def add(self, node: fx.Node, body: fx.GraphModule) -> None:
        """Write one node of the traced network."""
        if node.op == "placeholder":
            self.values[node] = [self._node("input", self.nir.Input(_ints(_shape(node))), [])]
        elif node.op == "output":
            self._node("output", self.nir.Output(_ints(_shape(node.args[0]))), self._inputs(node))
        elif node.op == "call_module":
            module = body.get_submodule(str(node.target))
            name = str(node.target).removeprefix("model.").replace(".", "_")
            self.values[node] = self._module(name, module, node)
        elif node.name.startswith("add"):
            self.values[node] = self._sum(node)
        elif node.name.startswith("flatten"):
            self.values[node] = self._flatten(node.name, node)
        else:
            raise ValueError(f"NIR cannot express {node.name!r}, which this network computes between its layers.")

    def _module(self, name: str, module: nn.Module, node: fx.Node) -> list[str]:
        for kinds, write in self._writers().items():
            if isinstance(module, kinds):
                return write(name, module, node)
        raise ValueError(f"NIR cannot express the layer {name}, {type(module).__name__}.")

    def _writers(self) -> dict[Any, Callable[..., list[str]]]:
        return {
            Neuron: lambda name, module, node: self._neuron(name, module, self._inputs(node), _shape(node)),
            layers.Recurrent: self._recurrent,
            layers.LeakyReadout: self._readout,
            layers.BatchNorm2d: self._norm,
            nn.Conv2d: self._conv,
            nn.Linear: self._linear,
            nn.AvgPool2d: self._pool,
            nn.AdaptiveAvgPool2d: self._adaptive,
            nn.Flatten: lambda name, module, node: self._flatten(name, node),
            (layers.Dropout, nn.Identity): lambda name, module, node: self._inputs(node),
        }

    def _node(self, name: str, node: Any, inputs: list[str]) -> str:
        """Write a node behind others, and give back its name."""
        self.nodes[name] = node
        self.edges += [(source, name) for source in inputs]
        return name

    def _inputs(self, node: fx.Node) -> list[str]:
        return self.values[node.all_input_nodes[0]]

    def _sum(self, node: fx.Node) -> list[str]:
        parts = [name for source in node.args for name in self.values[source]]  # type: ignore[index]
        if len(set(parts)) < len(parts):
            raise ValueError(f"NIR cannot express {node.name!r}: a layer's output is added to itself.")
        return parts

    def _neuron(self, name: str, neuron: Neuron, inputs: list[str], shape: tuple[int, ...]) -> list[str]:
        """One LIF node, or for soft resets: integrator → threshold → scale → integrator."""
        one = leaky(neuron)
        decay, gain = _full(one.decay, shape), _full(one.gain, shape)
        constants = {"tau": self.dt / (1 - decay), "r": gain / (1 - decay), "v_leak": torch.zeros(shape)}
        written = {key: _array(value) for key, value in constants.items()}
        below = torch.nextafter(torch.tensor(one.threshold), torch.tensor(-math.inf))
        threshold = _array(below.expand(shape))
        if one.v_reset is not None:
            reset = _array(torch.full(shape, one.v_reset))
            return [self._node(name, self.nir.LIF(**written, v_threshold=threshold, v_reset=reset), inputs)]
        integrator = self._node(f"{name}_integrator", self.nir.LI(**written), inputs)
        spikes = self._node(name, self.nir.Threshold(threshold), [integrator])
        back = self._node(f"{name}_reset", self.nir.Scale(_array(-_full(one.taken, shape) / gain)), [spikes])
        self.edges.append((back, integrator))
        return [spikes]

    def _recurrent(self, name: str, layer: layers.Recurrent, node: fx.Node) -> list[str]:
        if layer.delays is not None or layer.axon_delays is not None or len(layer.start):
            raise ValueError(f"NIR: {name} has delays or a learnt initial state, which are not written.")
        currents = self._matrix(f"{name}_input", layer.weight_ih, layer.bias, self._inputs(node))
        spikes = self._neuron(name, layer.neuron, [currents], _shape(node))
        first = next(target for source, target in self.edges if source == currents)
        self.edges.append((self._matrix(f"{name}_recurrent", layer.weight_hh, None, spikes), first))
        return spikes

    def _readout(self, name: str, layer: layers.LeakyReadout, node: fx.Node) -> list[str]:
        currents = self._matrix(f"{name}_input", layer.weight, None, self._inputs(node))
        given = layer.integrator.coefficients()
        ones, tau = torch.ones(_shape(node)), self.dt / given["gain"]
        integrator = self.nir.LI(tau=_array(tau), r=_array(ones), v_leak=_array(0 * ones))
        return [self._node(name, integrator, [currents])]

    def _matrix(self, name: str, weight: Tensor, bias: Tensor | None, inputs: list[str]) -> str:
        made = self.nir.Linear(_array(weight)) if bias is None else self.nir.Affine(_array(weight), _array(bias))
        return self._node(name, made, inputs)

    def _linear(self, name: str, layer: nn.Linear, node: fx.Node) -> list[str]:
        return [self._matrix(name, layer.weight, layer.bias, self._inputs(node))]

    def _conv(self, name: str, layer: nn.Conv2d, node: fx.Node) -> list[str]:
        if isinstance(layer.padding, str) or layer.groups != 1:
            raise ValueError(f"NIR: {name} has groups or padding in words, which are not written.")
        bias = torch.zeros(layer.out_channels) if layer.bias is None else layer.bias
        size = _shape(node.all_input_nodes[0])[1:]
        options = (layer.stride, layer.padding, layer.dilation, 1)
        made = self.nir.Conv2d(size, _array(layer.weight), *options, _array(bias))
        return [self._node(name, made, self._inputs(node))]

    def _norm(self, name: str, norm: layers.BatchNorm2d, node: fx.Node) -> list[str]:
        """`a x + b` per channel: within the convolution before it, if nothing else uses that, else as a 1x1 one."""
        scale = norm.scaled() / torch.sqrt(norm.running_var + norm.eps)  # type: ignore[operator]
        shift = norm.bias - norm.running_mean * scale  # type: ignore[operator]
        before, inputs = node.all_input_nodes[0], self._inputs(node)
        conv = self.nodes[inputs[0]]
        if len(inputs) == 1 and len(before.users) == 1 and isinstance(conv, self.nir.Conv2d):
            conv.weight = _array(torch.from_numpy(conv.weight) * scale.view(-1, 1, 1, 1))
            conv.bias = _array(torch.from_numpy(conv.bias) * scale + shift)
            return inputs
        weight = torch.diag(scale).view(len(scale), -1, 1, 1)
        made = self.nir.Conv2d(_shape(node)[1:], _array(weight), 1, 0, 1, 1, _array(shift))
        return [self._node(name, made, inputs)]

    def _pool(self, name: str, pool: nn.AvgPool2d, node: fx.Node) -> list[str]:
        kernel, stride, padding = (_pair(value) for value in (pool.kernel_size, pool.stride, pool.padding))
        sizes = zip(_shape(node.all_input_nodes[0])[1:], kernel, stride, padding, strict=True)
        plain = tuple((size + 2 * pad - k) // step + 1 for size, k, step, pad in sizes)
        if plain != _shape(node)[1:] or (any(padding) and not pool.count_include_pad):
            raise ValueError(f"NIR: {name} pools beyond the edge or leaves padding out, which NIR does not know.")
        return self._average(name, kernel, stride, padding, node)

    def _adaptive(self, name: str, pool: nn.AdaptiveAvgPool2d, node: fx.Node) -> list[str]:
        before, after = _shape(node.all_input_nodes[0])[1:], _shape(node)[1:]
        if any(size % wanted for size, wanted in zip(before, after, strict=True)):
            raise ValueError(f"NIR: {name} pools {before} to {after}, which is no average of equal blocks.")
        kernel = tuple(size // wanted for size, wanted in zip(before, after, strict=True))
        return self._average(name, kernel, kernel, (0, 0), node)

    def _average(self, name: str, kernel: Any, stride: Any, padding: Any, node: fx.Node) -> list[str]:
        made = self.nir.AvgPool2d(_ints(kernel), _ints(stride), _ints(padding))
        return [self._node(name, made, self._inputs(node))]

    def _flatten(self, name: str, node: fx.Node) -> list[str]:
        shape, inputs = _shape(node.all_input_nodes[0]), self._inputs(node)
        if len(shape) == 1:
            return inputs
        return [self._node(name, self.nir.Flatten({"input": _ints(shape)}, start_dim=0, end_dim=-1), inputs)]


def _shape(node: Any) -> tuple[int, ...]:
    """The shape of one sample at one step: [T, B, ...] without T and B."""
    return tuple(node.meta["tensor_meta"].shape[2:])


def _ints(shape: tuple[int, ...]) -> Any:
    return torch.tensor(shape).numpy()


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _full(value: Value, shape: tuple[int, ...]) -> Tensor:
    """A coefficient for every neuron of a layer, in float64: (), (C,) or the layer's whole shape."""
    value = torch.as_tensor(value, dtype=torch.float64)
    if value.dim() == 1 and len(shape) > 1:
        value = value.view(-1, *[1] * (len(shape) - 1))
    return value.expand(shape)


def _array(value: Tensor) -> Any:
    return value.detach().cpu().float().contiguous().numpy()
