"""Recordings of spikes: event lists of different lengths, augmented as events and binned when a batch is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from rheobase.data.augment_events import EventList, augmented, blend, check
from rheobase.data.draws import Draws

LATEST = 2147  # seconds, of which the microseconds still fit int32


@dataclass(frozen=True)
class Recordings:
    """N recordings; indexing chooses among them and copies no event.

    Shapes: times [E] int32 and channels [E] int16, those of one recording side by side; first [N] and count [N] say
    where each lies. Read, they are binary frames [N, steps, width]: 1 where a channel spiked within the step, `delays`
    [width] whole steps earlier; events after the last step are dropped.
    Units: times in microseconds, because 0.044 s in float32 lies just below the edge of its 4 ms step; `step_us` too.
    """

    times: np.ndarray
    channels: np.ndarray
    first: Tensor
    count: Tensor
    width: int
    steps: int
    step_us: int
    delays: np.ndarray
    strengths: Mapping[str, float] = field(default_factory=dict)
    labels: Tensor | None = None
    mates: Mapping[int, Recordings] = field(default_factory=dict)

    @staticmethod
    def of(
        times: list, channels: list, width: int, steps: int, step_us: int, delays: np.ndarray | int = 0
    ) -> Recordings:
        """From one array of seconds and one of channels per recording; delays in steps, one per channel or for all.

        Errors: ValueError naming a recording with a time that is not finite, or too late for int32.
        """
        count = torch.tensor([len(one) for one in times], dtype=torch.long)
        seconds = np.concatenate([*times, np.empty(0, np.float32)]).astype(np.float64)
        wrong = ~(np.abs(seconds) < LATEST)
        if wrong.any():
            first = int(wrong.argmax())
            where = f"recording {int((count.cumsum(0) <= first).sum())} has an event at {seconds[first]} s"
            raise ValueError(f"Recordings: times must be finite and below {LATEST} s; {where}.")
        together = np.concatenate([*channels, np.empty(0, np.uint16)]).astype(np.int16)
        whole = np.rint(seconds * 1e6).astype(np.int32)
        late = np.broadcast_to(np.asarray(delays, np.int32), width)
        return Recordings(whole, together, count.cumsum(0) - count, count, width, steps, step_us, late)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: Tensor) -> Recordings:
        labels = None if self.labels is None else self.labels[index]
        return replace(self, first=self.first[index], count=self.count[index], labels=labels)

    def augmented(self, strengths: Mapping[str, float], labels: Tensor) -> Recordings:
        """The same recordings, augmented so when read for training; blends are with others of these, of one label.

        Errors: ValueError for unknown names and impossible strengths.
        """
        check(strengths)
        mates = {int(label): self[labels == label] for label in labels.unique()}
        return replace(self, strengths=dict(strengths), labels=labels, mates=mates)

    def read(self, draws: Draws | None = None) -> Tensor:
        """Frames [N, steps, width] in bytes, time outermost in memory, where networks want it.

        With draws each recording is changed by its own generator, a function of (seed, epoch, recording).
        """
        frames = np.zeros((self.steps, len(self), self.width), np.uint8)
        generators = draws.generators() if draws is not None and self.strengths else [None] * len(self)
        for sample, generator in enumerate(generators):
            step, channel = self._bins(sample, generator)
            frames[step, sample, channel] = 1
        return torch.from_numpy(frames).transpose(0, 1)

    def _bins(self, sample: int, generator: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        """Step and channel of every event of one recording that lies within both."""
        if generator is None:
            times, channels = self._stored(sample)
            step = times // self.step_us
        else:
            times, channels = self._changed(sample, generator)
            step = np.floor(times * np.float32(1e3 / self.step_us)).astype(np.int32)
            channels = np.rint(channels).astype(np.int32)
        heard = (step >= 0) & (channels >= 0) & (channels < self.width)
        step, channels = step[heard], channels[heard]
        step = step + self.delays[channels]
        kept = step < self.steps
        return step[kept], channels[kept]

    def _stored(self, sample: int) -> tuple[np.ndarray, np.ndarray]:
        part = slice(int(self.first[sample]), int(self.first[sample] + self.count[sample]))
        return self.times[part], self.channels[part]

    def _changed(self, sample: int, generator: np.random.Generator) -> EventList:
        """One recording as training hears it, by chance blended with another of its class, changed in its own way."""
        times, channels = self._stored(sample)
        events = EventList(times.astype(np.float32) * np.float32(1e-3), channels.astype(np.float32))
        events = augmented(events, self.strengths, generator)
        share = self.strengths.get("blend", 0.0)
        if share and self.labels is not None and generator.random() < share:
            mates = self.mates[int(self.labels[sample])]
            other = replace(mates, strengths={**self.strengths, "blend": 0.0})
            events = blend(events, other._changed(int(generator.integers(len(mates))), generator), generator)
        return events

    def lengths(self) -> Tensor:
        """Steps up to the last event of each, at least 1: [N]."""
        last = [self._bins(sample, None)[0].max(initial=0) + 1 for sample in range(len(self))]
        return torch.tensor(last, dtype=torch.long)


def steps_used(frames: Tensor) -> Tensor:
    """Steps up to the last event of each sample of frames [N, T, ...], at least 1: [N]."""
    active = frames.flatten(2).any(2)
    after = torch.arange(1, active.shape[1] + 1)
    return (active * after).amax(1).clamp(min=1)
