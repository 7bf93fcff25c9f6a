"""Keep freed memory in the process, so that every step does not map and clear the same pages again."""

import ctypes
import platform

TRIM_THRESHOLD, MMAP_MAX = -1, -4  # names of glibc's mallopt


def keep_pages() -> bool:
    """Ask the C library to serve large tensors from memory it already has; True where that is glibc.

    Without it glibc maps every tensor above 32 MiB anew, and the page faults cost more than writing it: a training step
    of recurrent ProbPLIF on sequential MNIST took 15 % longer. The price is that the process keeps its peak memory.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(library.mallopt(TRIM_THRESHOLD, 2**31 - 1)) and bool(library.mallopt(MMAP_MAX, 0))
