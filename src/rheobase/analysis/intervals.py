"""How far a measured number can be trusted: 95 % intervals."""

import math
from collections.abc import Sequence
from statistics import mean, stdev

NORMAL = 1.959964  # 97.5 % of a standard normal variable lie below
STUDENT = (  # the same for Student's t with 1, 2, ... degrees of freedom
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share that was measured on `count` samples: how another test set would differ.

    Math: the p with `|share − p| = z √(p (1 − p) / n)`, z = 1.96. Unlike share ± z·error it stays within 0 and 1.
    Errors: ValueError for a share outside of 0 and 1, or no samples.
    Source: Wilson 1927.
    """
    if not (0 <= share <= 1 and count >= 1):
        raise ValueError(f"wilson: needs a share in [0, 1] of at least one sample; got {share} of {count}.")
    shrink, z = 1 + NORMAL**2 / count, NORMAL
    centre = (share + z**2 / (2 * count)) / shrink
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / shrink
    return max(0.0, centre - reach), min(1.0, centre + reach)


def paired(only_first: int, only_second: int, count: int) -> tuple[float, float, float]:
    """How much more the second of two classifiers gets right of the same `count` samples, with its 95 % interval.

    Math: with half a sample added to each of the four cells (both, none, either one right), b and c those that only
    one gets right: `d = (c − b) / n ± z √(b + c − (b − c)² / n) / n`. Samples on which both agree do not widen it:
    it is narrower than two intervals by themselves. Where they differ on a handful only, it is a little too narrow.
    Errors: ValueError for counts below 0, or more than `count` together.
    Source: Agresti and Min 2005.
    """
    if min(only_first, only_second) < 0 or only_first + only_second > count or count < 1:
        given = f"{only_first} and {only_second} of {count}"
        raise ValueError(
            f"paired: needs counts of samples that only one gets right, of at least one sample; got {given}."
        )
    b, c, n = only_first + 0.5, only_second + 0.5, count + 2
    middle, reach = (c - b) / n, NORMAL * math.sqrt(b + c - (b - c) ** 2 / n) / n
    return middle, middle - reach, middle + reach


def over_seeds(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean, standard deviation and half the 95 % interval of the mean: how other seeds would differ.

    Math: `t s / √n`, t from Student's distribution with n − 1 degrees of freedom (the normal one beyond 30), s the
    sample deviation. Errors: ValueError for fewer than two values: one seed says nothing about others.
    """
    if len(values) < 2:
        raise ValueError(f"over_seeds: needs at least two values; got {len(values)}.")
    freedom, deviation = len(values) - 1, stdev(values)
    quantile = STUDENT[freedom - 1] if freedom <= len(STUDENT) else NORMAL
    return mean(values), deviation, quantile * deviation / math.sqrt(len(values))
