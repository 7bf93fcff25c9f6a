"""Runs that are killed, stopped or starved of disk: what is left is usable, and going on gives the same bits."""

import errno
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

import rheobase as rb
from rheobase import data
from rheobase.fuse import operator
from rheobase.training import Diverged, Interrupted, checkpoint, evaluate, loop, record, restore_task, train

pytest.importorskip("sklearn")

from tiny import SPEED, arm, config

EXCHANGING = config().but(
    neuron="lif",
    neuron_options={},
    exchange="clif",
    exchange_after=1,
    epochs=2,
    hidden=(16,),
    weight_gain=3.0,
    learn_readout_tau=False,
)
TINY = Path(__file__).with_name("tiny.py")


def start(folder: Path, *event) -> subprocess.CompletedProcess:
    """A run in a process of its own, to which `event` happens."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, str(TINY), str(folder), *map(str, event)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def outcome(folder: Path) -> tuple[bytes, list, dict]:
    """Best and last weights, metrics of every epoch (without times), test score."""
    found = record.read(folder / "record.json")
    rows = [{key: value for key, value in row.items() if key not in SPEED} for row in found["epochs"]]
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    last = checkpoint.load(folder)["model"]
    both = {**weights, **{f"last {name}": value for name, value in last.items()}}
    return b"".join(both[name].numpy().tobytes() for name in sorted(both)), rows, found["test"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Sums over threads depend on their number; the processes of this file have one as well."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(config(), folder)
    return outcome(folder)


@pytest.mark.parametrize(("event", "number"), [("batch", 6), ("write", 7)])
def test_after_kill_9_it_goes_on_bit_for_bit(tmp_path, uninterrupted, event, number):
    killed = start(tmp_path / "run", event, number)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    train(None, tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("event", ["SIGINT", "SIGTERM"])
def test_a_signal_leaves_a_checkpoint_in_the_middle_of_an_epoch_and_says_how_to_go_on(tmp_path, uninterrupted, event):
    stopped = start(tmp_path / "run", event, 6)
    assert stopped.returncode == 130, stopped.stderr
    assert f"after batch 2 of epoch 2. Go on with: rheobase train --resume {tmp_path / 'run'}" in stopped.stdout
    state = checkpoint.load(tmp_path / "run")["progress"]
    assert (state["epoch"], state["position"]) == (1, 2)
    train(None, tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize("number", range(1, 17))
def test_it_goes_on_bit_for_bit_from_every_batch(tmp_path, uninterrupted, number, monkeypatch):
    class Killed(BaseException):
        pass

    def killed():
        raise Killed

    arm(monkeypatch.setattr, "batch", number, killed)
    with pytest.raises(Killed):
        train(config(), tmp_path / "run", checkpoint_seconds=0)
    monkeypatch.undo()
    torch.manual_seed(number)
    train(None, tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_damaged_checkpoint_is_refused_and_the_previous_one_serves_when_asked(tmp_path, uninterrupted, monkeypatch):
    arm(monkeypatch.setattr, "SIGINT", 6, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        train(config(), tmp_path / "run", checkpoint_seconds=0)
    monkeypatch.undo()
    (tmp_path / "run/checkpoint.pt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"checkpoint\.pt is truncated or corrupt.*--resume .*run --previous"):
        train(None, tmp_path / "run", resume=True)
    train(None, tmp_path / "run", resume=True, previous=True)
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_damaged_checkpoint_never_takes_the_place_of_the_one_before(tmp_path, monkeypatch):
    def stop(row):
        raise KeyboardInterrupt

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        train(config(), tmp_path / "run", after_epoch=stop)
    (tmp_path / "run/checkpoint.pt").write_bytes(b"damaged")
    log = (tmp_path / "run/log.jsonl").read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"disk full while writing .*log\.jsonl"):
        train(None, tmp_path / "run", resume=True, previous=True)
    monkeypatch.undo()
    assert (tmp_path / "run/log.jsonl").read_bytes() == log, "the log is gone"
    assert checkpoint.load(tmp_path / "run")["progress"]["epoch"] == 0


def test_a_finished_run_goes_on_to_the_same_record(tmp_path):
    found = train(config(), tmp_path / "run")
    operator._last.set(None)  # as in a new process
    assert train(None, tmp_path / "run", resume=True) == found


def test_a_finished_run_that_exchanged_its_neuron_goes_on_to_the_same_record(tmp_path):
    found = train(EXCHANGING, tmp_path / "run")
    assert train(None, tmp_path / "run", resume=True) == found
    assert reloaded(tmp_path / "run") == ({"CLIF"}, pytest.approx(found["test"]))


def test_an_exchange_leaves_readouts_as_they_are(tmp_path):
    chosen = EXCHANGING.but(learn_readout_tau=True)
    found = train(chosen, tmp_path / "run")
    assert reloaded(tmp_path / "run") == ({"CLIF"}, pytest.approx(found["test"]))


def test_patience_counts_from_the_exchange(tmp_path):
    chosen = EXCHANGING.but(exchange_after=2, epochs=9, patience=1, learning_rate=1e-12, select="accuracy")
    found = train(chosen, tmp_path / "run")
    assert len(found["epochs"]) == 4, "the second epoch is no better than the first, the fourth than the third"
    assert train(None, tmp_path / "run", resume=True) == found
    assert reloaded(tmp_path / "run") == ({"CLIF"}, pytest.approx(found["test"]))
    with pytest.raises(ValueError, match=r"exchange_after must be below epochs=2.*; got 2"):
        EXCHANGING.but(exchange_after=2)


def test_weights_from_before_the_exchange_are_not_kept_for_the_network_after_it(tmp_path, monkeypatch):
    keep = loop.Run._keep_the_best
    scored = {}

    def after_the_exchange(run, loss, accuracy):
        return keep(run, scored["after"] if run.exchanged else 0.0, accuracy)

    monkeypatch.setattr(loop.Run, "_keep_the_best", after_the_exchange)
    scored["after"] = 1.0
    assert train(EXCHANGING, tmp_path / "worse")["best_epoch"] == 2
    scored["after"] = math.nan
    with pytest.raises(Diverged, match="No epoch had a finite validation loss"):
        train(EXCHANGING, tmp_path / "run")


def reloaded(folder: Path) -> tuple[set[str], dict]:
    """The kinds of neurons in a finished run's network, and what it scores."""
    task = restore_task(folder)
    kinds = {type(part).__name__ for part in task.model.modules() if isinstance(part, rb.Neuron)}
    return kinds - {"_Integrator"}, vars(evaluate(task, task.test))


