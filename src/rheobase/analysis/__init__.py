"""Analysis: arrays in, numbers out. `rb.analysis.activity` and the others are imported when they are first used."""

import importlib
from pathlib import Path
from typing import Any


def __getattr__(name: str) -> Any:
    if Path(__file__).with_name(f"{name}.py").is_file():
        return importlib.import_module(f"rheobase.analysis.{name}")
    raise AttributeError(f"module 'rheobase.analysis' has no attribute {name!r}")
