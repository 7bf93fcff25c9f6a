"""Large outputs of the CPU kernels live in memory that earlier outputs left behind.

malloc maps a tensor of many megabytes anew at every call, and clearing and mapping its pages takes several times
longer than writing it. Outputs of at least LEAST bytes therefore lie in blocks from here: huge pages where the system
has them, handed out again once no tensor uses them. What has not been used for IDLE seconds is unmapped at the next
call, and so is what exceeds a quarter of the memory; `empty_cache` unmaps everything that is free. RHEOBASE_POOL=0
leaves all to malloc.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import functools
import math
import mmap
import os
import pathlib
import threading
import time
from collections.abc import Sequence

import torch
from torch import Tensor

LEAST = 4 << 20  # bytes; smaller tensors are malloc's
HUGE_PAGE = 2 << 20
IDLE = 10.0  # seconds
POSSIBLE = hasattr(mmap, "MAP_PRIVATE") and os.environ.get("RHEOBASE_POOL", "1") != "0"

_returned: collections.deque[_Block] = collections.deque()  # tensors may go at any moment, even while the lock is held
_free: dict[int, list[_Block]] = {}  # by size, the one used last behind
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):  # in the child: another thread may have held it
    os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.Lock()))


class _Block:
    """Mapped memory of `size` bytes from `address` on, a huge page's boundary."""

    __slots__ = ("address", "mapped", "since", "size")

    def __init__(self, size: int):
        self.size, self.since = size, 0.0
        self.mapped = mmap.mmap(-1, size + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.mapped))
        self.address = -(-start // HUGE_PAGE) * HUGE_PAGE
        with contextlib.suppress(OSError, AttributeError):  # a system without huge pages
            self.mapped.madvise(mmap.MADV_HUGEPAGE)


def empty(shape: Sequence[int], stride: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Like `torch.empty_strided(shape, stride)` for dense strides, on the CPU."""
    count = math.prod(shape)
    block = _block(count * dtype.itemsize)
    if block is None:
        return torch.empty_strided(shape, stride, dtype=dtype, device="cpu")
    loan = _loan(block.size).from_address(block.address)
    vars(loan)["block"] = block
    storage = torch.frombuffer(loan, dtype=dtype, count=count).untyped_storage()
    return torch.empty(0, dtype=dtype, device="cpu").set_(storage, 0, shape, stride)


def dense(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Like `torch.empty(shape)`, on the CPU."""
    return empty(shape, [math.prod(shape[d + 1 :]) for d in range(len(shape))], dtype)


def empty_cache() -> None:
    """Give memory that large outputs of the CPU kernels have left behind back to the system at once."""
    with _lock:
        _collect()
        _free.clear()


@functools.cache
def _loan(size: int) -> type[ctypes.Array]:
    """The type of what holds a block while tensors use it; it goes with the last of them, and the block returns."""
    return type("Loan", (ctypes.Array,), {"_type_": ctypes.c_char, "_length_": size, "__del__": _give_back})


def _give_back(loan) -> None:
    loan.block.since = time.monotonic()
    _returned.append(loan.block)


def _block(size: int) -> _Block | None:
    """A free or new block for `size` bytes; None where malloc should serve them (and say so if it cannot)."""
    if size < LEAST or not POSSIBLE or torch.are_deterministic_algorithms_enabled():  # torch fills what it hands out
        return None
    size = -(-size // HUGE_PAGE) * HUGE_PAGE
    with _lock:
        _collect()
        if size in _free:
            found = _free[size].pop()  # the one used last: it may still be in the caches
            if not _free[size]:
                del _free[size]
            return found
    with contextlib.suppress(OSError):
        return _Block(size)
    empty_cache()
    return None


def _collect() -> None:
    """Sort what has returned by size; unmap what has been idle for long, and what is too much."""
    while _returned:
        block = _returned.popleft()
        _free.setdefault(block.size, []).append(block)
    before, total = time.monotonic() - IDLE, sum(size * len(blocks) for size, blocks in _free.items())
    while _free:
        size = min(_free, key=lambda size: _free[size][0].since)
        if total <= _limit() and _free[size][0].since >= before:
            return
        _free[size].pop(0)
        total -= size
        if not _free[size]:
            del _free[size]


@functools.cache
def _limit() -> int:
    """Bytes that may lie free: a quarter of the memory of the machine or of the container."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        memory = min(memory, int(pathlib.Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory // 4
