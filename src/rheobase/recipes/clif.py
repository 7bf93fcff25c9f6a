"""CLIF (Huang et al. 2024, arXiv 2402.04663): tables 1, 2, 6 and 8, figures 2, 3, 4, 6, 10 and 11.

SGD .1 with momentum .9, cosine to 0 over all epochs, TET with λ .05, half precision, seed 2022, as in their appendix I.
They report the best test epoch; here a tenth of the training set (images: a fiftieth) is held out to choose the epoch.
"""

from collections.abc import Mapping, Sequence

from rheobase.recipes.published import Cell, Recipe, over
from rheobase.training import Config

STRONG = {"augmentation": "cifar-strong"}


def images(recipe: str, data: str, model: str) -> Config:
    """What all image recipes of CLIF and ILIF share."""
    return Config(
        recipe=recipe,
        data=data,
        encoding="direct",
        steps=6,
        augmentation="cifar",
        validation_fraction=0.02,
        model=model,
        neuron="clif",
        neuron_options={"tau": 2.0},
        epochs=200,
        batch=128,
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule="cosine",
        clip=None,
        loss="tet",
        select="accuracy",
        seed=2022,
        precision="float16",
        channels_last=True,
        workers=4,
    )


def events(recipe: str, data: str, model: str, steps: int, dropout: float) -> Config:
    """What all event recipes of CLIF and ILIF share: frames of equal event counts, no augmentation, 300 epochs."""
    return images(recipe, data, model).but(
        data_options={"steps": steps},
        encoding=None,
        steps=None,
        augmentation="none",
        validation_fraction=0.1,
        model_options={"dropout": dropout},
        epochs=300,
    )


def cifar10_r18() -> Config:
    """Spiking ResNet-18 on CIFAR-10, T=6: 95.41 %."""
    return images("clif/cifar10-r18", "cifar-10", "spiking_resnet18").but(weight_decay=5e-5)


def cifar100_r18() -> Config:
    """Spiking ResNet-18 on CIFAR-100, T=6: 78.36 %."""
    return images("clif/cifar100-r18", "cifar-100", "spiking_resnet18")


def tiny_vgg13() -> Config:
    """VGG-13 on Tiny-ImageNet, T=6, AutoAugment: 64.13 %."""
    base = images("clif/tiny-vgg13", "tiny-imagenet", "vgg13")
    return base.but(augmentation="tiny-imagenet", epochs=300, batch=256)


def gesture_vgg11() -> Config:
    """VGG-11 on DVS128 Gesture, T=20: 97.92 %."""
    return events("clif/gesture-vgg11", "dvs-gesture", "vgg11", 20, 0.4).but(batch=16)


def gesture_transformer() -> Config:
    """Spike-driven transformer on DVS128 Gesture, T=16: 99.31 %. LAMB 3e-4, weight decay .06, smoothing .1."""
    base = events("clif/gesture-transformer", "dvs-gesture", "spike_transformer", 16, 0.0)
    return base.but(
        model_options={},
        batch=16,
        optimizer="lamb",
        learning_rate=3e-4,
        weight_decay=0.06,
        loss="mean_readout",
        loss_options={"smoothing": 0.1},
    )


def cifar10dvs_vgg11() -> Config:
    """VGG-11 on CIFAR10-DVS, T=16: 79.00 %. TET's target is the one-hot label."""
    base = events("clif/cifar10dvs-vgg11", "cifar10-dvs", "vgg11", 16, 0.3)
    return base.but(learning_rate=0.05, loss_options={"target": "onehot"})


def cifar10dvs_vggsnn() -> Config:
    """VGGSNN on CIFAR10-DVS, T=10: 86.10 %, with flips and rotations as their second script."""
    base = events("clif/cifar10dvs-vggsnn", "cifar10-dvs", "vggsnn", 10, 0.0)
    return base.but(learning_rate=0.05, loss_options={"target": "onehot"}, augmentation="events-strong")


def cifar10_cnn5() -> Config:
    """Five-layer CNN on CIFAR-10, T=6, LIF: figure 2. The published curves are not legible as numbers."""
    base = images("clif/cifar10-cnn5", "cifar-10", "cnn5").but(weight_decay=5e-5)
    return base.with_neuron("lif:tau=2")


TAUS = tuple(f"lif:tau={tau}" for tau in (1.1, 1.3, 1.5, 1.8, 2))
# Figure 6 by the steps that a gradient goes back, columns TAUS; the last row is the whole gradient.
CIFAR10_STEPS = {
    1: (92.89, 90.34, 87.27, 82.77, 80.71),
    2: (93.86, 93.91, 92.82, 91.09, 89.07),
    3: (94.24, 94.36, 94.12, 93.31, 93.01),
    4: (94.45, 94.61, 94.64, 94.09, 93.43),
    5: (94.73, 94.69, 94.70, 94.23, 94.06),
    6: (94.80, 94.86, 94.94, 94.36, 93.73),
}
GESTURE_STEPS = {
    1: (96.88, 97.22, 95.83, 95.49, 96.53),
    4: (97.57, 97.92, 97.22, 96.53, 96.53),
    8: (97.57, 97.57, 97.22, 97.57, 97.22),
    12: (97.22, 97.57, 97.22, 97.22, 97.57),
    16: (97.57, 97.57, 97.92, 97.22, 97.57),
    20: (97.57, 97.57, 97.92, 97.57, 97.22),
}
OTHERS = ("lif:tau=2", "plif:variant=soft:tau=2", "klif", "glif", "relu")
FIGURE_4 = {source: over(source, "neuron", dict.fromkeys(OTHERS)) for source in ("CLIF figure 4a", "CLIF figure 4b")}


