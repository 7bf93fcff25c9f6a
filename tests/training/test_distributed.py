"""Two real processes under torchrun: the result of one, and what happens when one of them dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rheobase.training import record, train
from rheobase.training.distributed import Group, lost, own_device

pytest.importorskip("sklearn")

import together

PROGRAM = Path(together.__file__)


def torchrun(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*start, str(PROGRAM), str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "weights.safetensors")


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two") / "run"
    done = torchrun(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "run"
    train(together.config(), folder)
    return folder


def test_each_process_has_a_gpu_of_its_own_unless_the_config_says_cpu(monkeypatch):
    """The decision alone, for machines with other numbers of GPUs than this one."""
    third = Group(2, 4, 2)
    assert own_device("auto", Group()) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert own_device("auto", third) == own_device("cuda", third) == torch.device("cuda", 2)
    assert own_device("cpu", third) is None and own_device("auto", Group()) is None
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert own_device("cpu", third) is None
    with pytest.raises(ValueError, match="--nproc-per-node 2, or train with --device cpu"):
        own_device("auto", third)


def test_two_processes_train_as_one(one, two):
    alone, both = (record.read(folder / "record.json") for folder in (one, two))
    assert (alone["processes"], both["processes"]) == (1, 2)
    for row, other in zip(alone["epochs"], both["epochs"], strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "firing_rate"):
            assert other[name] == pytest.approx(row[name], rel=1e-4), name
    assert both["test"] == pytest.approx(alone["test"], rel=1e-4)
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=1e-4, atol=1e-5)


def test_batchnorm_takes_its_statistics_over_both(two):
    expected = together.gradients(together.network(), *together.batch(), 1.0)
    found = torch.load(two / "gradients.pt", weights_only=True)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12, msg=name)


def test_a_killed_process_ends_the_run_with_an_error_and_the_checkpoint_resumes(tmp_path, two):
    folder = tmp_path / "run"
    killed = torchrun(folder, "6")
    assert killed.returncode != 0
    assert "SIGKILL" in killed.stderr or "Signal 9" in killed.stderr
    assert f"torchrun --nproc-per-node 2 -m rheobase train --resume {folder}" in killed.stderr
    with pytest.raises(ValueError, match=r"written by 2 processes.*--nproc-per-node 2"):
        train(None, folder, resume=True)
    assert torchrun(folder).returncode == 0
    for name, value in weights(two).items():
        assert torch.equal(weights(folder)[name], value), name


def test_the_mean_of_the_parts_is_the_mean_of_the_batch():
    losses, group = torch.arange(5.0), Group(0, 2)
    parts = losses[:3].mean() * group.weight(3, 5), losses[3:].mean() * group.weight(2, 5)
    assert sum(parts) / 2 == losses.mean()


def test_only_broken_connections_are_a_lost_process():
    assert lost(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:1"))
    assert not lost(RuntimeError("expected scalar type Float but found Double"))
