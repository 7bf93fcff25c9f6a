"""DA-LIF (arXiv 2502.10422): tables I to III, figure 1a, the ablations of IV-D.

SGD .1 with momentum .9 and 1000 epochs (320 on ImageNet, 200 on DVS128 Gesture) are theirs. They name neither loss,
weight decay, batch nor augmentation: cross entropy on the mean over time, 5e-4, 128 and their field's crop and flip are
ours. Their tables' own accuracies are lost in our copy but for the best ones, and for the gains that the text names.
"""

from typing import Any

from rheobase.recipes import clif
from rheobase.recipes.published import Cell, Recipe, over
from rheobase.training import Config

ALPHA, BETA, NEITHER = "dalif:learn_beta=false", "dalif:learn_alpha=false", "dalif:learn_alpha=false:learn_beta=false"
DECAYS = (0.2, 0.4, 0.6, 0.8, 1.0)  # the values on the axes of figure 1a are not legible


def _dalif(base: Config, recipe: str, **changes: Any) -> Config:
    own = {"neuron": "dalif", "neuron_options": {}, "loss": "mean_readout", "loss_options": {}, "weight_decay": 5e-4}
    return base.but(**{"recipe": recipe, "seed": 0, "epochs": 1000, "learning_rate": 0.1, **own, **changes})


def _image(recipe: str, data: str, model: str) -> Config:
    return _dalif(clif.images(recipe, data, model), recipe, steps=4, augmentation="crop-flip")


def _event(recipe: str, data: str, model: str, steps: int) -> Config:
    options: dict[str, Any] = {"steps": steps}
    options |= {} if data == "dvs-gesture" else {"size": 64}
    base = clif.events(recipe, data, model, steps, 0.0).but(model_options={})
    return _dalif(base, recipe, data_options=options)


def cifar10_resnet19() -> Config:
    """ResNet-19 on CIFAR-10, T=4: 96.72 %."""
    return _image("dalif/cifar10-resnet19", "cifar-10", "resnet19")


def cifar100_resnet19() -> Config:
    """ResNet-19 on CIFAR-100, T=4: 80.59 %."""
    return _image("dalif/cifar100-resnet19", "cifar-100", "resnet19")


def cifar10_resnet20() -> Config:
    """ResNet-20 on CIFAR-10, T=4; tanh beats sigmoid by .48."""
    return _image("dalif/cifar10-resnet20", "cifar-10", "resnet20")


def cifar100_resnet20() -> Config:
    """ResNet-20 on CIFAR-100, T=2: gains of .76 (α alone), .37 (β alone) and 1.28 (both) over neither."""
    return _image("dalif/cifar100-resnet20", "cifar-100", "resnet20").but(steps=2)


def cifar10_vgg16() -> Config:
    """VGG-16 on CIFAR-10, T=2."""
    return _image("dalif/cifar10-vgg16", "cifar-10", "vgg16").but(steps=2)


def cifar100_vgg16() -> Config:
    """VGG-16 on CIFAR-100, T=2."""
    return _image("dalif/cifar100-vgg16", "cifar-100", "vgg16").but(steps=2)


def imagenet_resnet18() -> Config:
    """ResNet-18 on ImageNet, T=4, 320 epochs."""
    base = _image("dalif/imagenet-resnet18", "imagenet", "imagenet_resnet18")
    return base.but(augmentation="imagenet", epochs=320, batch=256, workers=16)


def imagenet_resnet34() -> Config:
    """ResNet-34 on ImageNet, T=4, 320 epochs: 70.58 %."""
    return imagenet_resnet18().but(recipe="dalif/imagenet-resnet34", model="imagenet_resnet34")


def cifar10dvs_resnet19() -> Config:
    """ResNet-19 on CIFAR10-DVS, T=10."""
    return _event("dalif/cifar10dvs-resnet19", "cifar10-dvs", "resnet19", 10)


def cifar10dvs_resnet20() -> Config:
    """ResNet-20 on CIFAR10-DVS at 64x64, T=16."""
    return _event("dalif/cifar10dvs-resnet20", "cifar10-dvs", "resnet20", 16)


def cifar10dvs_vgg16() -> Config:
    """VGG-16 on CIFAR10-DVS, T=16."""
    return _event("dalif/cifar10dvs-vgg16", "cifar10-dvs", "vgg16", 16)


def gesture_vgg11() -> Config:
    """VGG-11 (configuration A) on DVS128 Gesture, T=16, 200 epochs: 98.61 %."""
    return _event("dalif/gesture-vgg11", "dvs-gesture", "vgg11_a", 16).but(epochs=200, batch=16)


def _steps(source: str, best: float | None = None) -> tuple[Cell, ...]:
    return over(source, "steps", {1: None, 2: None, 4: best})


FIXED = tuple(f"dalif:alpha={alpha}:beta={beta}" for alpha in DECAYS for beta in DECAYS)
SINGLE = tuple(
    Cell("DA-LIF IV-D1", None, {"neuron": spec, "steps": t}) for t in (1, 2, 4) for spec in (ALPHA, BETA, NEITHER)
)
SIGMOID = Cell("DA-LIF IV-D2", None, {"neuron": "dalif:activation=sigmoid", "steps": 4})

RECIPES: dict[str, Recipe] = {
    "dalif/cifar10-resnet19": Recipe(cifar10_resnet19, _steps("DA-LIF table I", 96.72)),
    "dalif/cifar100-resnet19": Recipe(cifar100_resnet19, _steps("DA-LIF table I", 80.59)),
    "dalif/cifar10-resnet20": Recipe(cifar10_resnet20, (*_steps("DA-LIF table I"), SIGMOID)),
    "dalif/cifar100-resnet20": Recipe(
        cifar100_resnet20,
        (*_steps("DA-LIF table I"), *SINGLE, SIGMOID, *over("DA-LIF figure 1a", "neuron", dict.fromkeys(FIXED))),
        "table III: energy of its T=4 network; IV-D3: its α and β by layer",
    ),
    "dalif/cifar10-vgg16": Recipe(cifar10_vgg16, (Cell("DA-LIF table I"),)),
    "dalif/cifar100-vgg16": Recipe(cifar100_vgg16, (Cell("DA-LIF table I"),)),
    "dalif/imagenet-resnet18": Recipe(imagenet_resnet18, (Cell("DA-LIF table I"),), "table III: energy"),
    "dalif/imagenet-resnet34": Recipe(imagenet_resnet34, (Cell("DA-LIF table I", 70.58),)),
    "dalif/cifar10dvs-resnet19": Recipe(cifar10dvs_resnet19, (Cell("DA-LIF table II"),)),
    "dalif/cifar10dvs-resnet20": Recipe(cifar10dvs_resnet20, (Cell("DA-LIF table II"),), "table III: energy"),
    "dalif/cifar10dvs-vgg16": Recipe(cifar10dvs_vgg16, (Cell("DA-LIF table II"),)),
    "dalif/gesture-vgg11": Recipe(gesture_vgg11, (Cell("DA-LIF table II", 98.61),)),
}
