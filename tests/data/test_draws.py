"""Random numbers of samples: uniform, and a function of (seed, epoch, sample) alone."""

import pytest
import torch

from rheobase.data import Draws

IDS = torch.arange(100_000)


@pytest.mark.parametrize("seed", range(4))
def test_they_are_uniform_and_independent(seed):
    numbers = Draws(seed, epoch=1, ids=IDS).uniform(2)
    error = (numbers.mean(0) - 0.5).abs() * (12 * len(IDS)) ** 0.5
    assert error.max() < 4, "the mean is more than four standard errors off"
    counts = torch.histc(numbers[:, 0], 100)
    assert ((counts - 1000) ** 2 / 1000).sum() < 160, "chi-squared of 100 bins"
    neighbours = torch.stack([numbers[1:, 0], numbers[:-1, 0], numbers[1:, 1]])
    assert (torch.corrcoef(neighbours) - torch.eye(3)).abs().max() < 4 / len(IDS) ** 0.5


def test_a_sample_draws_the_same_whoever_is_beside_it():
    whole = Draws(3, 2, IDS[:50])
    whole = [whole.uniform(4), whole.integers(0, 7), whole.branch(1, torch.arange(50)).uniform()]
    chosen = torch.tensor([40, 3, 11])
    few = Draws(3, 2, chosen)
    few = [few.uniform(4), few.integers(0, 7), few.branch(1, torch.arange(3)).uniform()]
    for ours, theirs in zip(whole, few, strict=True):
        assert torch.equal(ours[chosen], theirs)


def test_seed_epoch_branch_and_count_all_matter():
    first = Draws(0, 0, IDS[:100])
    others = [Draws(1, 0, IDS[:100]), Draws(0, 1, IDS[:100]), first.branch(0, IDS[:100]), first.branch(1, IDS[:100])]
    drawn = [draws.uniform() for draws in (first, *others, first)]
    for number, one in enumerate(drawn):
        for other in drawn[number + 1 :]:
            assert not torch.isclose(one, other).any()
