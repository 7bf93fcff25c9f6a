"""Augmentation of event recordings: pure functions of one event list, each with a strength of 0 for none.

Speakers differ in pitch and formants (channels), pace (time) and loudness (number of events): that is what is varied.
All take (events, strength, generator) and give new events; what leaves the channels or the steps is cut when binned.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from rheobase.names import unknown

LIMIT = 2.0  # normal draws are cut here: no recording is moved far out of hearing


class EventList(NamedTuple):
    """One recording. Shapes: times [E] in milliseconds and channels [E], both float32, in any order."""

    times: np.ndarray
    channels: np.ndarray


Change = Callable[[EventList, float, np.random.Generator], EventList]


def shift_channels(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Move all channels by one number: another pitch. Units: strength in channels (standard deviation)."""
    return events._replace(channels=events.channels + np.float32(strength * _normal(generator)))


def stretch_channels(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Spread the channels around their mean by 1 + N(0, strength): a longer or shorter vocal tract."""
    if not len(events.channels):
        return events
    middle = events.channels.mean()
    return events._replace(channels=middle + (events.channels - middle) * np.float32(1 + strength * _normal(generator)))


def jitter_channels(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Move each event by its own normal number. Units: strength in channels (standard deviation)."""
    noise = generator.standard_normal(len(events.channels), np.float32)
    return events._replace(channels=events.channels + noise * np.float32(strength))


def warp_time(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Multiply all times by exp(N(0, strength)): slower or faster speech."""
    return events._replace(times=events.times * np.float32(math.exp(strength * _normal(generator))))


def delay_start(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Begin later by up to `strength` milliseconds."""
    return events._replace(times=events.times + np.float32(strength * generator.random()))


def drop_events(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Lose a share of the events between 0 and `strength`, one for the recording."""
    share = strength * generator.random()
    return _only(events, generator.random(len(events.times), np.float32) >= share)


def silence_channels(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Silence one band of up to `strength` neighbouring channels, between the lowest and the highest that fired."""
    if not len(events.channels):
        return events
    first = generator.uniform(events.channels.min(), events.channels.max())
    last = first + strength * generator.random()
    return _only(events, (events.channels < first) | (events.channels >= last))


def silence_time(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Silence one stretch of up to `strength` milliseconds, beginning before the last event."""
    if not len(events.times):
        return events
    first = generator.uniform(0, events.times.max())
    last = first + strength * generator.random()
    return _only(events, (events.times < first) | (events.times >= last))


def add_events(events: EventList, strength: float, generator: np.random.Generator) -> EventList:
    """Add noise: `strength` times as many events as there are, at any time and channel between the first and last."""
    count = int(strength * len(events.times))
    if not count:
        return events
    places = (_anywhere(values, count, generator) for values in events)
    return EventList(*(np.concatenate([old, new]) for old, new in zip(events, places, strict=True)))


def blend(events: EventList, other: EventList, generator: np.random.Generator) -> EventList:
    """A recording between two of one class: their mean times laid on each other, then half of the events of each.

    Source: Nowotny, Turner and Knight 2025 (Loss shaping enhances exact gradient learning with EventProp).
    """
    if not len(events.times) or not len(other.times):
        return events
    other = other._replace(times=other.times + (events.times.mean() - other.times.mean()))
    halves = (_only(one, generator.random(len(one.times), np.float32) < 0.5) for one in (events, other))
    return EventList(*(np.concatenate(pair) for pair in zip(*halves, strict=True)))


CHANGES: dict[str, Change] = {
    "warp": warp_time,
    "delay": delay_start,
    "stretch": stretch_channels,
    "shift": shift_channels,
    "jitter": jitter_channels,
    "drop": drop_events,
    "silence_channels": silence_channels,
    "silence_time": silence_time,
    "noise": add_events,
}


def check(strengths: Mapping[str, float]) -> None:
    """Refuse unknown names and strengths below 0."""
    for name, strength in strengths.items():
        if name not in (*CHANGES, "blend"):
            raise unknown("event augmentation", name, [*CHANGES, "blend"])
        if not strength >= 0 or (name in ("drop", "blend") and strength > 1):
            what = "between 0 and 1" if name in ("drop", "blend") else "0 or above"
            raise ValueError(f"event augmentation: {name} must be {what}; got {strength}.")


def augmented(events: EventList, strengths: Mapping[str, float], generator: np.random.Generator) -> EventList:
    """The named changes, in the order of CHANGES whatever the order of the names; `blend` needs a second recording."""
    for name, change in CHANGES.items():
        if strengths.get(name):
            events = change(events, strengths[name], generator)
    return events


def _only(events: EventList, kept: np.ndarray) -> EventList:
    return EventList(*(values[kept] for values in events))


def _normal(generator: np.random.Generator) -> float:
    return min(LIMIT, max(-LIMIT, generator.standard_normal()))


def _anywhere(values: np.ndarray, count: int, generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(values.min(), values.max(), count).astype(np.float32)
