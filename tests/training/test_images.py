"""Training on images: a resumed run is the same run, whatever is switched on, and its log says what happened."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiny import SPEED, arm

from rheobase import Neuron
from rheobase.training import Config, Interrupted, checkpoint, evaluate, prepare, record, restore_task, train
from rheobase.training.averaging import Average
from rheobase.training.distributed import Group
from rheobase.training.loop import Run
from rheobase.training.run import Progress

IMAGE = 3073  # bytes of one image of the binary files
PART = "cifar-10-batches-bin"
PLACES = (os.environ.get("RHEOBASE_DATA"), Path(__file__).parents[3] / "data")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The first real images of CIFAR-10's files, few enough for a test."""
    place = next((Path(place) for place in PLACES if place and (Path(place) / PART).is_dir()), None)
    if place is None:
        pytest.skip(f"needs {PART} (a part of CIFAR-10): point RHEOBASE_DATA at a folder that has it")
    root = tmp_path_factory.mktemp("data")
    (root / PART).mkdir()
    for name in ("data_batch_1", "data_batch_2", "heldout_batch"):
        with (place / PART / f"{name}.bin").open("rb") as whole:
            (root / PART / f"{name}.bin").write_bytes(whole.read(100 * IMAGE))
    return root


@pytest.fixture(autouse=True)
def here(images, monkeypatch):
    monkeypatch.setenv("RHEOBASE_DATA", str(images))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def config(**changes) -> Config:
    """Three epochs of four batches with all that has a state: augmentation, mixing, average, scaler, schedule."""
    base = Config(
        recipe="images",
        data="cifar-10-part",
        encoding="direct",
        steps=2,
        augmentation="cifar-strong",
        model="cnn5",
        model_options={"width": 0.1, "dropout": 0.2},
        neuron="dalif",
        epochs=3,
        batch=48,
        accumulate=2,
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=5e-5,
        schedule="cosine",
        warmup=0.5,
        clip=None,
        loss="tet",
        average=0.9,
        precision="float16",
        channels_last=True,
        workers=1,
        log_every=1,
        device="cpu",
    )
    return base.but(**changes)


def outcome(folder):
    found = record.read(folder / "record.json")
    rows = [{name: value for name, value in row.items() if name not in SPEED} for row in found["epochs"]]
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    last = checkpoint.load(folder)
    tensors = {**weights, **last["model"], **last["average"]["weights"]}
    return {name: tensors[name].numpy().tobytes() for name in tensors}, rows, found["test"], last["scaler"]


