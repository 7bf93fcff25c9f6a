"""Pickles of data sets, read without running what they name: only plain values and numpy arrays are admitted."""

import io
import pickle
from typing import Any

import numpy as np

# What a pickled array of any numpy version refers to, and codecs.encode, by which protocol 2 writes bytes.
ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.multiarray", name): getattr(np._core.multiarray, name)  # pyright: ignore[reportAttributeAccessIssue]
        for core in ("core", "_core")
        for name in ("_reconstruct", "scalar")
    },
    ("numpy._core.numeric", "_frombuffer"): np._core.numeric._frombuffer,  # pyright: ignore[reportAttributeAccessIssue]
}


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode("latin1")


class _Restricted(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return ADMITTED[module, name]


def unpickle(content: bytes, name: str, fix: str) -> Any:
    """The value of a pickle that Python 2 or 3 wrote, its strings as bytes.

    Errors: ValueError, naming the file, where it is cut, corrupt, or asks for anything but arrays.
    """
    try:
        return _Restricted(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"{name} is truncated, corrupt, or not a plain pickle ({error}). {fix}") from error
