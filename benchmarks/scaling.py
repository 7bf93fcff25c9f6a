"""What a training step of ImageNet ResNet-34 costs as T and batch grow, and what that means on GPUs: docs/scaling.md.

    python -m benchmarks.scaling --quick       # small images: does everything run? writes nothing
    python -m benchmarks.scaling               # 224x224, about 5 minutes; writes results/benchmarks/scaling.json

Counted: multiplications of convolutions and values of norms and neurons per image and step. Measured here: bytes that a
forward pass keeps for the backward pass, plain and inside `rb.pack_spikes()`; processor seconds of a training step
on one thread, so that others on the machine hardly matter. Derived by `model`: the time on GPUs, from their data sheet.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

import rheobase as rb
from benchmarks import record

NAME, CLASSES = "imagenet_resnet34", 1000
IMAGES = 1_281_167


@dataclass(frozen=True)
class GPU:
    """One GPU and its links. Source of the peaks: NVIDIA's H100 SXM data sheet; the shares are assumptions."""

    flops: float = 989e12  # bfloat16, dense, per second
    bandwidth: float = 3.35e12  # bytes per second
    link: float = 450e9  # bytes per second and direction within a node of 8
    network: float = 50e9  # the same between nodes: one 400 Gb/s port per GPU
    flops_share: float = 0.4  # of the peak in 3x3 convolutions
    bandwidth_share: float = 0.8
    latency: float = 20e-6  # seconds of a small all-reduce within a node; between nodes three times that


def network(neuron: str, steps: int, side: int) -> nn.Module:
    return rb.models.create(NAME, neuron, num_classes=CLASSES, image_size=side, steps=steps, weight_seed=0)


def counts(neuron: str, side: int) -> dict[str, float]:
    """Per image and step: multiplications, neurons, values of norms; per step of training: parameters, norms."""
    model, found = network(neuron, 1, side).eval(), {"macs": 0.0, "neurons": 0.0, "normed": 0.0}

    def convolved(module: nn.Conv2d, inputs: tuple, y: torch.Tensor) -> None:
        found["macs"] += y.numel() * module.weight[0].numel()

    def counted(name: str):
        return lambda module, inputs, y: found.__setitem__(name, found[name] + y.numel())

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(convolved)
        elif isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(counted("normed"))
        elif isinstance(module, rb.Neuron):
            module.register_forward_hook(counted("neurons"))
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    return {**found, "parameters": sum(p.numel() for p in model.parameters()), "norms": norms}


def loading(side: int, images: int = 48) -> dict:
    """Processor seconds to decode a JPEG of 500x375 and resize its centre: mean over `images`."""
    from PIL import Image

    from rheobase.data.images import ImageFiles

    with tempfile.TemporaryDirectory() as folder:
        rough = torch.randint(0, 256, (16, 12, 3), dtype=torch.uint8).numpy()
        picture = Image.fromarray(rough).resize((500, 375), Image.Resampling.BICUBIC)
        names = [f"{k}.jpg" for k in range(images)]
        for name in names:
            picture.save(f"{folder}/{name}", quality=90)
        files = ImageFiles(pathlib.Path(folder), np.array([name.encode() for name in names]), side, side * 8 // 7)
        start = time.process_time()
        files.read()
        seconds = (time.process_time() - start) / images
    return {
        "group": "scaling",
        "neuron": "lif",
        "subject": "JPEG",
        "against": "loading",
        "seconds": seconds,
        "threads": 1,
    }


class Step:
    """Forward, cross-entropy on the mean over time, backward, in mixed precision with channels last, as we train."""

    def __init__(self, neuron: str, steps: int, batch: int, side: int, packed: bool):
        self.model = network(neuron, steps, side).to(memory_format=torch.channels_last)  # pyright: ignore
        self.images = torch.randn(batch, 3, side, side)
        self.labels = torch.arange(batch)
        self.packing = rb.pack_spikes if packed else contextlib.nullcontext

    def forward(self) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16), self.packing():
            return nn.functional.cross_entropy(self.model(self.images).float().mean(0), self.labels)

    def kept(self) -> int:
        """Bytes allocated in a forward pass and not freed after it."""
        self.forward().backward()  # compiles, and makes what stays
        activities = [torch.profiler.ProfilerActivity.CPU]
        with torch.profiler.profile(activities=activities, profile_memory=True) as found:
            loss = self.forward()
        assert loss.grad_fn is not None
        return sum(event.self_cpu_memory_usage for event in found.key_averages())

    def seconds(self) -> float:
        """Processor seconds of one step, the faster of two."""
        taken = []
        for _ in range(2):
            start = time.process_time()
            self.forward().backward()
            taken.append(time.process_time() - start)
        return min(taken)


