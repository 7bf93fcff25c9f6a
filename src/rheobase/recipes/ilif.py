"""ILIF (arXiv 2505.10371): tables 1 to 6, figures 1 and 3 to 7.

Settings of their table 4 and public script: as CLIF's, with τ = 1.1, seed 1234, 200 epochs also on events. Their text
says no augmentation and dropout .1 on CIFAR, their script crops, cuts out and flips without dropout: recipes follow the
script; `--augmentation none` and `--model-options dropout 0.1` follow the text.
"""

from typing import Any

from rheobase.recipes import clif
from rheobase.recipes.published import Cell, Recipe, over
from rheobase.training import Config

SEED, TAU = 1234, 1.1
LIF, MPIU, CIU = f"lif:tau={TAU}", "ilif:ciu=false", "ilif:mpiu=false"
PLIF, IPLIF = f"plif:variant=soft:tau={TAU}", f"iplif:tau={TAU}"
GESTURE = ":gamma_i=0.05"  # of ILIF and IPLIF on DVS128 Gesture
WIDTHS = (0.5, 1.0, 1.5, 2.0)  # the values on the axes of figures 1 and 5 are not legible


def _ilif(base: Config, recipe: str, **changes: Any) -> Config:
    options: dict[str, Any] = {"tau": TAU}
    return base.but(recipe=recipe, neuron="ilif", neuron_options=options, seed=SEED, **changes)


def cifar10_r18() -> Config:
    """Spiking ResNet-18 on CIFAR-10, T=6: 95.49 %."""
    return _ilif(clif.cifar10_r18(), "ilif/cifar10-r18")


def cifar100_r18() -> Config:
    """Spiking ResNet-18 on CIFAR-100, T=6: 78.51 %."""
    return _ilif(clif.cifar100_r18(), "ilif/cifar100-r18")


def cifar10dvs_vgg11() -> Config:
    """VGG-11 on CIFAR10-DVS, T=10: 78.60 %."""
    return _ilif(clif.cifar10dvs_vgg11(), "ilif/cifar10dvs-vgg11", epochs=200, data_options={"steps": 10})


def gesture_vgg11() -> Config:
    """VGG-11 on DVS128 Gesture, T=20, γ_I = .05: 97.92 %."""
    return _ilif(clif.gesture_vgg11(), "ilif/gesture-vgg11", epochs=200).with_neuron(f"ilif{GESTURE}")


def cifar10_vgg16() -> Config:
    """VGG-16 on CIFAR-10, T=6: 94.25 %."""
    return _ilif(clif.cifar10_r18(), "ilif/cifar10-vgg16", model="vgg16")


def cifar100_vgg16() -> Config:
    """VGG-16 on CIFAR-100, T=6: 75.25 %."""
    return _ilif(clif.cifar100_r18(), "ilif/cifar100-vgg16", model="vgg16")


def cifar10dvs_r18() -> Config:
    """Spiking ResNet-18 on CIFAR10-DVS, T=10: 77.71 %."""
    return cifar10dvs_vgg11().but(recipe="ilif/cifar10dvs-r18", model="spiking_resnet18")


def gesture_r18() -> Config:
    """Spiking ResNet-18 on DVS128 Gesture, T=20: 96.88 %."""
    return gesture_vgg11().but(recipe="ilif/gesture-r18", model="spiking_resnet18")


def _ablation(
    both: float, mpiu: float, ciu: float, lif: float, plif: float, iplif: float, more: str = ""
) -> tuple[Cell, ...]:
    """Tables 2 and 3: a column. `more`: options that IPLIF shares with the recipe's ILIF."""
    ablated = {MPIU: mpiu, CIU: ciu, LIF: lif}
    learned: dict[str, float | None] = {PLIF: plif, IPLIF + more: iplif}
    first = (Cell("ILIF tables 1 and 2", both),)
    return first + over("ILIF table 2", "neuron", ablated) + over("ILIF table 3", "neuron", learned)


def _widths(source: str, neurons: tuple[str, ...]) -> tuple[Cell, ...]:
    """Figures 1 and 5: the surrogate's width."""
    wanted = [f"{neuron}:surrogate=Rectangle(width={width})" for neuron in neurons for width in WIDTHS]
    return over(source, "neuron", dict.fromkeys(wanted))


RECIPES: dict[str, Recipe] = {
    "ilif/cifar10-r18": Recipe(
        cifar10_r18,
        (
            *_ablation(95.49, 95.11, 94.63, 93.76, 94.25, 95.61),
            Cell("ILIF tables 1 and 6", 95.24, {"steps": 4}),
            *_widths("ILIF figures 1 and 5", (LIF, "ilif")),
        ),
        "table 5: energy; figures 4 and 6: spikes per step and layer; figure 7: losses",
    ),
    "ilif/cifar100-r18": Recipe(
        cifar100_r18,
        (*_ablation(78.51, 78.06, 76.84, 75.46, 75.65, 78.66), Cell("ILIF tables 1 and 6", 77.43, {"steps": 4})),
        "table 5: energy; figure 6: rates; figure 7: losses",
    ),
    "ilif/cifar10dvs-vgg11": Recipe(
        cifar10dvs_vgg11,
        _ablation(78.60, 78.21, 77.13, 75.50, 75.32, 78.41),
        "table 5: energy; figures 3 and 6: rates; figure 7: losses",
    ),
    "ilif/gesture-vgg11": Recipe(
        gesture_vgg11,
        _ablation(97.92, 97.56, 97.22, 96.88, 95.49, 96.55, GESTURE),
        "table 5: energy; figures 3 and 6: rates; figure 7: losses",
    ),
    "ilif/cifar10-vgg16": Recipe(cifar10_vgg16, (Cell("ILIF table 6", 94.25),)),
    "ilif/cifar100-vgg16": Recipe(cifar100_vgg16, (Cell("ILIF table 6", 75.25),)),
    "ilif/cifar10dvs-r18": Recipe(cifar10dvs_r18, (Cell("ILIF table 6", 77.71),)),
    "ilif/gesture-r18": Recipe(gesture_r18, (Cell("ILIF table 6", 96.88),)),
}
