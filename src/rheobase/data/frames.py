"""From the events of a vision sensor to frames: T pictures of event counts, one channel per polarity."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import torch

from rheobase.names import unknown

RESIZES = ("bilinear", "nearest", "sum")


class PixelEvents(NamedTuple):
    """One recording. Shapes: all [E]; x (column) and y (row) in pixels, polarity 0 or 1, time in microseconds."""

    x: np.ndarray
    y: np.ndarray
    polarity: np.ndarray
    time: np.ndarray

    def between(self, start: int, end: int) -> "PixelEvents":
        """The events with start <= time < end."""
        kept = (self.time >= start) & (self.time < end)
        return PixelEvents(*(values[kept] for values in self))


@dataclass(frozen=True)
class Framing:
    """How events become frames.

    `by` "count": T parts with equally many events; "time": T parts of equal duration; the last takes what is left over.
    `size` is the side of the frames (none: the sensor's). They get it by `resize`: "bilinear" interpolates the counts
    (antialiased, as the papers' scripts do with Pillow), "nearest" takes single pixels, "sum" adds the events of the
    pixels that fall together. `binary` keeps only whether there was an event.
    """

    steps: int = 10
    by: str = "count"
    size: int | None = None
    resize: str = "bilinear"
    binary: bool = False

    def __post_init__(self) -> None:
        for name, value in (("steps", self.steps), ("size", 1 if self.size is None else self.size)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"frames: {name} must be a whole number, 1 or more; got {value!r}.")
        if self.by not in ("count", "time"):
            raise unknown("way to split events", self.by, ("count", "time"))
        if self.resize not in RESIZES:
            raise unknown("resize", self.resize, RESIZES)

    @staticmethod
    def chosen(options: Mapping[str, Any], **defaults: Any) -> "Framing":
        """The defaults of a data set with the user's options. Errors: ValueError naming the nearest option."""
        known = [field.name for field in fields(Framing)]
        for name in options:
            if name not in known:
                raise unknown("option of event frames", name, known)
        return Framing(**{**defaults, **options})

    def slug(self, sensor: int) -> str:
        """The options as part of a file's name."""
        side = self.side(sensor)
        words = [self.by, f"{self.steps}x{side}", self.resize * (side != sensor), "binary" * self.binary]
        return "-".join(word for word in words if word)

    def side(self, sensor: int) -> int:
        """Height and width of the frames of a sensor with this side."""
        return self.size or sensor

    def dtype(self, sensor: int) -> np.dtype:
        """Bytes for counts (above 255 they are cut), half precision for interpolated ones."""
        interpolated = self.side(sensor) != sensor and self.resize == "bilinear"
        return np.dtype(np.float16 if interpolated else np.uint8)

    def __call__(self, events: PixelEvents, sensor: int) -> np.ndarray:
        """Frames [T, 2, side, side] of a square sensor.

        Errors: ValueError for no events, or for coordinates outside the sensor.
        """
        if not len(events.time):
            raise ValueError("it has no events")
        if max(events.x.max(), events.y.max()) >= sensor or min(events.x.min(), events.y.min()) < 0:
            raise ValueError(f"it has events outside of {sensor}x{sensor} pixels")
        side, column, row = sensor, events.x.astype(np.int64), events.y.astype(np.int64)
        if self.resize == "sum":
            side = self.side(sensor)
            column, row = column * side // sensor, row * side // sensor
        place = ((self.frame_of(events.time) * 2 + events.polarity) * side + row) * side + column
        counts = np.bincount(place, minlength=self.steps * 2 * side * side).reshape(self.steps, 2, side, side)
        if self.binary:
            counts = np.minimum(counts, 1)
        return self._resized(counts, sensor)

    def frame_of(self, time: np.ndarray) -> np.ndarray:
        """The frame of each event: [E], 0 to T - 1."""
        if self.by == "count":
            return np.minimum(np.arange(len(time)) // max(1, len(time) // self.steps), self.steps - 1)
        start = int(time.min())
        length = max(1, (int(time.max()) - start) // self.steps)
        return np.minimum((time.astype(np.int64) - start) // length, self.steps - 1)

    def _resized(self, counts: np.ndarray, sensor: int) -> np.ndarray:
        dtype, side = self.dtype(sensor), self.side(sensor)
        if counts.shape[-1] != side:
            smooth = self.resize == "bilinear"
            pictures = torch.from_numpy(counts.astype(np.float32))
            mode = "bilinear" if smooth else "nearest"
            counts = torch.nn.functional.interpolate(pictures, (side, side), mode=mode, antialias=smooth).numpy()
        return np.minimum(counts, 255).astype(dtype) if dtype == np.uint8 else counts.astype(dtype)