def stopped_and_resumed(chosen, folder, number, monkeypatch):
    with monkeypatch.context() as patch:
        arm(patch.setattr, "SIGINT", number, lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(Interrupted):
            train(chosen, folder)
    torch.manual_seed(number)
    train(None, folder, resume=True)


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RHEOBASE_DATA", str(images))
        torch.set_num_threads(1)
        train(config(), folder)
    return folder


@pytest.mark.parametrize("number", [1, 6, 11])
def test_it_goes_on_bit_for_bit_with_everything_switched_on(tmp_path, uninterrupted, number, monkeypatch):
    stopped_and_resumed(config(), tmp_path / "run", number, monkeypatch)
    assert outcome(tmp_path / "run") == outcome(uninterrupted)


def test_a_forgotten_average_or_scaler_would_be_noticed(tmp_path, uninterrupted, monkeypatch):
    monkeypatch.setattr(Average, "load_state_dict", lambda self, state: None)
    stopped_and_resumed(config(), tmp_path / "run", 6, monkeypatch)
    assert outcome(tmp_path / "run") != outcome(uninterrupted)


def test_the_log_has_every_step_once_also_after_a_resume(tmp_path, uninterrupted, monkeypatch):
    stopped_and_resumed(config(), tmp_path / "run", 6, monkeypatch)
    for folder in (uninterrupted, tmp_path / "run"):
        lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        steps = [line["step"] for line in lines if line["kind"] == "step"]
        assert steps == list(range(1, 13))
        assert {"loss", "accuracy", "gradient_norm", "learning_rate"} <= lines[0].keys()
        epochs = [line for line in lines if line["kind"] == "epoch"]
        assert len(epochs) == 3 and all(line["samples_per_second"] > 0 for line in epochs)
        assert all(2**26 < line["peak_memory"] < 2**36 for line in epochs)


def test_tensorboard_gets_the_same_numbers(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(config(epochs=1), tmp_path / "run", tensorboard=True)
    found = events.EventAccumulator(str(tmp_path / "run/tensorboard"))
    found.Reload()
    shown = [event.value for event in found.Scalars("step/loss")]
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    assert shown == pytest.approx([line["loss"] for line in lines if line["kind"] == "step"])


def test_a_result_with_averaged_weights_evaluates_to_the_same_score(uninterrupted):
    task = restore_task(uninterrupted)
    score = dataclasses.asdict(evaluate(task, task.test))
    assert score == pytest.approx(record.read(uninterrupted / "record.json")["test"])


def test_neurons_are_exchanged_at_their_epoch_also_by_a_resumed_run(tmp_path, monkeypatch):
    lif = config(neuron="lif", average=0.9, select="last")
    chosen = lif.but(exchange="clif", exchange_after=1)
    train(chosen, tmp_path / "whole")
    stopped_and_resumed(chosen, tmp_path / "run", 10, monkeypatch)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    train(lif, tmp_path / "lif")
    first, second = (record.read(tmp_path / name / "record.json")["epochs"] for name in ("whole", "lif"))
    assert first[0]["train_loss"] == second[0]["train_loss"] and first[1]["train_loss"] != second[1]["train_loss"]
    finished = record.read(tmp_path / "whole" / "record.json")["test"]
    assert train(None, tmp_path / "whole", resume=True)["test"] == finished, "the first neuron was tested"
    with pytest.raises(ValueError, match="exchange_after must be below epochs=2"):
        lif.but(exchange="clif", exchange_after=2, epochs=2)
    assert not Progress(epoch=4, best_epoch=1).finished(chosen.but(epochs=9, patience=3, exchange_after=3))
    assert Progress(epoch=6, best_epoch=1).finished(chosen.but(epochs=9, patience=3, exchange_after=3))
    task = restore_task(tmp_path / "whole")
    assert {type(part).__name__ for part in task.model.modules() if isinstance(part, Neuron)} == {"CLIF"}
    with pytest.raises(ValueError, match="has parameters of its own"):
        train(config(exchange="clif", exchange_after=1), tmp_path / "dalif")


def after_one_epoch(folder, **changes):
    plain = {"average": None, "precision": "float32", "augmentation": "none", "model_options": {"width": 0.1}}
    plain |= {"channels_last": False, "accumulate": 1, "workers": 0, "epochs": 1, "model": "vgg11_a"}
    train(config(**{**plain, **changes}), folder, test=False)
    return safetensors.torch.load_file(folder / "weights.safetensors")


def test_layout_and_workers_change_nothing_but_rounding(tmp_path):
    plain = after_one_epoch(tmp_path / "a")
    for name, changes in {"b": {"channels_last": True}, "c": {"workers": 1}}.items():
        other = after_one_epoch(tmp_path / name, **changes)
        for key, value in plain.items():
            torch.testing.assert_close(other[key], value, rtol=1e-3, atol=1e-4, msg=f"{changes} {key}")


def test_pieces_add_up_to_the_gradient_of_the_batch(tmp_path):
    """Without BatchNorm, whose statistics are those of a piece."""
    flat = {"model": "recurrent", "neuron": "lif", "encoding": None, "steps": None, "data": "digits"}
    flat |= {"model_options": {}, "loss": "mean_readout", "batch": 423, "weight_gain": 3.0, "hidden": (8,)}
    whole, pieces = (after_one_epoch(tmp_path / str(n), **flat, accumulate=n) for n in (1, 3))
    for name, value in whole.items():
        torch.testing.assert_close(pieces[name], value, rtol=1e-4, atol=1e-6, msg=name)


def test_a_recurrent_setting_on_an_image_network_is_refused():
    with pytest.raises(ValueError, match="cnn5 has no hidden"):
        prepare(config(hidden=(64,)))


def test_a_batch_too_small_for_all_processes_is_refused(tmp_path):
    task = prepare(config(batch=180))
    assert len(task.train) == 181
    with pytest.raises(ValueError, match="last batch of an epoch has 1 samples, too few for 2 processes"):
        Run(task, tmp_path, Group(0, 2), "")
