"""Spiking Heidelberg Digits (SHD), our own cochlea spikes of the same audio (HD), and Spiking Speech Commands (SSC).

700 channels. Layout: spikes/times (seconds) and spikes/units, one array per sample, labels; SHD and HD: extra/speaker.
Every test sample of HD is of a speaker never heard in training, SHD's test set also holds known speakers:
numbers on one are not numbers on the other.
Events after the last step are dropped, as in the published protocol (1.0 s; the longest recording has 1.37 s).
"""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import torch
from torch import Tensor

from rheobase.data.encodings import Events
from rheobase.data.recordings import Recordings
from rheobase.data.samples import DataSet, Samples

CHANNELS, CLASSES, WORDS = 700, 20, 35
LONGEST = 100  # seconds; the longest recording has 1.37


def load_shd(folder: Path, steps: int = 250, step_ms: float = 4.0, taps: int = 1, tap_steps: int = 6) -> DataSet:
    """Read shd_train.h5 and shd_test.h5, binned: [N, steps, 700], 1 where a channel spiked within the step.

    With `taps` above 1, channel c is heard (c mod taps) · tap_steps late: neighbours, which hear almost the same,
    become a tapped delay line, and a network sees the last taps · tap_steps steps of 700 / taps bands at once.
    """
    return _load("shd", folder, steps, step_ms, taps, tap_steps)


def load_hd(folder: Path, steps: int = 250, step_ms: float = 4.0, taps: int = 1, tap_steps: int = 6) -> DataSet:
    """Read hd_train.h5 and hd_test.h5, binned like SHD; groups are the speakers."""
    return _load("hd", folder, steps, step_ms, taps, tap_steps)


def load_ssc(folder: Path, steps: int = 250, step_ms: float = 4.0, taps: int = 1, tap_steps: int = 6) -> DataSet:
    """Read ssc_train.h5, ssc_valid.h5 and ssc_test.h5, 35 words, binned like SHD.

    The published validation recordings are part of `train`, as group 1 (the others: 0): to validate as published, hold
    out group 1 (`validation_speaker=1`).
    """
    return _load("ssc", folder, steps, step_ms, taps, tap_steps, train=("train", "valid"), classes=WORDS)


def _load(
    name: str,
    folder: Path,
    steps: int,
    step_ms: float,
    taps: int,
    tap_steps: int,
    train: tuple[str, ...] = ("train",),
    classes: int = CLASSES,
) -> DataSet:
    if min(steps, step_ms, taps, tap_steps) <= 0:
        given = f"steps={steps}, step_ms={step_ms}, taps={taps}, tap_steps={tap_steps}"
        raise ValueError(f"{name}: steps, step_ms, taps and tap_steps must be positive; got {given}.")
    delays = np.arange(CHANNELS) % taps * tap_steps

    def part(*files: str) -> Samples:
        spikes = [_read(folder / f"{name}_{file}.h5", name, classes) for file in files]
        times, units = [one for file in spikes for one in file.times], [one for file in spikes for one in file.units]
        recordings = Recordings.of(times, units, CHANNELS, steps, round(step_ms * 1000), delays)
        labels = torch.cat([file.labels for file in spikes])
        groups = [torch.full_like(file.labels, number) for number, file in enumerate(spikes)]
        speakers = spikes[0].speakers if len(spikes) == 1 else None
        found = torch.cat(groups) if speakers is None else speakers
        return Samples(recordings, labels, lengths=recordings.lengths(), groups=found)

    return DataSet(name, classes, part(*train), part("test"), Events())


class Spikes(NamedTuple):
    """One file: an array of seconds and one of channels per recording; labels [N], speakers [N] where it has them."""

    times: list[np.ndarray]
    units: list[np.ndarray]
    labels: Tensor
    speakers: Tensor | None


def _read(path: Path, name: str, classes: int) -> Spikes:
    """One file. Errors: ValueError naming it, where it is damaged, has another layout, or contradicts itself."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing.")
    fix = f"Delete it and fetch it again; `rheobase data show {name}` says from where."
    try:
        with h5py.File(path) as file:
            times, units = (list(file[f"spikes/{column}"][:]) for column in ("times", "units"))  # pyright: ignore
            labels = np.asarray(file["labels"][:], np.int64)  # pyright: ignore
            speakers = np.asarray(file["extra/speaker"][:], np.int64) if "extra/speaker" in file else None  # pyright: ignore
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is truncated, corrupt, or not in SHD's layout ({error}). {fix}") from error
    if wrong := _contradiction(times, units, labels, speakers, classes):
        raise ValueError(f"{path} is corrupt: {wrong}. {fix}")
    return Spikes(times, units, torch.from_numpy(labels), None if speakers is None else torch.from_numpy(speakers))


def _contradiction(times: list, units: list, labels: np.ndarray, speakers: np.ndarray | None, classes: int) -> str:
    """What cannot be true of the columns of a file, in words; nothing where all is well."""
    counts = {len(times), len(units), len(labels), len(labels if speakers is None else speakers)}
    if len(counts) > 1 or not len(times):
        return f"it has {len(times)} arrays of times, {len(units)} of units and {len(labels)} labels"
    if labels.min() < 0 or labels.max() >= classes:
        return f"it has labels from {labels.min()} to {labels.max()}, for {classes} classes"
    for number, (seconds, channels) in enumerate(zip(times, units, strict=True)):
        if seconds.shape != channels.shape or seconds.ndim != 1:
            return f"recording {number} has {seconds.size} times and {channels.size} units"
        if len(seconds) and not (seconds.min() >= 0 and seconds.max() < LONGEST):
            return f"recording {number} has a time outside of 0 to {LONGEST} seconds"
        if len(channels) and not (channels.min() >= 0 and channels.max() < CHANNELS):
            return f"recording {number} has a unit outside of 0 to {CHANNELS - 1}"
    return ""