def _truncated(source: str, table: Mapping[int, Sequence[float | None]]) -> tuple[Cell, ...]:
    """Rows of figures 2a and 6: gradients of k steps; the last row's k is T, where nothing is cut."""
    found: tuple[Cell, ...] = ()
    for k, accuracies in table.items():
        cut = "" if k == max(table) else f":gradient_steps={k}"
        row = dict(zip((tau + cut for tau in TAUS), accuracies, strict=True))
        found += over(f"{source}, k={k}", "neuron", row)
    return found


RECIPES: dict[str, Recipe] = {
    "clif/cifar10-r18": Recipe(
        cifar10_r18,
        (
            *over("CLIF table 1", "steps", {4: 94.89, 6: 95.41, 8: 95.68}),
            *over("CLIF table 1, strong augmentation", "steps", {4: 96.01, 6: 96.45, 8: 96.69}, **STRONG),
            Cell("CLIF table 1", 95.62, {"neuron": "relu", "steps": 1}),
            Cell("CLIF table 1, strong augmentation", 96.65, {"neuron": "relu", "steps": 1, **STRONG}),
            Cell("CLIF table 8", 94.51, {"neuron": "lif:tau=2"}),
            Cell("CLIF figure 3b", 92.7, {"steps": 1}),
            *over("CLIF figure 3b", "steps", dict.fromkeys((1, 2, 3, 4, 5, 8)), neuron="lif:tau=2"),
            *over("CLIF figure 3b", "steps", dict.fromkeys((2, 3, 5))),
            *over(
                "CLIF figure 3a", "exchange_after", dict.fromkeys((50, 100, 150)), neuron="lif:tau=2", exchange="clif"
            ),
            *FIGURE_4["CLIF figure 4a"],
            *_truncated("CLIF figure 6", CIFAR10_STEPS),
        ),
        "figures 3a and 10 are losses of these runs, figure 11 and table 6 their rates and energy; table 8: "
        "`rheobase eval RUN --neuron lif:reset=hard:v_reset=-0.06`",
    ),
    "clif/cifar100-r18": Recipe(
        cifar100_r18,
        (
            *over("CLIF table 1", "steps", {4: 77.00, 6: 78.36, 8: 78.99}),
            *over("CLIF table 1, strong augmentation", "steps", {4: 79.69, 6: 80.58, 8: 80.89}, **STRONG),
            Cell("CLIF table 1", 78.14, {"neuron": "relu", "steps": 1}),
            Cell("CLIF table 1, strong augmentation", 80.89, {"neuron": "relu", "steps": 1, **STRONG}),
            Cell("CLIF table 8", 76.23, {"neuron": "lif:tau=2"}),
            *FIGURE_4["CLIF figure 4b"],
        ),
        "figure 10 are losses of these runs, figure 11 and table 6 their rates and energy",
    ),
    "clif/tiny-vgg13": Recipe(
        tiny_vgg13,
        (
            *over("CLIF table 1", "steps", {4: 63.16, 6: 64.13}),
            Cell("CLIF table 1", 59.77, {"neuron": "relu", "steps": 1}),
            Cell("CLIF figure 10", None, {"neuron": "lif:tau=2"}),
        ),
        "figure 11 and table 6: rates and energy",
    ),
    "clif/gesture-vgg11": Recipe(
        gesture_vgg11,
        (
            Cell("CLIF table 2", 97.92),
            Cell("CLIF table 2", 97.57, {"neuron": "lif:tau=2"}),
            *_truncated("CLIF figure 6", GESTURE_STEPS),
        ),
        "figure 10: losses; figure 11 and table 6: rates and energy",
    ),
    "clif/gesture-transformer": Recipe(
        gesture_transformer,
        (Cell("CLIF table 2", 99.31), Cell("CLIF table 2", 98.26, {"neuron": "lif:tau=2"})),
    ),
    "clif/cifar10dvs-vgg11": Recipe(
        cifar10dvs_vgg11,
        (Cell("CLIF table 2", 79.00), Cell("CLIF table 2", 78.05, {"neuron": "lif:tau=2"})),
        "figure 10: losses; figure 11 and table 6: rates and energy",
    ),
    "clif/cifar10dvs-vggsnn": Recipe(
        cifar10dvs_vggsnn,
        (Cell("CLIF table 2", 86.10), Cell("CLIF table 2", 84.90, {"neuron": "lif:tau=2"})),
    ),
    "clif/cifar10-cnn5": Recipe(
        cifar10_cnn5,
        (
            *_truncated("CLIF figure 2a", {k: (None,) * len(TAUS) for k in CIFAR10_STEPS}),
            *over("CLIF figure 2b", "steps", dict.fromkeys((1, 2, 4, 8, 16, 32))),
            *over("CLIF figure 2b", "steps", dict.fromkeys((1, 2, 4, 8, 16, 32)), neuron="clif:tau=2"),
        ),
    ),
}
