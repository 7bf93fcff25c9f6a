"""Training on data that are handed in: the record says so, and whoever goes on hands in the same data again."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import SPEED

from rheobase.data import DataSet, Events, Rows, Samples, batches, hold_out_fraction
from rheobase.data.recordings import Recordings
from rheobase.training import Config, Diverged, checkpoint, compare, evaluate, prepare, restore_task, train
from rheobase.training.distributed import Group
from rheobase.training.firing import FiringRate
from rheobase.training.run import Progress, Run


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


X, Y = torch.zeros(4, 3, 3), torch.tensor([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Samples(["a"] * 4, Y), r"values must be numbers, as a NumPy array or tensor \[N, ...\]; got list"),
        (lambda: Samples(None, Y), "values must be numbers, .* got NoneType"),
        (lambda: Samples(torch.tensor(1.0), Y), r"values must be numbers, .* got an array of torch.float32 \[\]"),
        (lambda: Samples(X.to(torch.complex64), Y), "values must be numbers, .* got an array of torch.complex64"),
        (lambda: Samples(X, np.array(["a"] * 4)), r"labels must be numbers, .* got an array of <U1 \[4\]"),
        (lambda: Samples(X, [0, 1, 0, 1]), "labels must be numbers, .* got list"),
        (lambda: Samples(X, Y, groups=[1, 1, 2, 2]), "groups must be numbers, .* got list"),
        (lambda: Samples(X, Y, lengths=Y[:2]), r"lengths must be whole numbers \[4\], .* got torch.int64 \[2\]"),
        (
            lambda: Samples(X, Y, scale=math.nan),
            "scale, mean and std must be finite, scale and std not 0; got scale nan",
        ),
        (lambda: Samples(X, Y, mean=(0.5,), std=(0.0,)), r"scale and std not 0; got .* std \(0.0,\)"),
        (lambda: Samples(X, Y, std=(2.0,)), "mean and std belong together"),
        (lambda: DataSet("mine", 2, (X, Y), Samples(X, Y), Rows()), "mine: train must be Samples.* got tuple"),
        (lambda: DataSet("mine", "2", Samples(X, Y), Samples(X, Y), Rows()), "whole number of classes.* got .* '2'"),
        (lambda: DataSet("mine", 2, Samples(X, Y), Samples(X, Y), "rows"), "mine: encoding must be .* got 'rows'"),
        (lambda: train(config(), Path("none"), data_set=Samples(X, Y)), "data_set must be a .*DataSet.* got Samples"),
        (lambda: compare(config(), ["lif"], [0], "none", data_set=(X, Y)), "data_set must be .* got tuple"),
    ],
)
def test_other_types_are_refused_in_words(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_whole_labels_of_any_type_are_taken():
    for kind in (np.uint8, np.uint16, np.int32, np.uint64):
        assert Samples(X, Y.numpy().astype(kind)).labels.dtype == torch.long  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_values_that_are_not_finite_are_named_before_anything_is_trained(tmp_path, bad, dtype):
    fine = Samples(torch.rand(100, 6, 6).to(dtype), torch.arange(100) % 2)
    rest, held = hold_out_fraction(fine, config().validation_fraction)
    for part, sample in (("training", rest.positions()[3]), ("validation", held.positions()[1]), ("test", 7)):
        values = fine.values.transpose(1, 2).clone()  # pyright: ignore[reportAttributeAccessIssue]
        values[sample, 2, 3] = bad
        wrong = Samples(values.transpose(1, 2), fine.labels)
        parts = (fine, wrong) if part == "test" else (wrong, fine)
        message = rf"mine: 1 of the \d+ {part} samples hold NaN or infinity, the first of them sample {sample}\."
        with pytest.raises(ValueError, match=message):
            train(config(), tmp_path / "run", data_set=DataSet("mine", 2, *parts, Rows()))
    assert not (tmp_path / "run").exists()


def test_a_recording_with_an_impossible_time_is_named():
    channels = [np.array([0, 1]), np.array([1]), np.array([2])]
    for time in (math.nan, math.inf, 3e3):
        times = [np.array([0.1, 0.2]), np.array([time]), np.array([0.3])]
        with pytest.raises(ValueError, match="times must be finite and below 2147 s; recording 1 has an event at"):
            Recordings.of(times, channels, 3, 10, 1000)


def test_what_is_printed_is_short():
    found = halves()
    assert repr(found.train) == "Samples(200 of [6, 6] torch.uint8, 2 classes)"
    batch = next(batches(found.train, found.encoding, 10))
    assert repr(batch) == "Batch(x [6, 10, 6] torch.float32, labels [10])"
    assert repr(found).startswith("DataSet('halves', 2 classes, train=Samples(200 of") and len(repr(found)) < 200


def started(folder: Path, **changes) -> Run:
    return Run(prepare(config(**changes), data_set=halves()), folder, Group(), "")


def test_select_says_which_epoch_is_kept(tmp_path):
    scores = [(0.5, 0.2), (0.9, 0.8), (0.7, 0.5)]  # loss and accuracy of three epochs
    for select, wanted in (("loss", 1), ("accuracy", 2), ("last", 3)):
        run = started(tmp_path, select=select)
        for run.progress.epoch, score in enumerate(scores):
            run._keep_the_best(*score)
        assert run.progress.best_epoch == wanted, select
    waiting = Progress(epoch=5, best_epoch=2)
    assert waiting.finished(config(epochs=9, patience=3)) and not waiting.finished(config(epochs=9, patience=4))


def test_the_average_is_what_is_evaluated_and_kept(tmp_path):
    found = train(config(average=0.9), tmp_path / "run", data_set=halves())
    task, state = restore_task(tmp_path / "run", data_set=halves()), checkpoint.load(tmp_path / "run")
    assert found["best_epoch"] == 2
    for name, value in task.model.named_parameters():
        assert torch.equal(value, state["average"]["weights"][name]), name
        assert not torch.equal(value, state["model"][name]), name
    assert vars(evaluate(task, task.validation))["loss"] == found["epochs"][-1]["validation_loss"]


@pytest.mark.parametrize("clip", [None, 1e-3])
def test_the_step_of_plain_descent_is_the_gradient_up_to_the_clip(tmp_path, clip):
    run = started(tmp_path, optimizer="sgd", momentum=0.0, schedule="constant", clip=clip, batch=200, epochs=1)
    before = [value.detach().clone() for value in run.task.model.parameters()]
    (batch,) = run.task.training_batches(torch.arange(len(run.task.train)), 0, 0, run.group)
    run._backward(batch, FiringRate(run.task.model))
    norm = torch.cat([value.grad.flatten() for value in run.task.model.parameters()]).norm().item()
    run.train_batch(batch)
    moved = [value.detach() - old for value, old in zip(run.task.model.parameters(), before, strict=True)]
    assert norm > 1 and torch.cat([one.flatten() for one in moved]).norm().item() == pytest.approx(
        run.config.learning_rate * (clip or norm), rel=1e-3
    )


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step(tmp_path, value):
    run = started(tmp_path)
    weight = next(run.task.model.parameters())
    before = weight.detach().clone()
    weight.register_hook(lambda gradient: gradient + value)
    batch = next(run.task.training_batches(torch.arange(50), 0, 0, run.group))
    with pytest.raises(Diverged, match=rf"gradient norm {value}"):
        run.train_batch(batch)
    assert torch.equal(weight, before)


def spoken() -> DataSet:
    """60 recordings of 100 events, of different lengths."""
    generator = np.random.default_rng(0)
    times = [generator.uniform(0, end, 100) for end in generator.uniform(0.02, 0.12, 60)]
    heard = Recordings.of(times, [generator.integers(0, 20, 100) for _ in times], 20, 30, 4000)
    samples = Samples(heard, torch.arange(60) % 2, lengths=heard.lengths())
    return DataSet("spoken", 2, samples, samples, Events())


def painted() -> DataSet:
    images = torch.randint(0, 255, (60, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    samples = Samples(images, torch.arange(60) % 2)
    return DataSet("painted", 2, samples, samples, Rows())


PAINTED = {"augmentation": "crop-flip", "encoding": "direct", "steps": 1}


@pytest.mark.parametrize(("make", "changes"), [(spoken, {"event_augmentation": {"shift": 5.0}}), (painted, PAINTED)])
def test_the_seed_of_a_run_decides_its_augmentation(make, changes):
    def read(seed):
        task = prepare(config(seed=seed, **changes), data_set=make())
        return next(task.training_batches(torch.arange(50), 0, 0, Group())).x

    one, again, other = map(read, (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_a_pool_of_lengths_leaves_less_padding_to_compute():
    def computed(pool):
        task = prepare(config(batch=5, length_pool=pool), data_set=spoken())
        order, lengths = task.order(torch.Generator().manual_seed(0)), task.train.lengths
        assert sorted(order.tolist()) == list(range(len(task.train)))
        return sum(int(lengths[batch].max()) * len(batch) for batch in order.split(5))

    assert computed(10) < 0.85 * computed(1)
