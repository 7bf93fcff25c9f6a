"""Data sets, their encodings, batches and splits: `rb.data.load("digits")`.

What training relies on:

- `load(name)` gives a DataSet: `train` and `test` (Samples), `classes`, `encoding`, `note` (said aloud where it is not
  empty: a part of a set).
- Samples are indexed by tensors of positions and give Samples: `labels`, `groups` (speaker, subject, recording), `ids`.
  Values lie in memory or in files; nobody but `batches` reads them.
- `batches(samples, encode, size, order, start, augment=, epoch=, shard=, workers=)` yields the Batches of one pass.
  Everything random in reading and augmenting is a function of (augmentation's seed, epoch, sample's id), in mixing of
  (seed, epoch, number of the batch); `augmentation(name, data_set, seed)` makes the papers' ones. So the same order,
  start and epoch give the same batches bit for bit: after a resume, with any number of workers, and a rank's part is
  the part of the batch that one process would see. A checkpoint keeps order, epoch and position, and torch's generator
  for encodings that draw (Poisson), which run in the caller.
- A Batch has `x` [T, B, ...]; where `steps` is set (images encoded directly), `x` is [B, C, H, W] and stands for the
  same image at each step: `model(batch.x, steps=batch.steps)`, or `batch.sequence()` for models that need time first.
  `targets` [B, classes] are soft labels, where mixing made some. `total` is the number of samples over all ranks (the
  last batch may be uneven: weigh a rank's mean by `len(labels) * ranks / total`).
"""

from rheobase.data.augment import Augmentation, Mix
from rheobase.data.batches import Batch, batches, pad, similar_lengths, valid_steps
from rheobase.data.catalog import load, names
from rheobase.data.draws import Draws
from rheobase.data.encodings import Direct, Events, Latency, Pixels, Poisson, Rows, encoding, with_steps
from rheobase.data.presets import augmentation
from rheobase.data.samples import (
    DataSet,
    Samples,
    check_finite,
    check_split,
    hold_out_fraction,
    hold_out_group,
    hold_out_group_fraction,
    hold_out_groups,
    save_split,
)

__all__ = [
    "Augmentation",
    "Batch",
    "DataSet",
    "Direct",
    "Draws",
    "Events",
    "Latency",
    "Mix",
    "Pixels",
    "Poisson",
    "Rows",
    "Samples",
    "augmentation",
    "batches",
    "check_finite",
    "check_split",
    "encoding",
    "hold_out_fraction",
    "hold_out_group",
    "hold_out_group_fraction",
    "hold_out_groups",
    "load",
    "names",
    "pad",
    "save_split",
    "similar_lengths",
    "valid_steps",
    "with_steps",
]
