"""Data sets in memory, their encodings, batches and splits: `rb.data.load("digits")`."""

from rheobase.data.batches import Batch, batches, pad, valid_steps
from rheobase.data.catalog import load, names
from rheobase.data.encodings import Direct, Events, Latency, Pixels, Poisson, Rows, encoding
from rheobase.data.samples import DataSet, Samples, hold_out_fraction, hold_out_group

__all__ = [
    "Batch",
    "DataSet",
    "Direct",
    "Events",
    "Latency",
    "Pixels",
    "Poisson",
    "Rows",
    "Samples",
    "batches",
    "encoding",
    "hold_out_fraction",
    "hold_out_group",
    "load",
    "names",
    "pad",
    "valid_steps",
]
