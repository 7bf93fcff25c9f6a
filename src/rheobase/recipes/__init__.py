"""Recipes: one function per result, returning its config. `rheobase train NAME` runs one."""

from collections.abc import Callable
from functools import partial

from rheobase.names import unknown
from rheobase.recipes import clif, dalif, exact, ilif, problif, smnist
from rheobase.recipes.digits import digits, digits_baseline
from rheobase.recipes.published import Recipe
from rheobase.recipes.small import twin
from rheobase.training import Config
from rheobase.training.space import Space, general

DEEP: dict[str, Recipe] = {**clif.RECIPES, **ilif.RECIPES, **dalif.RECIPES}

RECIPES: dict[str, Callable[[], Config]] = {
    "digits": digits,
    "digits/baseline": digits_baseline,
    "smnist": smnist.probplif,
    "problif/smnist": smnist.problif,
    "problif/smnist-plif": smnist.probplif,
    "problif/smnist-lif": smnist.lif,
    "problif/smnist-plif0": smnist.plif,
    "problif/smnist-lif-threshold": smnist.lif_low_threshold,
    "problif/smnist-lif-weights": smnist.lif_large_weights,
    "problif/shd": problif.shd,
    "problif/shd-plif": problif.shd_plif,
    "problif/hd": problif.hd,
    "problif/hd/baseline": problif.hd_baseline,
    "problif/hd-plif": problif.hd_plif,
    "problif/hd-plif/baseline": problif.hd_plif_baseline,
    "exact/mnist": exact.mnist,
    "exact/digits": exact.digits,
    "exact/digits-silent": exact.digits_silent,
    "exact/hd": exact.hd,
}
RECIPES |= {name: found.make for name, found in DEEP.items()}
RECIPES |= {f"{name}-small": partial(lambda make: twin(make()), found.make) for name, found in DEEP.items()}

SPACES: dict[str, Callable[[], Space]] = {
    "exact/mnist": exact.mnist_space,
    "exact/digits": exact.digits_space,
    "exact/digits-silent": exact.digits_space,
    "exact/hd": exact.hd_space,
}


def names() -> list[str]:
    """The names that `recipe` knows."""
    return list(RECIPES)


def recipe(name: str) -> Config:
    """The config of this name; an unknown one fails with the nearest known one."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()


def space(config: Config) -> Space:
    """The search space of the config's recipe; for one that defines none, learning rate, weight gain and batch."""
    return SPACES[config.recipe]() if config.recipe in SPACES else general(config)


__all__ = ["names", "recipe", "space"]
