"""Where the real data lies, for tests that need it; without a GPU, Triton's kernels run in its interpreter."""

import os
from pathlib import Path

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when triton is imported, which tracing does

PLACES = [
    os.environ.get("RHEOBASE_DATA"),
    Path(__file__).parents[2] / "shared/data",
    Path(__file__).parents[2] / "data",
]


@pytest.fixture
def real_data():
    """A function from the path of a file to the root that holds it; skips, saying so, where no root does."""

    def find(file: str) -> Path:
        for place in PLACES:
            if place and (Path(place) / file).exists():
                return Path(place)
        pytest.skip(f"needs the real data set file {file}: point RHEOBASE_DATA at a folder that has it")

    return find
