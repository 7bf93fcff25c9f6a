"""Recipes on SHD's own file layout, filled with real recordings; a resumed run sees the same augmentations."""

import h5py
import numpy as np
import pytest
import safetensors.torch
import torch

from rheobase import recipes
from rheobase.training import checkpoint, loop, record, train
from rheobase.training.distributed import Group

STRENGTHS = {
    "warp": 0.1,
    "shift": 20.0,
    "stretch": 0.03,
    "jitter": 2.0,
    "drop": 0.2,
    "silence_channels": 50.0,
    "blend": 0.5,
}


@pytest.fixture(scope="module")
def shd(real_data_root, tmp_path_factory):
    """A root with shd_train.h5 and shd_test.h5 of 60 and 6 recordings out of the Heidelberg Digits' test part."""
    root = tmp_path_factory.mktemp("root")
    (root / "shd").mkdir()
    with h5py.File(real_data_root / "hd-cochlea/hd_test.h5") as source:
        for part, kept in (("train", slice(0, 60)), ("test", slice(60, 66))):
            with h5py.File(root / f"shd/shd_{part}.h5", "w") as file:
                for name in ("times", "units"):
                    values = source[f"spikes/{name}"][kept]
                    kind = values[0].dtype
                    column = file.create_dataset(f"spikes/{name}", (len(values),), h5py.vlen_dtype(kind))
                    for row, value in enumerate(values):
                        column[row] = value
                file["labels"] = source["labels"][kept]
                file["extra/speaker"] = source["extra/speaker"][kept]
    return root


@pytest.fixture(scope="module")
def real_data_root():
    from rheobase.data.catalog import default_root

    if not (default_root() / "hd-cochlea/hd_test.h5").exists():
        pytest.skip("needs the real data set file hd-cochlea/hd_test.h5: point RHEOBASE_DATA at a folder that has it")
    return default_root()


@pytest.fixture
def config(shd, monkeypatch):
    """Three epochs of four batches; batch, order, lengths and precision as the recorded runs have them."""
    monkeypatch.setenv("RHEOBASE_DATA", str(shd))
    return recipes.recipe("problif/shd-plif").but(
        epochs=3,
        batch=16,
        hidden=(16,),
        mask_padding=True,
        length_pool=2,
        event_augmentation=STRENGTHS,
        model_options={"dropout": 0.1},
        data_options={"taps": 5, "tap_steps": 6},
        precision="bfloat16",
        device="cpu",
    )


def outcome(folder):
    found = record.read(folder / "record.json")
    rows = [{k: row[k] for k in ("train_loss", "validation_loss", "firing_rate")} for row in found["epochs"]]
    weights = safetensors.torch.load_file(folder / "weights.safetensors")
    last = checkpoint.load(folder)["model"]
    return (
        rows,
        found["test"]["loss"],
        [w.tobytes() for n in sorted(last) for w in (last[n].numpy(), weights[n].numpy())],
    )


@pytest.mark.data
def test_a_resumed_run_sees_the_same_augmentations(tmp_path, config, monkeypatch):
    train(config, tmp_path / "whole")
    whole = outcome(tmp_path / "whole")
    train_batch, seen = loop.Run.train_batch, []

    def stopped(run, batch):
        seen.append(batch)
        if len(seen) == 7:
            raise KeyboardInterrupt
        train_batch(run, batch)

    monkeypatch.setattr(loop.Run, "train_batch", stopped)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "run", checkpoint_seconds=0)
    assert checkpoint.load(tmp_path / "run")["progress"]["position"] == 2, "not in the middle of an epoch"
    monkeypatch.setattr(loop.Run, "train_batch", train_batch)
    train(None, tmp_path / "run", resume=True)
    assert outcome(tmp_path / "run") == whole
    lengths = [len(batch.x) for batch in seen]
    assert max(lengths) < 250 and len(set(lengths)) > 1, "batches are not cut to their longest recording"


@pytest.mark.data
def test_augmentation_changes_training_alone(tmp_path, config):
    augmented, plain = (loop.prepare(changed) for changed in (config, config.but(event_augmentation={})))
    order = augmented.order(torch.Generator().manual_seed(0))
    one, other = (next(task.training_batches(order, 0, 0, Group())) for task in (augmented, plain))
    assert one.x.shape != other.x.shape or not torch.equal(one.x, other.x)
    for part in ("validation", "test"):
        one, other = (next(task.evaluation_batches(getattr(task, part), Group())) for task in (augmented, plain))
        assert torch.equal(one.x, other.x) and torch.equal(one.labels, other.labels), part


@pytest.mark.data
def test_shd_recipes_run_on_shd_files(tmp_path, shd, monkeypatch):
    monkeypatch.setenv("RHEOBASE_DATA", str(shd))
    for name in ("problif/shd", "problif/shd-plif"):
        found = train(recipes.recipe(name).but(epochs=1, device="cpu"), tmp_path / name.replace("/", "-"))
        assert found["parameters"] == (108_544 if name == "problif/shd" else 108_692)
        assert np.isfinite(found["test"]["loss"])


def test_similar_lengths_waste_less_and_lose_nothing():
    from rheobase import data

    lengths = torch.randint(50, 250, (1003,), generator=torch.Generator().manual_seed(0))
    order = torch.randperm(1003, generator=torch.Generator().manual_seed(1))
    sorted_ = data.similar_lengths(order, lengths, 10, 8, torch.Generator().manual_seed(2))
    assert torch.equal(sorted_.sort().values, torch.arange(1003))

    def computed(one):
        return sum(int(lengths[batch].max()) * len(batch) for batch in one.split(10))

    assert computed(sorted_) < 0.75 * computed(order) and computed(sorted_) < 1.12 * lengths.sum()