@pytest.fixture
def pictures(tmp_path):
    """A run over random images in files, two classes, and their folder."""
    image = pytest.importorskip("PIL.Image")
    draws = np.random.default_rng(0)
    for part, count in (("train", 16), ("test", 4)):
        for name in ("cat", "dog"):
            (tmp_path / f"own/{part}/{name}").mkdir(parents=True)
            for number in range(count):
                picture = image.fromarray(draws.integers(0, 256, (8, 8, 3), np.uint8))
                picture.save(tmp_path / f"own/{part}/{name}/{number:02d}.png")
    options = {"path": str(tmp_path / "own"), "size": 8}
    run = config().but(data="image-folder", data_options=options, encoding=None, steps=None, epochs=2, batch=8)
    return run, tmp_path / "own"


def test_neither_workers_nor_going_on_change_the_noise(tmp_path, pictures, monkeypatch):
    run, _ = pictures
    train(run, tmp_path / "alone")
    arm(monkeypatch.setattr, "SIGINT", 2, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted):
        train(run.but(workers=2), tmp_path / "run")
    monkeypatch.undo()
    train(None, tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "alone")


@pytest.mark.parametrize("count", [1, 2])
def test_a_run_does_not_go_on_with_other_data(tmp_path, pictures, count):
    run, folder = pictures

    def stop(row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path / "run", after_epoch=stop)
    moved = folder / "train/cat/07.png"
    (folder / "train/cat/new.png").write_bytes(moved.read_bytes())
    if count == 1:  # as many as before: one went, one came
        moved.rename(folder / "07.png")
    with pytest.raises(ValueError, match=r"split\.json: the train samples are no longer those .*Put the data back"):
        train(None, tmp_path / "run", resume=True)
    (folder / "train/cat/new.png").unlink()
    if count == 1:
        (folder / "07.png").rename(moved)
    train(None, tmp_path / "run", resume=True)


STATE = {"weights": torch.arange(5.0), "epoch": 3}


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-1], lambda raw: raw[:10], lambda raw: raw[:-30] + b"?" + raw[-29:]]
)
def test_every_damage_to_a_checkpoint_is_noticed(tmp_path, damage):
    checkpoint.save(tmp_path, STATE)
    path = tmp_path / checkpoint.CURRENT
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint\.pt is truncated or corrupt.*start the run again"):
        checkpoint.load(tmp_path)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, STATE)

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.os, "fsync", full)
    with pytest.raises(OSError, match=r"disk full while writing .*what was there before is unchanged"):
        checkpoint.save(tmp_path, {**STATE, "epoch": 4})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path)["epoch"] == 3
    assert not list(tmp_path.glob("*.writing"))


def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def too_large(file):
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(checkpoint.os, "fsync", too_large)
    with pytest.raises(OSError, match=r"File too large while writing .*checkpoint\.pt; what was there before is unch"):
        checkpoint.save(tmp_path, STATE)
    assert not list(tmp_path.iterdir())


def test_the_previous_checkpoint_is_the_one_before(tmp_path):
    for epoch in range(3):
        checkpoint.save(tmp_path, {**STATE, "epoch": epoch})
    assert checkpoint.load(tmp_path)["epoch"] == 2 and checkpoint.load(tmp_path, previous=True)["epoch"] == 1


def test_nothing_to_resume_is_a_clear_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing to resume"):
        train(None, tmp_path, resume=True)


