"""Recipes: one function per result, returning its config. `rheobase train NAME` runs one."""

from collections.abc import Callable

from rheobase.names import unknown
from rheobase.recipes import problif
from rheobase.recipes.digits import digits, digits_baseline
from rheobase.recipes.smnist import smnist, smnist_baseline
from rheobase.training import Config

RECIPES: dict[str, Callable[[], Config]] = {
    "digits": digits,
    "digits/baseline": digits_baseline,
    "smnist": smnist,
    "smnist/baseline": smnist_baseline,
    "problif/smnist": problif.smnist,
    "problif/smnist-plif": problif.smnist_plif,
    "problif/shd": problif.shd,
    "problif/shd-plif": problif.shd_plif,
    "problif/hd": problif.hd,
    "problif/hd-plif": problif.hd_plif,
}


def names() -> list[str]:
    """The names that `recipe` knows."""
    return list(RECIPES)


def recipe(name: str) -> Config:
    """The config of this name; an unknown one fails with the nearest known one."""
    if name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    return RECIPES[name]()


__all__ = ["names", "recipe"]
