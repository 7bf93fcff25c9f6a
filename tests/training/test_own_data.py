"""Training on data that are handed in: the record says so, and whoever goes on hands in the same data again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import SPEED

from rheobase.data import DataSet, Events, Rows, Samples, batches
from rheobase.training import Config, compare, evaluate, restore_task, train


def halves(seed: int = 0, name: str = "halves") -> DataSet:
    """Images that are bright on the left or on the right, from NumPy arrays."""
    generator = np.random.default_rng(seed)

    def part(count: int) -> Samples:
        labels = generator.integers(0, 2, count).astype(np.int32)
        images = generator.integers(0, 100, (count, 6, 6)).astype(np.uint8)
        images[labels == 0, :, :3] += 100
        images[labels == 1, :, 3:] += 100
        return Samples(images, labels, scale=1 / 255)  # pyright: ignore[reportArgumentType]

    return DataSet(name, 2, part(200), part(50), Rows())


def config(**changes) -> Config:
    small = Config(hidden=(8,), neuron="lif", epochs=2, batch=50, learning_rate=0.02, readout_tau=3.0, weight_gain=3.0)
    return small.but(device="cpu", **changes)


def test_the_record_says_so_and_the_run_goes_on_with_the_same_data_alone(tmp_path):
    whole = train(config(epochs=4), tmp_path / "whole", data_set=halves())
    assert whole["config"]["data"].startswith("own:halves:") and whole["test"]["accuracy"] > 0.8

    def stop(row):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        train(config(epochs=4), tmp_path / "half", data_set=halves(), after_epoch=stop)
    with pytest.raises(ValueError, match=r"halves is a data set that was handed in. Hand it in again"):
        train(None, tmp_path / "half", resume=True)
    with pytest.raises(ValueError, match=r"Hand in the same samples again"):
        train(None, tmp_path / "half", resume=True, data_set=halves(seed=1))
    half = train(None, tmp_path / "half", resume=True, data_set=halves())
    assert half["test"] == whole["test"]
    rows = [[{k: v for k, v in row.items() if k not in SPEED} for row in one["epochs"]] for one in (whole, half)]
    assert rows[0] == rows[1]
    task = restore_task(tmp_path / "half", data_set=halves())
    assert vars(evaluate(task, task.test)) == whole["test"]
    with pytest.raises(ValueError, match="Hand it in again"):
        restore_task(tmp_path / "half")


def test_neurons_are_compared_on_it(tmp_path: Path):
    (lif, clif) = compare(config(epochs=1), ["lif", "clif"], [0], tmp_path, data_set=halves())
    assert lif.records[0]["config"]["data"] == clif.records[0]["config"]["data"]
    again = compare(config(epochs=1), ["lif"], [0], tmp_path, data_set=halves())
    assert again[0].records[0]["started"] == lif.records[0]["started"], "trained again"


def test_sequences_train_too(tmp_path):
    found = halves()
    assert isinstance(found.train.values, torch.Tensor)
    record = train(config(epochs=1), tmp_path / "run", data_set=dataclasses.replace(found, encoding=Events()))
    assert record["samples"]["train"] == 180


def test_what_does_not_fit_is_refused(tmp_path):
    images = torch.zeros(3, 4, 4)
    with pytest.raises(ValueError, match="one label for each value"):
        Samples(images, torch.zeros(2, dtype=torch.long))
    with pytest.raises(ValueError, match=r"whole numbers from 0; got torch.float32"):
        DataSet("mine", 2, *[Samples(images, torch.zeros(3))] * 2, Rows())
    with pytest.raises(ValueError, match="mine: labels must be 0 to 1; got 1 to 2"):
        DataSet("mine", 2, *[Samples(images, torch.tensor([1, 2, 2]))] * 2, Rows())
    with pytest.raises(ValueError, match="data_options are for readers of sets by name"):
        train(config(data_options={"steps": 3}), tmp_path / "a", data_set=halves())
    train(config(data="digits", epochs=1), tmp_path / "digits")
    with pytest.raises(ValueError, match="is a run on digits; leave out data_set"):
        train(None, tmp_path / "digits", resume=True, data_set=halves())


def test_what_is_printed_is_short():
    found = halves()
    assert repr(found.train) == "Samples(200 of [6, 6] torch.uint8, 2 classes)"
    batch = next(batches(found.train, found.encoding, 10))
    assert repr(batch) == "Batch(x [6, 10, 6] torch.float32, labels [10])"
    assert repr(found).startswith("DataSet('halves', 2 classes, train=Samples(200 of") and len(repr(found)) < 200
