"""`rheobase bench`: what it prints, on which device and in which type, and what it refuses."""

import pytest
import torch

from rheobase import bench, cli
from rheobase.commands import terminal

NEURON = """
import rheobase as rb

class Mine(rb.LIF):
    pass
"""


@pytest.fixture
def say(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "console", terminal.Console(width=200))
    return lambda *arguments: (cli.main(["bench", *arguments]), capsys.readouterr())


def test_every_case_of_a_users_neuron_is_a_row(tmp_path, say):
    (tmp_path / "my.py").write_text(NEURON)
    small = ("--steps", "2", "5", "--elements", "1000", "--rounds", "2", "--device", "cpu")
    status, told = say("--neuron", f"{tmp_path}/my.py:Mine", *small, "--dtype", "bfloat16")
    assert status == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.out.splitlines() if line.startswith("│")]
    assert [row[:3] for row in rows] == [
        ["2", "500", "forward"], ["2", "500", "both"], ["5", "200", "forward"], ["5", "200", "both"],
    ]  # fmt: skip
    assert all(row[-1] == "cpu" and float(row[3]) > 0 and row[5].endswith("x") for row in rows)
    assert "Mine, bfloat16" in " ".join(told.out.split())  # a long title goes over two lines


def test_auto_is_a_gpu_where_there_is_one():
    wanted = "triton" if torch.cuda.is_available() else "cpu"
    assert {row.backend for row in bench.bench("lif", (3,), 300, 1)} == {wanted}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--neuron", "liff"), "lif"),
        (("--steps", "0"), "steps >= 1"),
        (("--elements", "3"), "elements >= steps"),
    ],
)
def test_mistakes_are_named(say, arguments, words):
    status, told = say(*arguments)
    assert status and words in told.err + told.out


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="needs a GPU, and torch finds none"):
        bench.bench("lif", (3,), 300, 1, device="cuda")
    with pytest.raises(ValueError, match="dtype"):
        bench.bench("lif", (3,), 300, 1, dtype="float8")
