"""`rheobase export` on real files: what it writes, what it refuses, and a disk that takes no more."""

import subprocess
import sys

import pytest
import torch

import rheobase as rb
from rheobase import cli, models

nir = pytest.importorskip("nir")


def test_the_command_writes_each_format(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = rb.models.create("recurrent", "lif", num_classes=3, in_channels=4, hidden=(6,))
    models.save(model, tmp_path / "model.safetensors")
    assert cli.main(["export", "model.safetensors", "--format", "nir", "--dt", "1e-3"]) == 0
    assert nir.read(tmp_path / "model.nir").metadata["dt"] == 1e-3
    assert cli.main(["export", "model.safetensors", "--format", "safetensors"]) == 1
    assert "the source itself" in capsys.readouterr().err
    assert cli.main(["export", "model.safetensors", "--format", "safetensors", "--out", "sub/copy.safetensors"]) == 0
    copy = models.load(tmp_path / "sub/copy.safetensors")
    x = torch.rand(5, 2, 4)
    assert torch.equal(copy(x), model(x))
    assert cli.main(["export", "model.safetensors", "--format", "torch"]) == 1
    assert "add --steps" in capsys.readouterr().err
    assert cli.main(["export", "model.safetensors", "--format", "torch", "--steps", "0"]) == 1
    assert "--steps must be 1 or more; got 0" in capsys.readouterr().err
    assert cli.main(["export", "model.safetensors", "--steps", "3"]) == 1
    assert "--steps is for --format torch" in capsys.readouterr().err


FULL = """
import resource, sys
from rheobase import cli

command = ["export", "model.safetensors", "--format", *sys.argv[2:]]
assert cli.main([*command, "--out", sys.argv[1]]) == 0  # and the kernels are compiled
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
sys.exit(cli.main(command))
"""


@pytest.mark.parametrize("arguments", [("nir",), ("torch", "--steps", "2")], ids=lambda arguments: arguments[0])
def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path, arguments):
    """And the interpreter alive, which HDF5 takes along."""
    model = rb.models.create("recurrent", "lif", num_classes=3, in_channels=40, hidden=(60,))
    models.save(model, tmp_path / "model.safetensors")
    place = tmp_path / {"nir": "model.nir", "torch": "model.pt2"}[arguments[0]]
    place.write_text("old")
    command = [sys.executable, "-c", FULL, f"elsewhere/{place.name}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and f"writing {place.name}; what was there before is unchanged" in done.stderr
    assert "Traceback" not in done.stderr and place.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"elsewhere", "model.safetensors", place.name}


def test_the_command_takes_the_result_of_a_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    small = ["--hidden", "8", "--epochs", "1", "--batch", "800", "--neuron", "lif"]
    assert cli.main(["train", *small, "--out", "run"]) == 0
    assert cli.main(["export", "run", "--format", "safetensors", "--out", "model.safetensors"]) == 0
    from rheobase.training import restore_task

    model, x = models.load("model.safetensors"), torch.rand(8, 2, 8)
    assert torch.equal(model(x), restore_task(tmp_path / "run").model.cpu().eval()(x))
    assert cli.main(["export", "run"]) == 0 and (tmp_path / "run.nir").exists()
    (tmp_path / "run").rename("lif.v2")
    assert cli.main(["export", "lif.v2"]) == 0 and (tmp_path / "lif.v2.nir").exists()
    (tmp_path / "lif.v2").rename("run")
    assert cli.main(["export", "run", "--out", "run.pt2"]) == 1 and "ends in .nir" in capsys.readouterr().err
    assert cli.main(["export", "run", "--deterministic"]) == 1 and "lif draws nothing" in capsys.readouterr().err
    assert cli.main(["train", *small[:-1], "problif", "--out", "drawn"]) == 0
    assert cli.main(["export", "drawn"]) == 1 and "it draws its spikes" in capsys.readouterr().err
    assert cli.main(["export", "drawn", "--format", "torch"]) == 1 and "`--seed 0`" in capsys.readouterr().err
    assert cli.main(["export", "drawn", "--format", "torch", "--seed", "3"]) == 0
    program, x = torch.export.load("drawn.pt2").module(), torch.rand(8, 2, 8)
    assert torch.equal(program(x), program(x))
    assert cli.main(["export", "run", "--format", "torch", "--seed", "3"]) == 1
    assert "no neuron of this network draws" in capsys.readouterr().err
    assert cli.main(["export", "drawn", "--seed", "3"]) == 1 and "--seed is for" in capsys.readouterr().err
    assert cli.main(["export", "drawn", "--deterministic"]) == 0 and (tmp_path / "drawn.nir").exists()
    assert cli.main(["export", "nowhere.json"]) == 1 and "nowhere.json" in capsys.readouterr().err
