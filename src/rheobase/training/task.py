"""What a config stands for: samples, batches of them, and a network with its first weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn

from rheobase import data, models
from rheobase.data import Augmentation, Batch, DataSet, Samples
from rheobase.data.encodings import Encoding
from rheobase.data.recordings import Recordings
from rheobase.layers import LeakyReadout
from rheobase.models import saved
from rheobase.neurons import Neuron
from rheobase.neurons.named import expect_file, warn_of_changes
from rheobase.training import record
from rheobase.training.config import Config
from rheobase.training.distributed import Group
from rheobase.training.record import RECORD

OWN = "own:"
MODEL_FIELDS = ("hidden", "feedback", "readout_tau", "readout_tau_std", "learn_readout_tau", "neuron_options")
MODEL_FIELDS += ("weight_gain",)


@dataclass(frozen=True)
class Task:
    """What a config stands for: samples, their encoding, a model, and where it runs."""

    config: Config
    train: Samples
    validation: Samples
    test: Samples
    encode: Encoding
    model: nn.Module
    device: torch.device
    augment: Augmentation | None = None
    note: str = ""
    class_names: tuple[str, ...] = ()
    data_set: DataSet | None = None  # where it was handed in

    def order(self, generator: torch.Generator) -> Tensor:
        """A new order of the training samples."""
        order = torch.randperm(len(self.train), generator=generator)
        if self.config.length_pool == 1 or self.train.lengths is None:
            return order
        return data.similar_lengths(order, self.train.lengths, self.config.batch, self.config.length_pool, generator)

    def training_batches(self, order: Tensor, epoch: int, start: int, group: Group) -> Iterator[Batch]:
        """This process's part of the batches of one epoch, augmented, from batch number `start` on."""
        found = data.batches(
            self.train,
            self.encode,
            self.config.batch,
            order,
            start,
            augment=self.augment,
            epoch=epoch,
            shard=(group.rank, group.size),
            workers=self.config.workers,
            device=self.device,
        )
        return map(self.place, found)

    def evaluation_batches(self, samples: Samples, group: Group) -> Iterator[Batch]:
        """This process's part of the batches of an evaluation."""
        size, shard, workers = self.config.evaluation_batch, (group.rank, group.size), self.config.workers
        found = data.batches(samples, self.encode, size, shard=shard, workers=workers, device=self.device)
        return map(self.place, found)

    def place(self, batch: Batch) -> Batch:
        """The batch where the model is, without steps that no sequence reaches and that nothing will look at."""
        return (batch.trimmed() if self.config.mask_padding else batch).to(self.device)


def prepare(config: Config, device: torch.device | None = None, data_set: DataSet | None = None) -> Task:
    """Load the data, or take yours, split it, and build the model with the weights of the config's seed.

    Errors: ValueError for a config and data that do not fit, and for NaN or infinity in your data.
    """
    device = device or _device(config.device)
    config = with_data(config, data_set)
    found = data_set or data.load(config.data, None, **config.data_options)
    return _prepared(config, device, found, data_set)


def check(configs: Sequence[Config], data_set: DataSet | None = None) -> None:
    """Build what each of these configs, which share their data, stands for, and keep nothing.

    Errors: those of `prepare`, before the first of several runs instead of between them.
    """
    found = data_set
    for config in configs:
        device, config = _device(config.device), with_data(config, data_set)
        found = found or data.load(config.data, None, **config.data_options)
        _prepared(config, device, found, data_set)


