"""Random numbers that belong to a sample: a function of (seed, epoch, sample), whoever asks and in whatever order."""

import copy

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15
BRANCH = 0xD1342543DE82EF95
MASK = (1 << 64) - 1


class Draws:
    """Random numbers of some samples in one epoch.

    The n-th number drawn for a sample depends on seed, epoch, the sample's id and n alone: not on its batch, its
    process or what was drawn for others. So a resumed run, several workers and several ranks augment alike, bit for
    bit, and there is no generator state to keep.
    Source: the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over a counter.
    """

    def __init__(self, seed: int, epoch: int, ids: Tensor):
        key = np.array([(seed * GOLDEN + epoch) & MASK], np.uint64)
        self._streams = _mix(_mix(key) + ids.numpy().astype(np.uint64) * np.uint64(GOLDEN))
        self._drawn = 0

    def __len__(self) -> int:
        return len(self._streams)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), float64: [samples, *shape]."""
        count = int(np.prod(shape, dtype=np.int64))
        counter = np.arange(self._drawn + 1, self._drawn + count + 1, dtype=np.uint64)
        self._drawn += count
        words = _mix(self._streams[:, None] + counter * np.uint64(GOLDEN))
        unit = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return torch.from_numpy(unit).reshape(len(self), *shape)

    def integers(self, low: int, high: int) -> Tensor:
        """Whole numbers from low to high - 1: [samples]."""
        return (self.uniform() * (high - low)).floor().long() + low

    def branch(self, name: int, chosen: Tensor) -> "Draws":
        """Further numbers for some of the samples (a mask or positions), independent of these and of other branches."""
        branch = copy.copy(self)
        branch._streams = _mix(self._streams[chosen.numpy()] + np.uint64((name + 1) * BRANCH & MASK))
        branch._drawn = 0
        return branch

    def chance(self, probability: float) -> Tensor:
        """True with this probability: [samples]."""
        return self.uniform() < probability

    def generators(self) -> list[np.random.Generator]:
        """A numpy generator for each sample, where how many numbers are needed differs from sample to sample."""
        self._drawn += 1
        keys = _mix(self._streams + np.uint64(self._drawn * GOLDEN & MASK))
        return [np.random.Generator(np.random.SFC64(int(key))) for key in keys]


def _mix(words: np.ndarray) -> np.ndarray:
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
