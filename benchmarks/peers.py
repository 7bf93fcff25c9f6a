"""The libraries we are compared with, each called the way its documentation recommends for speed on a CPU.

A peer names its package, the neurons and surrogates it has, how it is called, what differs, and the options that make
our neuron its twin. Only the equations and settings that both have are compared.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.work import Layer, Work


@dataclass(frozen=True)
class Peer:
    """A library, and how its neurons are built for a piece of work."""

    name: str
    package: str
    surrogates: dict[str, Callable]  # ours -> theirs
    neurons: tuple[str, ...]
    how: str
    differs: str
    build: Callable[[Peer, Work], Layer] | None
    twin: dict = field(default_factory=dict)  # options of our neuron

    def installed(self) -> bool:
        return importlib.util.find_spec(self.package) is not None

    def version(self) -> str:
        return importlib.metadata.version(self.package)

    def offers(self, neuron: str, surrogate: str) -> bool:
        return neuron.lower() in self.neurons and surrogate in self.surrogates


def _spikingjelly_surrogate(name: str):
    def make():
        from spikingjelly.activation_based import surrogate

        known = {"atan": surrogate.ATan(2.0), "rectangle": surrogate.Rect(1.0), "sigmoid": surrogate.Sigmoid(4.0)}
        return known[name] if name in known else surrogate.SuperSpike(1.0)

    return make


def _spikingjelly(peer: Peer, work: Work) -> Layer:
    from spikingjelly.activation_based import functional, neuron

    common = {"surrogate_function": peer.surrogates[str(work.surrogate)](), "step_mode": "m"}
    soft = {"decay_input": False, "v_reset": None, **common}
    original = {"decay_input": True, "v_reset": 0.0, "detach_reset": True, **common}
    module = {
        "lif": lambda: neuron.LIFNode(tau=2.0, **soft),
        "clif": lambda: neuron.ComplementaryLIFNode(tau=2.0, **common),
        "klif": lambda: neuron.KLIFNode(tau=2.0, scale_reset=False, **{**soft, "decay_input": True}),
        "plif": lambda: neuron.ParametricLIFNode(init_tau=2.0, **original),
    }[work.neuron.lower()]()

    def call(x):
        functional.reset_net(module)
        return module(x)

    return Layer(peer.name, call, tuple(module.parameters()))


def _snntorch_surrogate(name: str, argument: float):
    def make():
        from snntorch import surrogate

        return getattr(surrogate, name)(argument)

    return make


def _snntorch(peer: Peer, work: Work) -> Layer:
    import snntorch

    spike = peer.surrogates[str(work.surrogate)]()
    cell = snntorch.Leaky(beta=0.5, spike_grad=spike, reset_mechanism="subtract", reset_delay=False)

    def call(x):
        memory, spikes = torch.zeros_like(x[0]), []
        for current in x:
            spike, memory = cell(current, memory)
            spikes.append(spike)
        return torch.stack(spikes)

    return Layer(peer.name, call)


def _norse(peer: Peer, work: Work) -> Layer:
    from norse.torch.functional.lif_box import LIFBoxParameters
    from norse.torch.functional.reset import reset_subtract
    from norse.torch.module.lif_box import LIFBoxCell

    method, alpha = peer.surrogates[str(work.surrogate)]()
    half = torch.as_tensor(500.0)  # dt / tau = .001 * 500
    settings = LIFBoxParameters(tau_mem_inv=half, method=method, alpha=alpha, reset_method=reset_subtract)
    cell = LIFBoxCell(settings)

    def call(x):
        state, spikes = None, []
        for current in x:
            spike, state = cell(current, state)
            spikes.append(spike)
        return torch.stack(spikes)

    return Layer(peer.name, call)


SPIKINGJELLY = Peer(
    "SpikingJelly",
    "spikingjelly",
    {name: _spikingjelly_surrogate(name) for name in ("atan", "rectangle", "sigmoid", "fast_sigmoid")},
    ("lif", "clif", "klif", "plif"),
    'step_mode="m", its own choice of CPU operator, reset_net before every call',
    "Rect leaves out the window's edges; the same elsewhere",
    _spikingjelly,
)
SNNTORCH = Peer(
    "snnTorch",
    "snntorch",
    {
        "atan": _snntorch_surrogate("atan", 2.0),
        "fast_sigmoid": _snntorch_surrogate("fast_sigmoid", 1.0),
    },
    ("lif",),
    "Leaky(reset_delay=False) in a Python loop over time",
    "resets twice where the potential passes two thresholds (the inputs here avoid that); spikes at u > threshold",
    _snntorch,
)
NORSE = Peer(
    "Norse",
    "norse",
    {"fast_sigmoid": lambda: ("super", 1.0), "triangle": lambda: ("triangle", 0.3)},
    ("lif",),
    "LIFBoxCell in a Python loop over time, reset by subtraction (Lift slices the input per step, which is slower)",
    'scales the input by 1/τ (ours too: decay_input=True); spikes at u > threshold; "super" has slope 1',
    _norse,
    {"decay_input": True},
)
JAXPIKE = Peer(
    "jaxpike",
    "jaxpike",
    {name: lambda name=name: name for name in ("atan", "rectangle", "fast_sigmoid")},
    ("lif",),
    "unroll of LIF under jax.jit, in a process of its own pinned to 1 or to all processors",
    "scales the input by 1 − exp(−1/τ), set to ½ (ours: decay_input=True); spikes at u > threshold",
    None,
    {"decay_input": True},
)
PEERS = (SPIKINGJELLY, SNNTORCH, NORSE, JAXPIKE)
