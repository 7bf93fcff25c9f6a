"""Memory: freed pages are kept, so that a step does not map and clear them again; which errors say there is none."""

import ctypes
import platform

import torch

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # names of glibc's mallopt
REFUSALS = ("can't allocate memory", "Storage size calculation overflowed")  # of torch on the CPU, in a RuntimeError


def keep_pages() -> bool:
    """Ask the C library to serve large tensors from memory it already has; True where that is glibc.

    Without it glibc maps every tensor above 32 MiB anew, and the page faults cost more than writing it: a training step
    of recurrent ProbPLIF on sequential MNIST took 15 % longer. The price is that the process keeps its peak memory.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(TRIM_THRESHOLD, 2**31 - 1)) and bool(library.mallopt(MMAP_MAX, 0))


def exhausted(error: Exception) -> bool:
    """Whether an error says that memory does not suffice."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(words in str(error) for words in REFUSALS)
