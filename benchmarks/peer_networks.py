"""Spiking ResNet-18 written with the layers of SpikingJelly and snnTorch, for `benchmarks.models`.

Both run stateless layers over T·B at once, as ours does, which is the faster of the ways their documentation shows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CHANNELS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Kit:
    """A library's layers for sequences [T, B, ...]."""

    conv: Callable[..., nn.Module]
    norm: Callable[[int], nn.Module]
    neuron: Callable[[], nn.Module]
    pool: Callable[[int], nn.Module]
    linear: Callable[[int, int], nn.Module]
    clear: Callable[[nn.Module], None]


class Block(nn.Module):
    """A pre-activation block."""

    def __init__(self, kit: Kit, inputs: int, channels: int, stride: int):
        super().__init__()
        self.norm1, self.neuron1 = kit.norm(inputs), kit.neuron()
        self.conv1 = kit.conv(inputs, channels, 3, stride, 1)
        self.norm2, self.neuron2 = kit.norm(channels), kit.neuron()
        self.conv2 = kit.conv(channels, channels, 3, 1, 1)
        same = stride == 1 and inputs == channels
        self.shortcut = nn.Identity() if same else kit.conv(inputs, channels, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        h = self.neuron1(self.norm1(x))
        return self.conv2(self.neuron2(self.norm2(self.conv1(h)))) + self.shortcut(h)


class PeerResNet18(nn.Module):
    """CLIF's Spiking ResNet-18; parameters in the order of ours, so that their values can be copied."""

    def __init__(self, kit: Kit, width: float, steps: int, classes: int = 10):
        super().__init__()
        sizes = [round(width * n) for n in CHANNELS]
        self.steps = steps
        self.clear, inputs, blocks = kit.clear, sizes[0], []
        conv = kit.conv(3, inputs, 3, 1, 1, bias=False)
        for k, size in enumerate(sizes):
            for i in range(2):
                blocks.append(Block(kit, inputs, size, 2 if k and not i else 1))
                inputs = size
        self.body = nn.Sequential(conv, *blocks, kit.norm(inputs), kit.neuron(), kit.pool(4))
        self.classifier = kit.linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        self.clear(self)
        x = images.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)
        return self.classifier(self.body(x).flatten(2))


def spikingjelly(neuron: str) -> Kit:
    """SpikingJelly's own multi-step layers and neurons."""
    from spikingjelly.activation_based import functional, layer, surrogate
    from spikingjelly.activation_based import neuron as neurons

    common = {"step_mode": "m"}
    made = {
        "lif": lambda: neurons.LIFNode(
            tau=2.0, decay_input=False, v_reset=None, surrogate_function=surrogate.ATan(2.0), **common
        ),
        "clif": lambda: neurons.ComplementaryLIFNode(tau=2.0, surrogate_function=surrogate.Rect(1.0), **common),
    }
    return Kit(
        lambda *a, **k: layer.Conv2d(*a, **k, step_mode="m"),
        lambda n: layer.BatchNorm2d(n, step_mode="m"),
        made[neuron],
        lambda n: layer.AvgPool2d(n, step_mode="m"),
        lambda *a: layer.Linear(*a, step_mode="m"),
        functional.reset_net,
    )


class _OverSteps(nn.Module):
    """torch layers over T·B."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class _Loop(nn.Module):
    """snnTorch's Leaky, one step after the other."""

    def __init__(self):
        super().__init__()
        import snntorch
        from snntorch import surrogate

        self.cell = snntorch.Leaky(
            beta=0.5, spike_grad=surrogate.atan(2.0), reset_mechanism="subtract", reset_delay=False
        )

    def forward(self, x: Tensor) -> Tensor:
        memory, spikes = torch.zeros_like(x[0]), []
        for current in x:
            spike, memory = self.cell(current, memory)
            spikes.append(spike)
        return torch.stack(spikes)


def snntorch(neuron: str) -> Kit:
    """torch's layers around snnTorch's Leaky, the only one of our neurons that it has."""
    if neuron != "lif":
        raise ValueError(f"snnTorch has no {neuron}.")
    return Kit(
        lambda *a, **k: _OverSteps(nn.Conv2d(*a, **k)),
        lambda n: _OverSteps(nn.BatchNorm2d(n)),
        _Loop,
        lambda n: _OverSteps(nn.AvgPool2d(n)),
        lambda *a: _OverSteps(nn.Linear(*a)),
        lambda model: None,
    )


KITS = {"SpikingJelly": spikingjelly, "snnTorch": snntorch}
