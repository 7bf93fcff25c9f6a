"""A training step of Spiking ResNet-18 beside the same network of SpikingJelly's and snnTorch's layers.

    python -m benchmarks.models --quick                # small: does everything run? writes nothing
    python -m benchmarks.models --neuron lif           # images per second, peak memory, profile; about 2 minutes
    python -m benchmarks.models --neuron clif

A step is forward, cross-entropy on the mean over time, backward, SGD with momentum, on one batch of random images. All
sides start from the same weights and take turns in one process with memory kept (see benchmarks/README.md). Each runs
in both memory formats and its faster one counts. Peak memory is measured in a process per side.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from dataclasses import dataclass, replace

import torch
from torch import nn

from benchmarks import measure, record
from benchmarks.peer_networks import KITS, PeerResNet18

PACKAGES = {"SpikingJelly": "spikingjelly", "snnTorch": "snntorch"}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
GROUPS = {  # names of operators in the profile, in the order in which they are tried
    "neurons": ("_Scan", "_ScanBackward"),
    "convolutions": ("convolution", "conv2d"),
    "norms": ("batch_norm",),
    "saved as bits": ("pack",),
    "optimiser": ("Optimizer", "_foreach"),
}


@dataclass(frozen=True)
class Case:
    """What is trained."""

    neuron: str
    steps: int = 4
    batch: int = 16
    width: float = 1.0
    dtype: str = "float32"
    device: str = "cpu"

    def row(self) -> dict:
        sizes = {"steps": self.steps, "size": self.batch, "width": self.width}
        return {"group": "network", "neuron": self.neuron, **sizes, "dtype": self.dtype}

    def precision(self) -> torch.autocast:
        """Mixed precision as in the papers' training for bfloat16, nothing for float32."""
        return torch.autocast(self.device, torch.bfloat16, enabled=self.dtype == "bfloat16")


def network(case: Case, side: str, form: str) -> nn.Module:
    """Spiking ResNet-18 of one side; every side has the weights of ours."""
    import rheobase as rb

    options = {"surrogate": rb.surrogate.ATan(2.0)} if case.neuron == "lif" else {}
    ours = rb.models.create(
        "spiking_resnet18", case.neuron, steps=case.steps, width=case.width, neuron_options=options, weight_seed=0
    )
    if not side.startswith("rheobase"):
        peer = PeerResNet18(KITS[side](case.neuron), case.width, case.steps)
        with torch.no_grad():
            for theirs, parameter in zip(peer.parameters(), ours.parameters(), strict=True):
                theirs.copy_(parameter)
        ours = peer
    return ours.to(memory_format=FORMATS[form])  # type: ignore[call-overload]


class Step:
    """One training step of one side."""

    def __init__(self, case: Case, side: str, form: str):
        import rheobase as rb

        self.model = network(case, side, form).to(case.device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.0, momentum=0.9)
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(case.batch, 3, 32, 32, generator=generator).to(case.device)
        self.labels = (torch.arange(case.batch) % 10).to(case.device)
        self.case = case
        self.packing = rb.pack_spikes if side == "rheobase packed" else contextlib.nullcontext

    def __call__(self) -> torch.Tensor:
        with self.case.precision(), self.packing():
            readout = self.model(self.images)
            loss = nn.functional.cross_entropy(readout.float().mean(0), self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return readout.detach().float()


def speed(case: Case, sides: list[str], effort: measure.Effort) -> list[dict]:
    """A row per side and memory format: seconds, images per second, how far its readout is from ours."""
    steps = {(side, form): Step(case, side, form) for side in sides for form in FORMATS}
    ours = steps["rheobase", "contiguous"]()
    apart = {key: float((step() - ours).abs().max()) for key, step in steps.items()}
    threads = (os.cpu_count() or 1,)
    subjects = [measure.Subject(f"{side} {form}", step, threads=threads) for (side, form), step in steps.items()]
    rows = []
    for (side, form), timing in zip(steps, measure.interleave(subjects, effort), strict=True):
        found = {"format": form, "images_per_second": case.batch / timing.median, "apart": apart[side, form]}
        rows.append({**case.row(), **timing.row(), "subject": side, **found})
    return rows


def peak(case: Case, side: str, form: str) -> int | None:
    """Bytes that a step needs beyond model, optimiser and images, at its highest."""
    step = Step(case, side, form)
    step()
    return measure.peak_of(step)


def profile(case: Case, side: str, form: str, rounds: int) -> dict[str, float]:
    """Share of each kind of work in a step, by torch's profiler, after one step to warm up."""
    step = Step(case, side, form)
    for _ in range(2):
        step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        for _ in range(rounds):
            step()
    times = {event.key: event.self_cpu_time_total for event in found.key_averages()}
    shares: dict[str, float] = {}
    for key, value in times.items():
        group = next((g for g, words in GROUPS.items() if any(word in key for word in words)), "everything else")
        shares[group] = shares.get(group, 0.0) + value / sum(times.values())
    return {group: round(share, 4) for group, share in sorted(shares.items(), key=lambda item: -item[1])}


def run(case: Case, effort: measure.Effort, rounds: int = 3) -> list[dict]:
    """All rows of a case, in fresh processes; the fastest format of each side also has memory and profile."""
    peers = [
        name
        for name in KITS
        if importlib.util.find_spec(PACKAGES[name]) and (case.neuron, name) != ("clif", "snnTorch")
    ]
    sides = ["rheobase", "rheobase packed", *peers]
    with measure.process("kept") as call, measure.Contention() as meter:
        rows = call(speed, case, sides, effort)
    best = {side: min((r for r in rows if r["subject"] == side), key=lambda r: r["seconds"]) for side in sides}
    for side, row in best.items():
        with measure.process("fresh") as call:
            row["peak_bytes"] = call(peak, case, side, row["format"])
        with measure.process("kept") as call:
            row["profile"] = call(profile, case, side, row["format"], rounds)
        row["others"] = meter.others
    return list(best.values()) + [row for row in rows if row not in best.values()]


def report(rows: list[dict]) -> str:
    """A line per side with its ratios to ours, then the profiles."""
    ours = next(row for row in rows if row["subject"] == "rheobase" and "peak_bytes" in row)
    lines = []
    for row in rows:
        memory = f", peak {row['peak_bytes'] / 2**20:.0f} MiB" if row.get("peak_bytes") else ""
        ratio = row["seconds"] / ours["seconds"]
        lines.append(
            f"{row['subject']:16s} {row['format']:13s} {row['images_per_second']:6.1f} images/s, ours {ratio:.2f}x as "
            f"fast{memory}, readout apart {row['apart']:.1e}"
        )
    for row in rows:
        if "profile" in row:
            lines.append(f"{row['subject']}: " + ", ".join(f"{k} {v:.1%}" for k, v in row["profile"].items()))
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    record.common(parser)
    parser.add_argument("--neuron", choices=("lif", "clif"), default="lif")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="bfloat16: autocast")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60.0, help="about how long the sides take turns")
    given = parser.parse_args(arguments)
    case = Case(given.neuron, batch=given.batch, dtype=given.dtype)
    if given.quick:
        case = replace(case, batch=4, width=0.25)
    effort = measure.QUICK if given.quick else measure.Effort(given.seconds, least=3, most=15)
    measure.wait_until_quiet(given.patience)
    rows = run(case, effort)
    record.Recorder("models", given, arguments).add(1, 1, rows)
    print(report(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
