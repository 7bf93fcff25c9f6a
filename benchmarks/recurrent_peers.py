"""The peers' recurrent layers, each as `call(currents, weight) -> spikes`, called the way that is fastest on a CPU."""

from __future__ import annotations

import torch

from benchmarks import peer_jax
from benchmarks.peers import NORSE, SNNTORCH, SPIKINGJELLY
from benchmarks.recurrence import Call, Recurrence


def spikingjelly(problem: Recurrence) -> Call:
    """ElementWiseRecurrentContainer around LIFNode, step by step, with the product in its function of (y, x).

    Its own multi-step mode slices the input once per step, and each slice's gradient is as large as the whole input:
    36 s instead of 1 s at T = 784.
    """
    from spikingjelly.activation_based import functional, layer, neuron

    surrogate = SPIKINGJELLY.surrogates[problem.surrogate]()
    cell = neuron.LIFNode(tau=2.0, decay_input=False, v_reset=None, surrogate_function=surrogate)
    held: list[torch.Tensor] = []
    module = layer.ElementWiseRecurrentContainer(cell, lambda y, x: x + y @ held[0], step_mode="s")

    def call(currents, weight):
        functional.reset_net(module)
        held[:] = [weight]
        return torch.stack([module(current) for current in currents])

    return call


def snntorch(problem: Recurrence) -> Call:
    """Leaky(reset_delay=False) in a loop; RLeaky would add a bias and reset one step late."""
    import snntorch

    cell = snntorch.Leaky(0.5, spike_grad=SNNTORCH.surrogates[problem.surrogate](), reset_delay=False)

    def call(currents, weight):
        memory, spike, spikes = torch.zeros_like(currents[0]), torch.zeros_like(currents[0]), []
        for current in currents:
            spike, memory = cell(current + spike @ weight, memory)
            spikes.append(spike)
        return torch.stack(spikes)

    return call


def norse(problem: Recurrence) -> Call:
    """lif_box_feed_forward_step in a loop."""
    from norse.torch.functional.lif_box import LIFBoxFeedForwardState, LIFBoxParameters, lif_box_feed_forward_step
    from norse.torch.functional.reset import reset_subtract

    method, alpha = NORSE.surrogates[problem.surrogate]()
    settings = LIFBoxParameters(torch.as_tensor(500.0), method=method, alpha=alpha, reset_method=reset_subtract)

    def call(currents, weight):
        state = LIFBoxFeedForwardState(torch.zeros_like(currents[0]))
        spike, spikes = torch.zeros_like(currents[0]), []
        for current in currents:
            spike, state = lif_box_feed_forward_step(current + spike @ weight, state, settings)
            spikes.append(spike)
        return torch.stack(spikes)

    return call


def jaxpike(calls: dict, problem: Recurrence) -> peer_jax.Remote:
    """A Graph with a Dense feeding the neuron back to itself, unrolled under jax.jit."""
    for call in calls.values():
        call(_prepare, problem)
    return peer_jax.Remote("jaxpike", calls, "way")


def _prepare(problem: Recurrence) -> None:
    import equinox
    import jax
    import jax.numpy as jnp
    import jaxpike

    features = problem.features
    dense = jaxpike.Dense(features, features, use_bias=False, key=jax.random.key(0))
    edges = [("input", "hidden"), ("hidden", "back"), ("back", "hidden")]
    net = jaxpike.Graph({"hidden": peer_jax.neuron(problem.surrogate), "back": dense}, edges, "hidden")

    def forward(currents, weight):
        moved = equinox.tree_at(lambda g: g.nodes["back"].weight, net, weight.T)
        return jaxpike.unroll(moved, currents)[0]

    ways = peer_jax.directions(forward)
    arrays = [jnp.asarray(a.numpy()) for a in (problem.gradient(), problem.currents(), problem.weight())]
    peer_jax.keep("way", ways[problem.direction], arrays)
    peer_jax.keep("few", ways["both"], arrays)


TORCH_PEERS = {"SpikingJelly": spikingjelly, "snnTorch": snntorch, "Norse": norse}
SURROGATE = {"Norse": "fast_sigmoid"}  # the others have atan
