"""Studies at a scale that two cores can train: the papers' neurons and ablations under one protocol, on real data."""

from collections.abc import Callable
from typing import Any

from rheobase.names import unknown
from rheobase.recipes import ablations, gradients
from rheobase.training import Config
from rheobase.training.study import Claim, Study

# LIF and PLIF stand here twice: CLIF's paper compares at τ = 2, ILIF's at τ = 1.1.
NEURONS: dict[str, dict[str, Any]] = {
    "lif": {"neuron": "lif:tau=2"},
    "plif": {"neuron": "plif:variant=soft:tau=2"},
    "clif": {"neuron": "clif:tau=2"},
    "lif tau=1.1": {"neuron": "lif:tau=1.1"},
    "ilif": {"neuron": "ilif:tau=1.1"},
    "ilif mpiu only": {"neuron": "ilif:tau=1.1:ciu=false"},
    "ilif ciu only": {"neuron": "ilif:tau=1.1:mpiu=false"},
    "plif tau=1.1": {"neuron": "plif:variant=soft:tau=1.1"},
    "iplif": {"neuron": "iplif:tau=1.1"},
    "dalif": {"neuron": "dalif"},
    "dalif alpha only": {"neuron": "dalif:learn_beta=false"},
    "dalif beta only": {"neuron": "dalif:learn_alpha=false"},
    "dalif neither": {"neuron": "dalif:learn_alpha=false:learn_beta=false"},
}
CLAIMS = (
    Claim("clif", "lif", "CLIF"),
    Claim("clif", "plif", "CLIF figure 4"),
    Claim("ilif", "ilif mpiu only", "ILIF table 2"),
    Claim("ilif mpiu only", "ilif ciu only", "ILIF table 2"),
    Claim("ilif ciu only", "lif tau=1.1", "ILIF table 2"),
    Claim("iplif", "plif tau=1.1", "ILIF table 3"),
    Claim("dalif", "dalif alpha only", "DA-LIF IV-D"),
    Claim("dalif", "dalif beta only", "DA-LIF IV-D"),
    Claim("dalif alpha only", "dalif neither", "DA-LIF IV-D"),
    Claim("dalif beta only", "dalif neither", "DA-LIF IV-D"),
)


def small(recipe: str) -> Config:
    """The papers' settings on the part of CIFAR-10 here, DA-LIF's VGG-11 of an eighth of the width, 12 epochs.

    SGD .1 with momentum, cosine, TET as published; batches of 64 and no cutout, because so few steps underfit.
    Weights of the last epoch: nothing is chosen, so that validation only watches.
    """
    return Config(
        recipe=recipe,
        data="cifar-10-part",
        encoding="direct",
        steps=4,
        augmentation="crop-flip",
        validation_fraction=0.05,
        model="vgg11_a",
        model_options={"width": 0.125},
        neuron="lif",
        epochs=12,
        batch=64,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-5,
        schedule="cosine",
        clip=None,
        loss="tet",
        select="last",
        precision="bfloat16",
        channels_last=True,
    )


def quick(recipe: str) -> Config:
    """A minute of one idle core: 3 epochs."""
    return small(recipe).but(epochs=3)


def cifar10_part_quick() -> Study:
    """The study below for an hour of a crowded machine: all networks underfit, so that it shows early learning only."""
    return Study(
        "Part of CIFAR-10, VGG-11 (width 1/8), T=4, 3 epochs", quick("study/cifar10-part-quick"), NEURONS, CLAIMS
    )


def cifar10_part() -> Study:
    """CLIF tables 1 and figure 4, ILIF table 2, DA-LIF's ablations of IV-D, in small, and the network of ReLU."""
    variants = {**NEURONS, "relu": {"neuron": "relu", "steps": 1}}
    return Study("Part of CIFAR-10, VGG-11 (width 1/8), T=4, 12 epochs", small("study/cifar10-part"), variants, CLAIMS)


def cifar10_part_steps() -> Study:
    """CLIF figures 2b and 3b in small: accuracy over T."""
    variants = {
        f"{neuron} T={steps}": {"neuron": f"{neuron}:tau=2", "steps": steps}
        for steps in (1, 2, 8)
        for neuron in ("lif", "clif")
    }
    claims = (
        Claim("clif T=2", "lif T=2", "CLIF figure 3b"),
        Claim("clif T=8", "lif T=8", "CLIF figure 3b"),
        Claim("clif T=8", "clif T=2", "CLIF figure 2b"),
    )
    base = small("study/cifar10-part-steps")
    return Study("Part of CIFAR-10, VGG-11 (width 1/8), T=1, 2, 8, 12 epochs", base, variants, claims, ("T",))


def nmnist_part() -> Study:
    """The neurons on events: ILIF table 2 and CLIF table 2 in small; 100 test recordings tell little apart."""
    base = small("study/nmnist-part").but(
        data="n-mnist-part", encoding=None, steps=None, augmentation="none", epochs=20, batch=32, learning_rate=0.05
    )
    return Study("Part of N-MNIST (100 test recordings), VGG-11 (width 1/8), T=10, 20 epochs", base, NEURONS, CLAIMS)


STUDIES: dict[str, Callable[[], Study]] = {
    "cifar10-part-quick": cifar10_part_quick,
    "cifar10-part": cifar10_part,
    "cifar10-part-steps": cifar10_part_steps,
    "nmnist-part": nmnist_part,
    **gradients.STUDIES,
    **ablations.STUDIES,
}


def study(name: str) -> Study:
    """The study of this name; an unknown one fails with the nearest known one."""
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    return STUDIES[name]()
