"""The digits that scikit-learn carries: 1,797 images of 8x8 in 17 grey values, no download. The embedded default."""

from pathlib import Path

import torch

from rheobase.data.encodings import Rows
from rheobase.data.samples import DataSet, Samples, hold_out_fraction

TEST_FRACTION = 0.2
SPLIT_SEED = 20  # never change: it defines the test set of every recorded number


def load_digits(folder: Path) -> DataSet:
    """Read the bundled images; a fifth of every class is the test set, always the same one. Encoded as 8 rows.

    `folder` is unused: the images come with the package scikit-learn.
    Source: the test part of "Optical recognition of handwritten digits" (UCI), as `sklearn.datasets.load_digits`.
    """
    try:
        from sklearn.datasets import load_digits as bundled
    except ImportError as error:
        fix = "digits: needs scikit-learn, which carries the images. `pip install 'rheobase[demo]'`"
        raise ModuleNotFoundError(fix) from error
    images, labels = bundled(return_X_y=True)
    values = torch.from_numpy(images).to(torch.uint8).reshape(-1, 8, 8)
    samples = Samples(values, torch.from_numpy(labels).long(), scale=1 / 16)
    train, test = hold_out_fraction(samples, TEST_FRACTION, SPLIT_SEED)
    return DataSet("digits", 10, train, test, Rows())
