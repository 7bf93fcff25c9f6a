"""Splits of event sets, written down in data/splits/: which recordings or subjects train and which test."""

from importlib.resources import files


def part_of(name: str) -> dict[int, str]:
    """The part, train or test, of each recording or subject by its number.

    Errors: ValueError where a number is in two parts: a split that leaks.
    """
    parts: dict[int, str] = {}
    for line in files("rheobase.data").joinpath("splits", f"{name}.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            part, _, numbers = line.split()
            first, last = map(int, numbers.split("-"))
            for number in range(first, last + 1):
                if parts.setdefault(number, part) != part:
                    raise ValueError(f"split {name}: {number} is in {parts[number]} and in {part}.")
    return parts