def measured(neuron: str, steps: int, batch: int, side: int, packed: bool) -> dict:
    step = Step(neuron, steps, batch, side, packed)
    case = {"group": "scaling", "neuron": neuron, "steps": steps, "size": batch, "dtype": "bfloat16"}
    found = {"kept_bytes": step.kept(), "seconds": step.seconds(), "threads": torch.get_num_threads(), "side": side}
    return {**case, "against": "packed" if packed else "plain", "subject": "rheobase", **found}


def model(found: dict[str, float], steps: int, gpus: int, batch: int, gpu: GPU = GPU()) -> dict[str, float]:
    """Seconds of a step of `batch` images per GPU, by part, and images per second of all GPUs.

    Math: convolutions 3 passes x 2 operations; memory in bfloat16, accesses per value and step: convolution 6 (in and
        out, three passes), norm 3 forward and 4 backward, neuron 2 and 3. Gradients: 2 (n-1)/n of 4 bytes per
        parameter, hidden behind the backward pass while they are shorter. Norms: three small all-reduces, waited for.
    """
    arithmetic = 6 * found["macs"] * steps * batch / (gpu.flops * gpu.flops_share)
    values = (7 * found["normed"] + 5 * found["neurons"] + 6 * found["normed"]) * steps * batch
    memory = 2 * values / (gpu.bandwidth * gpu.bandwidth_share)
    link, latency = (gpu.link, gpu.latency) if gpus <= 8 else (gpu.network, 3 * gpu.latency)
    exchange = 2 * (gpus - 1) / gpus * 4 * found["parameters"] / link
    norms = 3 * found["norms"] * latency if gpus > 1 else 0.0
    step = arithmetic + memory + norms + max(0.0, exchange - 2 / 3 * (arithmetic + memory))
    parts = {"arithmetic": arithmetic, "memory": memory, "gradients": exchange, "norms": norms, "step": step}
    return {**parts, "images_per_second": gpus * batch / step, "epoch_seconds": IMAGES * step / (gpus * batch)}


def predicted(found: dict[str, float], steps: int) -> list[dict]:
    """The table of docs/scaling.md: 8 and 64 GPUs, and where more of them stop helping at a global batch of 4096."""
    cases = [(1, 64), (8, 64), (64, 64), (64, 8), (256, 16), (512, 8)]
    return [{"gpus": gpus, "batch": batch, **model(found, steps, gpus, batch)} for gpus, batch in cases]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.common(parser)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    side = 64 if given.quick else 224
    cases = [(steps, batch) for batch in (1, 2) for steps in (1, 2, 4)]
    rows = [measured("lif", *case, side, packed) for case in cases for packed in (False, True)]
    rows.append(loading(side))
    found = counts("lif", side)
    rows.append({"group": "scaling", "neuron": "lif", "subject": "counts", "against": "counts", **found})
    for row in predicted(found, 4):
        rows.append(
            {
                "group": "predicted",
                "neuron": "lif",
                "subject": "H100",
                "against": str(row["gpus"]),
                "size": row["batch"],
                **row,
            }
        )
    record.Recorder("scaling", given, arguments).add(1, 1, rows)
    for row in rows:
        print({name: value for name, value in row.items() if name not in ("group", "subject", "threads", "dtype")})


if __name__ == "__main__":
    main(sys.argv[1:])