def _prepared(config: Config, device: torch.device, found: DataSet, data_set: DataSet | None) -> Task:
    train, validation = _split(found, config)
    if data_set is not None:
        data.check_finite(found.name, training=train, validation=validation, test=found.test)
    train, augment = _augmented(train, found, config)
    if config.encoding is None:
        encode = data.with_steps(found.encoding, config.steps)
    else:
        encode = data.encoding(config.encoding, config.steps)
    x = next(data.batches(train[torch.arange(1)], encode, 1)).sequence()
    model = _network(config, found.classes, x)
    if config.exchange is not None:
        with _no_draws():
            _exchanges(config, model, _network(_after_exchange(config), found.classes, x))
    model = model.to(device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    about = (found.note, found.class_names, data_set)
    return Task(config, train, validation, found.test, encode, model, device, augment, *about)


def _network(config: Config, classes: int, x: Tensor) -> nn.Module:
    torch.manual_seed(config.seed)
    return models.create(config.model, **_model_options(config, classes, x))


def with_data(config: Config, data_set: DataSet | None) -> Config:
    """The config of a run with data that are handed in: its `data` is own:NAME:FINGERPRINT. None: as it is.

    Errors: ValueError where the config is of data that were handed in, and now there are none, or others; TypeError for
    what is no DataSet.
    """
    if not isinstance(data_set, DataSet | None):
        fix = "rheobase.data.DataSet(name, classes, train, test, encoding)"
        raise TypeError(f"data_set must be a {fix}; got {type(data_set).__name__}.")
    told = config.data if config.data.startswith(OWN) else None
    if data_set is None:
        if told is not None:
            name = told.split(":")[1]
            raise ValueError(f"{name} is a data set that was handed in. Hand it in again, in Python: data_set=...")
        return config
    if config.data_options:
        raise ValueError(f"data_options are for readers of sets by name; got {config.data_options} beside a data_set.")
    name = f"{OWN}{data_set.name.replace(':', '-')}:{data_set.fingerprint()}"
    if told not in (None, name):
        raise ValueError(f"the run is of the data set {told}; got {name}. Hand in the same samples again.")
    return config.but(data=name)


def _device(asked: str) -> torch.device:
    """Errors: ValueError where a GPU is asked for and there is none."""
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise ValueError("device cuda: torch finds no GPU on this machine. Take device cpu, or auto.")
    return torch.device(("cuda" if there else "cpu") if asked == "auto" else asked)


def exchanged(config: Config, epoch: int) -> bool:
    """Whether the weights of this epoch, counted from 1, are those of the config's other neuron."""
    return config.exchange_after is not None and epoch > config.exchange_after


def exchange(task: Task) -> None:
    """Put the config's other neuron into every place of the first one; weights and readouts stay.

    Errors: ValueError where either neuron has parameters of its own, for which the optimiser has no state.
    """
    config = task.config
    with _no_draws():
        donor = prepare(_after_exchange(config), task.device, task.data_set).model
    for name, new in _exchanges(config, task.model, donor).items():
        task.model.set_submodule(name, new)


def _after_exchange(config: Config) -> Config:
    return config.but(exchange=None, exchange_after=None).with_neuron(str(config.exchange))


def _no_draws() -> AbstractContextManager:
    """A context after which the global generators stand where they stood before."""
    return torch.random.fork_rng(range(torch.cuda.device_count()))


def _exchanges(config: Config, model: nn.Module, donor: nn.Module) -> dict[str, nn.Module]:
    """The donor's neurons by the places of the model that they take."""
    found = {}
    readouts = {id(part) for one in model.modules() if isinstance(one, LeakyReadout) for part in one.modules()}
    for name, module in model.named_modules():
        if isinstance(module, Neuron) and id(module) not in readouts:
            found[name] = new = donor.get_submodule(name)
            if any(True for one in (module, new) for _ in one.parameters()):
                raise ValueError(f"exchange: {config.neuron} or {config.exchange} has parameters of its own.")
    return found


def _split(found: DataSet, config: Config) -> tuple[Samples, Samples]:
    """Training and validation samples. Errors: ValueError where a part is empty, before anything is trained."""
    for part, samples in (("training", found.train), ("test", found.test)):
        if not len(samples):
            raise ValueError(f"{config.data} has no {part} samples, and a run needs them. Complete the data set.")
    if config.validation_speaker is not None:
        return data.hold_out_group(found.train, config.validation_speaker)
    if config.validation_by_group:
        return data.hold_out_group_fraction(found.train, config.validation_fraction)
    return data.hold_out_fraction(found.train, config.validation_fraction)


def _augmented(train: Samples, found: DataSet, config: Config) -> tuple[Samples, Augmentation | None]:
    """The training samples, whose recordings may change when they are read, and what happens to their batches."""
    if config.event_augmentation:
        if not isinstance(train.values, Recordings):
            raise ValueError(f"event_augmentation needs recordings of events (shd, hd); {config.data} has none.")
        train = replace(train, values=train.values.augmented(config.event_augmentation, train.labels))
    if config.augmentation == "none":
        return train, Augmentation(seed=config.seed) if config.event_augmentation else None
    return train, data.augmentation(config.augmentation, found, config.seed)


def _model_options(config: Config, classes: int, x: Tensor) -> dict[str, Any]:
    """The options of the config's model, which sees x.

    Errors: ValueError where the config sets an option that the model does not have, or x is not what it can see.
    """
    from_config = {name: getattr(config, name) for name in MODEL_FIELDS}
    known = models.options_of(config.model)
    for name, value in from_config.items():
        if name not in known and value != getattr(Config(), name):
            raise ValueError(f"model {config.model} has no {name}; got {value!r}. Leave it out.")
    steps, _, *shape = x.shape
    offered = {**from_config, "num_classes": classes, "steps": steps, "weight_seed": config.seed}
    if "image_size" in known:
        if len(shape) != 3:
            fix = "Encode images directly, for example encoding='direct' and steps=4 (--encoding direct --steps 4)."
            raise ValueError(f"model {config.model} sees images [C, H, W]; {config.data} gives {list(shape)}. {fix}")
        offered |= {"in_channels": shape[0], "image_size": tuple(shape[1:])}
    else:
        offered["in_channels"] = math.prod(shape)
    return {**{k: v for k, v in offered.items() if k in known}, "neuron": config.neuron, **config.model_options}


def restore_task(
    source: Path | str, change: Callable[[Config], Config] = lambda config: config, data_set: DataSet | None = None
) -> Task:
    """The task of a finished run with its best weights: from a run folder, a record, or a file of weights.

    `change` may alter what is not learnt, such as the noise, before the network is built. A run with data of your own
    needs its `data_set` again.
    Errors: FileNotFoundError and ValueError, naming the file.
    """
    source = Path(source)
    if not source.exists():
        raise FileNotFoundError(f"{source}: there is no such run. Name its folder, its record (.json) or its weights.")
    path, told = source / RECORD if source.is_dir() else source, None
    if path.suffix == ".json":
        found = _finished(path)
        path, told = path.parent / found["weights"], _config(found["config"], path)
        if change(told).neuron == told.neuron:
            expect_file(told.neuron, found, source)
            warn_of_changes(told.neuron, found, source)
    trained, weights = read_weights(path)
    config = _config(trained, path)
    if told is not None and told != config:
        raise ValueError(f"{source} tells of another run than its weights, {path}: {differences(told, config)}.")
    task = prepare(change(config), data_set=data_set)
    if task.config.exchange is not None:
        exchange(task)
    try:
        saved.fill(task.model, weights, path)
    except ValueError as error:
        if task.config.neuron == config.neuron:
            raise
        neurons = f"{config.neuron}, trained, and {task.config.neuron}"
        raise ValueError(
            f"{error} {neurons}, do not learn the same values, so that they cannot be exchanged."
        ) from None
    return task


def _config(values: dict[str, Any], path: Path) -> Config:
    """The config in a file. Errors: ValueError naming the file and what is wrong with it."""
    try:
        return Config.from_dict(values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _finished(path: Path) -> dict[str, Any]:
    """The record of a run that left weights."""
    if not path.exists():
        raise FileNotFoundError(f"{path.parent} holds no finished run: there is no {path.name} in it.")
    found = record.read(path)
    if "weights" not in found:
        raise ValueError(f"{path} is the record of an unfinished run: it has no weights yet.")
    if not (path.parent / found["weights"]).exists():
        raise FileNotFoundError(f"{path}: its weights, {found['weights']}, are not beside it.")
    return found


def differences(told: Config, trained: Config) -> str:
    """What two configs say differently."""
    theirs = trained.as_dict()
    found = [f"{name} {mine} and {theirs[name]}" for name, mine in told.as_dict().items() if mine != theirs[name]]
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config, as a record has it, and the weights in a file that a run left behind.

    Errors: FileNotFoundError; ValueError, naming the file, where it is damaged or was not written by a run.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is truncated or corrupt ({error}).") from error
    if metadata.get("format") == saved.FORMAT:
        raise ValueError(f"{path} is a model without data: rb.models.save wrote it, rb.models.load reads it.")
    if "config" not in metadata:
        raise ValueError(f"{path} has no config in its metadata: it was not written by rheobase train.")
    if metadata.get("sha256", found := saved.checksum(weights)) != found:  # older ones have none
        raise ValueError(f"{path} is corrupt: its weights do not have the checksum in its metadata.")
    try:
        return json.loads(metadata["config"]), weights
    except ValueError as error:
        raise ValueError(f"{path} is corrupt: the config in its metadata cannot be read ({error}).") from error
