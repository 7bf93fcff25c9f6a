"""Spiking Heidelberg Digits (SHD), and our own cochlea spikes of the same audio (HD): 20 classes, 700 channels.

Layout of both: spikes/times (seconds) and spikes/units, one array per sample, labels, extra/speaker.
Every test sample of HD is of a speaker never heard in training, SHD's test set also holds known speakers:
numbers on one are not numbers on the other.
"""

from pathlib import Path

import h5py
import numpy as np
import torch

from rheobase.data.encodings import Events
from rheobase.data.samples import DataSet, Samples

CHANNELS, CLASSES = 700, 20


def load_shd(folder: Path, steps: int = 250, step_ms: float = 4.0) -> DataSet:
    """Read shd_train.h5 and shd_test.h5, binned: [N, steps, 700], 1 where a channel spiked within the step."""
    return _load("shd", folder, steps, step_ms)


def load_hd(folder: Path, steps: int = 250, step_ms: float = 4.0) -> DataSet:
    """Read hd_train.h5 and hd_test.h5, binned like SHD; groups are the speakers."""
    return _load("hd", folder, steps, step_ms)


def _load(name: str, folder: Path, steps: int, step_ms: float) -> DataSet:
    if steps < 1 or step_ms <= 0:
        raise ValueError(f"{name}: steps and step_ms must be positive; got steps={steps}, step_ms={step_ms}.")
    train, test = (_samples(folder / f"{name}_{part}.h5", name, steps, step_ms) for part in ("train", "test"))
    return DataSet(name, CLASSES, train, test, Events())


def _samples(path: Path, name: str, steps: int, step_ms: float) -> Samples:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing.")
    try:
        with h5py.File(path) as file:
            times, units = file["spikes/times"][:], file["spikes/units"][:]  # pyright: ignore[reportIndexIssue]
            labels, speakers = file["labels"][:], file["extra/speaker"][:]  # pyright: ignore[reportIndexIssue]
    except (OSError, KeyError) as error:
        fix = f"Delete it and fetch it again; `rheobase data list {name}` says from where."
        raise ValueError(f"{path} is truncated, corrupt, or not in SHD's layout ({error}). {fix}") from error
    binned, lengths = bin_events(times, units, steps, step_ms)
    labels, speakers = (torch.from_numpy(np.asarray(values).astype(np.int64)) for values in (labels, speakers))
    return Samples(binned, labels, lengths=lengths, groups=speakers)


def bin_events(times, units, steps: int, step_ms: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary frames [N, steps, 700] of event lists in seconds, and the number of steps up to each sample's last event.

    Events after the last step are dropped, as in the published protocol (1.0 s; the longest recording has 1.37 s).
    Times go through whole microseconds: 0.044 s in float32 lies just below the edge of its 4 ms step.
    """
    binned = torch.zeros(len(times), steps, CHANNELS, dtype=torch.uint8)
    lengths = torch.ones(len(times), dtype=torch.long)
    for sample, (seconds, channel) in enumerate(zip(times, units, strict=True)):
        step = np.rint(seconds.astype(np.float64) * 1e6).astype(np.int64) // round(step_ms * 1000)
        kept = step < steps
        binned[sample, torch.from_numpy(step[kept]), torch.from_numpy(channel[kept].astype(np.int64))] = 1
        if kept.any():
            lengths[sample] = int(step[kept].max()) + 1
    return binned, lengths
