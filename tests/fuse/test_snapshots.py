"""Generated C and Triton of every neuron, forward and backward, as last looked at: a refactor shows what it changes.

`python -m tests.fuse.test_snapshots` writes them anew; read the difference before you commit it.
"""

import pathlib
import re

import pytest

from rheobase.fuse import cpu, cpu_backward, gpu_source, recurrent, recurrent_backward, recurrent_gpu_source
from tests import subjects

FOLDER = pathlib.Path(__file__).parent / "snapshots"
FUSED = [name for name in subjects.MAKERS if subjects.subject(name).fused]
RECURRENT = ["lif", "probplif"]  # with a gradient to a coefficient, and random numbers, or without
UPDATE = "if the change is meant, run `python -m tests.fuse.test_snapshots` and read the difference"
KINDS = {  # by ending: the modules that write the two passes, and the neurons
    ".c": ((cpu, cpu_backward), FUSED),
    ".triton": ((gpu_source, gpu_source), FUSED),
    "-recurrent.c": ((recurrent, recurrent_backward), RECURRENT),
    "-recurrent.triton": ((recurrent_gpu_source, recurrent_gpu_source), RECURRENT),
}
OWN = r"^static void \w+_blocks\(|^void \w+\(const int64_t \*a\) \{|^@triton.jit\ndef (step|pull)\("
FILES = [(name, ending) for ending, (_, neurons) in KINDS.items() for name in neurons]


def generated(name: str, ending: str) -> str:
    """Both kernels of the default neuron in float32, all gradients wanted, without the code that all kernels share."""
    neuron = subjects.subject(name).neuron()
    program, values = neuron.program(), neuron.coefficients()
    kinds = tuple(
        cpu.Kind(timed=name in neuron.timed, wanted=getattr(value, "requires_grad", False))
        for name, value in values.items()
    )
    variant = cpu.Variant("float32", kinds, neuron.random)
    if ending.endswith(".triton"):
        variant = gpu_source.Variant.like(variant)
    forward, backward = KINDS[ending][0]
    return "\n".join(own(made(program, variant)) for made in (forward.forward_source, backward.backward_source))


def own(source: str) -> str:
    """A kernel's title, and what is its own: from the first function that is not the same in all kernels."""
    title, rest = source.split("\n", 1)
    first = re.search(OWN, rest, re.MULTILINE)
    assert first, title
    return title + "\n" + rest[first.start() :]


@pytest.mark.parametrize(("name", "ending"), FILES)
def test_generated_source_is_as_last_seen(name, ending):
    file = FOLDER / f"{name}{ending}"
    assert file.exists(), f"{name} has no snapshot; {UPDATE}"
    assert generated(name, ending) == file.read_text(), UPDATE


def test_no_snapshot_is_left_over():
    assert {path.name for path in FOLDER.iterdir()} == {name + ending for name, ending in FILES}, UPDATE


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.iterdir():
        old.unlink()
    for each, ending in FILES:
        (FOLDER / f"{each}{ending}").write_text(generated(each, ending))