def test_a_second_run_does_not_overwrite_the_first(tmp_path):
    checkpoint.save(tmp_path, STATE)
    with pytest.raises(ValueError, match=r"already holds a run.*--resume"):
        train(config(), tmp_path)


def test_a_file_is_no_folder_of_a_run(tmp_path):
    (tmp_path / "run").write_text("mine")
    for resume in (False, True):
        with pytest.raises(NotADirectoryError, match="is a file; a run is a folder"):
            train(config(), tmp_path / "run", resume=resume)
    assert (tmp_path / "run").read_text() == "mine"


def test_a_finished_run_without_its_checkpoints_is_not_overwritten(tmp_path):
    train(config().but(epochs=1), str(tmp_path / "run"))  # a path as text does too
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        (tmp_path / "run" / name).unlink()
    before = contents(tmp_path / "run")
    with pytest.raises(ValueError, match=r"already holds a run\. Choose another folder"):
        train(config(), tmp_path / "run")
    with pytest.raises(
        FileNotFoundError, match=r"nothing to resume\. There is no other; start the run again in another"
    ):
        train(None, tmp_path / "run", resume=True)
    assert contents(tmp_path / "run") == before
    assert restore_task(str(tmp_path / "run")).config.epochs == 1


def test_the_previous_checkpoint_is_named_where_only_that_is_left(tmp_path):
    for _ in range(2):
        checkpoint.save(tmp_path, STATE)
    (tmp_path / checkpoint.CURRENT).unlink()
    with pytest.raises(FileNotFoundError, match=r"nothing to resume\. The one before it is there: .*--previous"):
        train(None, tmp_path, resume=True)


def test_a_run_whose_config_has_numbers_of_numpy_goes_on(tmp_path):
    small = config().but(epochs=2, learning_rate=np.float64(0.01), hidden=np.array([8]), seed=np.int64(3))
    train(small, tmp_path, test=False)
    assert train(None, tmp_path, resume=True)["test"]


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    train(config(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"weights\.safetensors does not fit the model: layers\.0\.weight_ih is .*"):
        restore_task(tmp_path / "run", lambda old: old.but(hidden=(5,)))


def test_what_is_no_run_is_named(tmp_path):
    done = train(config(), tmp_path / "run")
    path = tmp_path / "run/record.json"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json: there is no such run\. Name its folder"):
        restore_task(tmp_path / "nowhere.json")
    with pytest.raises(FileNotFoundError, match=r"holds no finished run"):
        restore_task(tmp_path)
    record.write(path, {**done, "weights": "gone.safetensors"})
    with pytest.raises(FileNotFoundError, match=r"its weights, gone\.safetensors, are not beside it"):
        restore_task(path)
    other = config().but(batch=7, seed=5).as_dict()
    record.write(path, {**done, "config": other})
    with pytest.raises(ValueError, match=r"another run than its weights, .*: batch 7 and \d+, seed 5 and \d+"):
        restore_task(tmp_path / "run")


def test_a_changed_bit_of_the_weights_is_noticed(tmp_path):
    train(config(), tmp_path / "run")
    path = tmp_path / "run/weights.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"weights\.safetensors is corrupt: its weights do not have the checksum"):
        restore_task(tmp_path / "run")


def test_models_and_configs_that_no_run_wrote_are_refused_by_name(tmp_path):
    model = rb.models.create("recurrent", "lif", in_channels=8, num_classes=10, hidden=(8,))
    rb.models.save(model, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model\.safetensors is a model without data: .*rb\.models\.load reads it"):
        restore_task(tmp_path / "model.safetensors")
    (tmp_path / "w").touch()
    for values, words in (({"epochs": 1}, "data, model, neuron, hidden, seed missing"), ({"seed": -1}, "seed must be")):
        whole = values if "epochs" in values else {**config().as_dict(), **values}
        record.write(tmp_path / "record.json", {"config": whole, "weights": "w"})
        with pytest.raises(ValueError, match=rf"record\.json: config: {words}"):
            restore_task(tmp_path)


def test_a_set_without_one_of_its_parts_is_refused_before_training(tmp_path, monkeypatch):
    digits = data.load("digits")
    nobody = digits.test[torch.arange(0)]
    for part, words in (("test", "digits has no test samples"), ("train", "digits has no training samples")):
        monkeypatch.setattr(data, "load", lambda *_, part=part: replace(digits, **{part: nobody}))
        with pytest.raises(ValueError, match=words):
            train(config(), tmp_path / "run")
    with pytest.raises(ValueError, match=r"of 10 samples leaves none\. Give a smaller one"):
        data.hold_out_fraction(digits.test[torch.arange(10)], 0.99)
    assert not (tmp_path / "run").exists()


def test_neurons_that_learn_something_else_cannot_be_exchanged(tmp_path):
    train(config().but(neuron="probplif", neuron_options={}), tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"neuron\.tau has no place\. probplif, trained, and lif, do not learn the same"
    ):
        restore_task(tmp_path / "run", lambda old: old.with_neuron("lif"))
