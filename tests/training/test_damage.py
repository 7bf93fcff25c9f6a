"""Damaged files in the folder of a run: what a crash leaves is dropped, anything else is named."""

import pytest
import safetensors.torch
import torch

from rheobase import cli
from rheobase.training import restore_task, train
from rheobase.training.log import LOG, lines
from rheobase.training.loop import SPLIT

pytest.importorskip("sklearn")

from tiny import config


@pytest.fixture
def half(tmp_path):
    """A run that stopped after its first epoch, with a log of several lines."""

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config().but(epochs=2, log_every=1), tmp_path / "run", after_epoch=stop)
    return tmp_path / "run"


def test_half_a_last_line_of_a_log_is_dropped(half):
    whole = lines(half / LOG)
    for end in (b'{"kind": "step", "st', b"\0" * 50, b"\xff\xfe", b"{"):
        with (half / LOG).open("ab") as log:
            log.write(end)
        assert lines(half / LOG) == whole
        (half / LOG).write_bytes((half / LOG).read_bytes().removesuffix(end))
    train(None, half, resume=True)
    assert lines(half / LOG)[: len(whole)] == whole


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", b"{", b"[1, 2]", b"5", b'{"kind": "step"}'])
def test_a_damaged_line_within_a_log_is_named(half, damage, capsys):
    first, _, *rest = (half / LOG).read_bytes().split(b"\n")
    (half / LOG).write_bytes(b"\n".join([first, damage, *rest]))
    for command in (["train", "--resume", str(half)], ["curves", str(half), "--out", str(half / "curves.png")]):
        assert cli.main(command) == 1
        assert f"{half / LOG}, line 2, is damaged" in capsys.readouterr().err
    (half / LOG).unlink()
    train(None, half, resume=True)


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe\x00", b"{", b"[1, 2]", b"null", b'{"train": 1}', b"{}"])
def test_a_damaged_split_is_named_and_can_be_deleted(half, damage):
    (half / SPLIT).write_bytes(damage)
    with pytest.raises(ValueError, match=r"split\.json is damaged: .* Put it back, or delete it"):
        train(None, half, resume=True)
    (half / SPLIT).unlink()
    with pytest.warns(UserWarning, match=r"split\.json is gone"):
        train(None, half, resume=True)
    assert (half / SPLIT).exists()


def test_weights_with_a_damaged_config_are_named(tmp_path):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "weights.safetensors", {"config": "{"})
    with pytest.raises(ValueError, match=r"weights\.safetensors is corrupt: the config in its metadata cannot be read"):
        restore_task(tmp_path / "weights.safetensors")
