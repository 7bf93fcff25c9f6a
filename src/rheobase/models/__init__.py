"""Architectures by name: `rb.models.create("spiking_resnet18", neuron="clif", num_classes=10, steps=4)`."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, Literal, overload

from torch import nn

from rheobase.exact.classifier import EventClassifier
from rheobase.models import saved
from rheobase.models.cnn5 import cnn5
from rheobase.models.exact import exact
from rheobase.models.network import Network, Size, pair
from rheobase.models.options import check
from rheobase.models.parts import Parts
from rheobase.models.plifnet import plifnet, plifnet_dvs
from rheobase.models.preact_resnet import spiking_resnet18
from rheobase.models.recurrent import RecurrentNetwork, recurrent
from rheobase.models.resnet import imagenet_resnet18, imagenet_resnet34, resnet19, resnet20
from rheobase.models.saved import save
from rheobase.models.spike_transformer import spike_transformer
from rheobase.models.vgg import vgg11, vgg11_a, vgg13, vgg16
from rheobase.models.vggsnn import vggsnn
from rheobase.names import unknown
from rheobase.neurons import Neuron

_ALL: tuple[Callable[..., nn.Module], ...] = (
    spiking_resnet18,
    resnet19,
    resnet20,
    imagenet_resnet18,
    imagenet_resnet34,
    vgg11,
    vgg13,
    vgg16,
    vgg11_a,
    vggsnn,
    cnn5,
    plifnet,
    plifnet_dvs,
    spike_transformer,
    recurrent,
    exact,
)
ImageNetwork = Literal[
    "spiking_resnet18",
    "resnet19",
    "resnet20",
    "imagenet_resnet18",
    "imagenet_resnet34",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg11_a",
    "vggsnn",
    "cnn5",
    "plifnet",
    "plifnet_dvs",
    "spike_transformer",
]
Choice = str | Callable[..., Neuron]
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {architecture.__name__: architecture for architecture in _ALL}
SHARED = [field.name for field in dataclasses.fields(Parts) if field.name != "neuron"]


def names() -> list[str]:
    """The names that `create` knows."""
    return list(ARCHITECTURES)


@overload
def create(name: ImageNetwork, neuron: Choice = "lif", *shape: Any, **options: Any) -> Network: ...
@overload
def create(name: Literal["recurrent"], neuron: Choice = "lif", *shape: Any, **options: Any) -> RecurrentNetwork: ...
@overload
def create(name: Literal["exact"], neuron: Choice = "lif", *shape: Any, **options: Any) -> EventClassifier: ...
@overload
def create(name: str, neuron: Choice = "lif", *shape: Any, **options: Any) -> nn.Module: ...
def create(
    name: str,
    neuron: Choice = "lif",
    num_classes: int | None = None,
    in_channels: int | None = None,
    image_size: Size | None = None,
    **options: Any,
) -> nn.Module:
    """A model by its name, with the neuron of this lower-case name or from this factory in every spiking layer.

    Image networks see images of `in_channels` (3) and `image_size` (32; one side, or height and width); `recurrent` and
    `exact` see `in_channels` inputs (1 and 784), times the pixels of an image where `image_size` is given. All have
    `num_classes` (10) and options of their own, see `options_of(name)`; image networks share those of `Parts`
    (`steps, neuron_options, per_channel, norm, width, weight_seed`).
    `neuron="relu"` is the twin without time. `model.config` says what was asked for.
    Errors: ValueError naming the nearest known one for an unknown model or an option that the model does not take, and
    for a value that an option cannot have.
    """
    known = options_of(name)
    if image_size is not None and "image_size" not in known:
        height, width = pair(image_size)
        in_channels, image_size = (3 if in_channels is None else in_channels) * height * width, None
    shape = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    options = {**{option: value for option, value in shape.items() if value is not None}, **options}
    for option in options:
        if option not in known:
            raise unknown(f"option of model {name}", option, known)
    check(name, options)
    architecture = ARCHITECTURES[name]
    if _shares_parts(architecture):
        parts = Parts(neuron, **{option: options[option] for option in SHARED if option in options})
        model = architecture(parts, **{option: options[option] for option in options if option not in SHARED})
    else:
        model = architecture(neuron=neuron, **options)
    model.config = saved.Config(name, neuron, options)  # type: ignore[assignment]
    return model


def options_of(name: str) -> list[str]:
    """The options that a model takes besides its neuron; an unknown model fails with the nearest known one."""
    if name not in ARCHITECTURES:
        raise unknown("model", name, ARCHITECTURES)
    architecture = ARCHITECTURES[name]
    own = [option for option in inspect.signature(architecture).parameters if option not in ("neuron", "parts")]
    return own + SHARED if _shares_parts(architecture) else own


def load(path, **changes: Any) -> nn.Module:
    """The model that `save` wrote to `path`: built anew from the config in the file, with its weights, in eval mode.

    `changes` replace parts of the config, for example `neuron="lif", neuron_options={"reset": "hard"}` to run the
    weights with another neuron; they must leave the weights' names and shapes as they are. A file saved with a factory
    needs `neuron=` again.
    Errors: FileNotFoundError; ValueError, naming the file, where it is truncated, corrupt, not ours, or does not fit.
    """
    return saved.load(path, create, changes)


def _shares_parts(architecture: Callable[..., nn.Module]) -> bool:
    return "parts" in inspect.signature(architecture).parameters


__all__ = ["Network", "Parts", "create", "load", "names", "options_of", "save"]
