"""Generated C of every neuron, forward and backward, as last looked at: a refactor shows what it changes.

`python -m tests.fuse.test_snapshots` writes them anew; read the difference before you commit it.
"""

import pathlib

import pytest

from rheobase.fuse import cpu
from tests import subjects

FOLDER = pathlib.Path(__file__).parent / "snapshots"
FUSED = [name for name in subjects.MAKERS if subjects.subject(name).fused]
UPDATE = "if the change is meant, run `python -m tests.fuse.test_snapshots` and read the difference"


def generated(name: str) -> str:
    """Both kernels of the default neuron in float32, all gradients wanted, without the C that all kernels share."""
    neuron = subjects.subject(name).neuron()
    program, values = neuron.program(), neuron.coefficients()
    kinds = tuple(
        cpu.Kind(timed=name in neuron.timed, wanted=getattr(value, "requires_grad", False))
        for name, value in values.items()
    )
    variant = cpu.Variant("float32", kinds, neuron.random)
    return "\n".join(own(source(program, variant)) for source in (cpu.forward_source, cpu.backward_source))


def own(source: str) -> str:
    """A kernel's title and its two functions."""
    title, rest = source.split("\n", 1)
    start = "\nstatic void " + ("forward" if ", forward," in title else "backward") + "_blocks("
    return title + start + rest.partition(start)[2]


@pytest.mark.parametrize("name", FUSED)
def test_generated_source_is_as_last_seen(name):
    file = FOLDER / f"{name}.c"
    assert file.exists(), f"{name} has no snapshot; {UPDATE}"
    assert generated(name) == file.read_text(), UPDATE


def test_no_snapshot_is_left_over():
    assert {path.stem for path in FOLDER.glob("*.c")} == set(FUSED), UPDATE


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.c"):
        old.unlink()
    for each in FUSED:
        (FOLDER / f"{each}.c").write_text(generated(each))
