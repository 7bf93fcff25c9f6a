"""The Triton kernels: equal to eager on a GPU, or in Triton's interpreter where there is none; compiled for both kinds.

`python -m rheobase.checks.gpu clif` compiles a neuron's kernels ahead and says why they do not; no GPU is needed.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

import torch

from rheobase.checks import agreement
from rheobase.checks.subject import Subject, maker, quarters, require
from rheobase.fuse import gpu
from rheobase.neurons import Neuron

CAPABILITIES = (80, 90)
TIMEOUT = 600.0


def runs_here() -> bool:
    """Whether Triton's kernels can run: on a GPU, or in the interpreter (TRITON_INTERPRET=1)."""
    return bool(importlib.util.find_spec("triton")) and (torch.cuda.is_available() or gpu.interpreting())


def equals_eager(subject: Subject) -> None:
    """The dyadic check of the Triton kernels. On a GPU for every option, in 16 bits and on random inputs too."""
    if gpu.obstacle(subject.neuron().program(), quarters((1, 2), torch.float32).to(agreement.place("triton"))):
        return  # a function that the interpreter lacks; a GPU has it
    everything = torch.cuda.is_available()
    agreement.dyadic(subject, steps=16, backend="triton")  # whole chunks; 24 steps are one and a half
    for options in subject.options() if everything else [{}]:
        agreement.dyadic(subject, backend="triton", **options)
    for dtype in (torch.bfloat16, torch.float16) if everything else (torch.bfloat16,):
        agreement.dyadic(subject, dtype, backend="triton")
    if everything:
        agreement.random_inputs(subject, backend="triton")


def compiles(spec: str) -> None:
    """Forward and backward kernels of the neuron named `spec` compile for sm_80 and sm_90, in a process of their own.

    A process where Triton's interpreter is on cannot compile.
    """
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", __name__, spec]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT)
    told = re.findall(r"^[\w.]*Error\b.*[^:]$", done.stderr, re.MULTILINE)  # Triton's own end in a place, "at 6:9:"
    told = told or [f"exit status {done.returncode}"]
    require(done.returncode == 0, f"{spec}: its GPU kernels do not compile: {told[0]}")


def compile_ahead(neuron: Neuron, steps: int = 8) -> int:
    """Compile a neuron's kernels for GPUs that need not be here; returns the bytes of their PTX."""
    from rheobase import show
    from rheobase.fuse.gpu_source import Variant

    variant, size = Variant.like(show.default_variant(neuron))._replace(dtype="bfloat16"), 0
    for capability in CAPABILITIES:
        for backward in (False, True):
            size += len(gpu.compile_ahead(neuron.program(), variant, capability, backward, steps))
    return size


if __name__ == "__main__":
    print(compile_ahead(Subject(maker(sys.argv[1])).neuron()))
