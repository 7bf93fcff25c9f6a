"""Models in files: weights as safetensors, with the config that rebuilds the model in the file's metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rheobase import surrogate
from rheobase.atomic import write_atomically
from rheobase.names import unknown
from rheobase.neurons import Neuron

FORMAT = "rheobase model 1"
OF_A_RUN = (
    "rb.training.restore_task(...).model is the network of a run, and `rheobase export` writes it for rb.models.load."
)


@dataclass(frozen=True)
class Config:
    """What a model was created from."""

    model: str
    neuron: str | Callable[..., Neuron]
    options: Mapping[str, Any]

    def to_json(self) -> str:
        """The config as text; a factory becomes null. Errors: ValueError for an option that JSON cannot hold."""
        neuron = self.neuron if isinstance(self.neuron, str) else None
        try:
            return json.dumps({"model": self.model, "neuron": neuron, "options": self.options}, default=_plain)
        except TypeError as error:
            raise ValueError(f"{self.model}: the options cannot be saved: {error}.") from error


def save(model: nn.Module, path: str | Path) -> None:
    """Write a model of `rb.models.create` to a safetensors file: weights, buffers, config, and a checksum of them.

    The file is written whole or not at all. Errors: ValueError for a model without config, or one holding an option
    that cannot be written down; OSError saying that the disk is full.
    """
    config = getattr(model, "config", None)
    if not isinstance(config, Config):
        raise ValueError(f"{type(model).__name__} has no config: only models of rb.models.create can be saved.")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    metadata = {"format": FORMAT, "config": config.to_json(), "sha256": checksum(weights)}
    write_atomically(Path(path), safetensors.torch.save(weights, metadata))


def load(path: str | Path, create: Callable[..., nn.Module], changes: Mapping[str, Any]) -> nn.Module:
    """See `rb.models.load`."""
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of rb.models.save. {OF_A_RUN}")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file.")
    metadata, weights = _read(path)
    try:
        found = json.loads(metadata["config"], object_hook=_revive)
        name, options = found["model"], found["options"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: the config in its metadata cannot be read ({error!r}).") from error
    neuron = changes.get("neuron", found.get("neuron"))
    if neuron is None:
        raise ValueError(f"{path} was saved with a factory; load it with neuron=, a name or that factory.")
    with torch.random.fork_rng(devices=[]):
        others = {name: value for name, value in changes.items() if name != "neuron"}
        model = create(name, neuron, **{**options, **others})
    fill(model, weights, path)
    return model.eval()


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise ValueError(f"{path} is truncated or corrupt, or no safetensors file ({error}).") from error
    if "format" not in metadata and "config" in metadata:
        raise ValueError(f"{path} was not written by rb.models.save: it holds the weights of a run. {OF_A_RUN}")
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by rb.models.save: its metadata do not say {FORMAT!r}.")
    if checksum(weights) != metadata.get("sha256"):
        raise ValueError(f"{path} is corrupt: its weights do not have the checksum in its metadata.")
    return metadata, weights


def fill(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Give a model the weights read from `path`. Errors: ValueError unless every name and shape fits."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    wrong = [f"{name} is missing" for name in wanted if name not in given]
    wrong += [f"{name} has no place" for name in given if name not in wanted]
    wrong += [
        f"{name} is {given[name]}, not {shape}" for name, shape in wanted.items() if given.get(name, shape) != shape
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ValueError(f"{path} does not fit the model: {'; '.join(wrong[:3])}{more}.")
    model.load_state_dict(weights)


def checksum(weights: Mapping[str, Tensor]) -> str:
    """The SHA-256 of names, types, shapes and values: a safetensors file itself does not notice a changed bit."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """What JSON does not know: surrogates, by name and settings."""
    if isinstance(value, surrogate.Surrogate):
        return {"surrogate": type(value).__name__, **dataclasses.asdict(value)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} is neither plain nor a surrogate")


def _revive(found: dict[str, Any]) -> Any:
    if "surrogate" not in found or not isinstance(found["surrogate"], str):
        return found
    name = found.pop("surrogate")
    kind = getattr(surrogate, name, None)
    if not (isinstance(kind, type) and issubclass(kind, surrogate.Surrogate)):
        raise unknown("surrogate", name, surrogate.names())
    return kind(**found)
