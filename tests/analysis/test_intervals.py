"""Intervals against scipy's, and against what they promise."""

import pytest

from rheobase.analysis.intervals import NORMAL, STUDENT, over_seeds, paired, wilson

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 359), (346, 359), (1681, 1840), (4885, 10_000)])
def test_wilson_agrees_with_scipy(right, count):
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right / count, count) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_wilson_holds_what_it_says():
    """Networks that are right in a share p of all cases, tested on 200 samples, have p in their interval in 95 %."""

    def held(p: float, interval) -> float:
        chances = stats.binom.pmf(range(201), 200, p)
        ends = [interval(right / 200, 200) for right in range(201)]
        return sum(chance for chance, (low, high) in zip(chances, ends, strict=True) if low <= p <= high)

    def plain(share: float, count: int) -> tuple[float, float]:
        reach = NORMAL * (share * (1 - share) / count) ** 0.5
        return share - reach, share + reach

    shares = [0.5 + 0.0049 * step for step in range(101)]
    found = [held(p, wilson) for p in shares]
    assert abs(sum(found) / len(found) - 0.95) < 0.005 and min(found) > 0.9
    assert min(held(p, plain) for p in shares) < 0.9, "the check cannot tell the plain interval"


@pytest.mark.parametrize(("first", "second"), [(0.05, 0.05), (0.1, 0.04), (0.04, 0.01)])
def test_a_paired_interval_holds_what_it_says(first, second):
    """Counted over all outcomes of 100 samples on which one of two is right with these chances."""
    n, held, total = 100, 0.0, 0.0
    for b in range(41):
        for c in range(41 - b):
            chance = stats.multinomial.pmf([b, c, n - b - c], n, [first, second, 1 - first - second])
            _, low, high = paired(b, c, n)
            total, held = total + chance, held + chance * (low <= second - first <= high)
    assert total > 0.999 and 0.94 < held < 1.0


def test_a_paired_interval_by_hand_and_against_two_of_their_own():
    middle, low, high = paired(10, 30, 998)
    assert middle == pytest.approx(0.02) and high - middle == pytest.approx(NORMAL * 0.041**0.5 / 1000**0.5, rel=0.01)
    apart = [wilson(share, 1000) for share in (0.9, 0.92)]
    assert low > 0 and apart[0][1] > apart[1][0], "two intervals overlap where the paired one shows a difference"


@pytest.mark.parametrize("freedom", range(1, len(STUDENT) + 1))
def test_the_quantiles_are_students(freedom):
    assert STUDENT[freedom - 1] == pytest.approx(stats.t.ppf(0.975, freedom), abs=6e-5)


def test_over_seeds_by_hand():
    assert over_seeds([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1.0, 4.3027 / 3**0.5))
    assert over_seeds([0.5] * 40) == (0.5, 0.0, 0.0)


def test_refusals():
    with pytest.raises(ValueError, match="at least two values; got 1"):
        over_seeds([0.9])
    with pytest.raises(ValueError, match="got 3 and 4 of 6"):
        paired(3, 4, 6)
    for share, count in ((1.1, 10), (0.5, 0)):
        with pytest.raises(ValueError, match="at least one sample"):
            wilson(share, count)
