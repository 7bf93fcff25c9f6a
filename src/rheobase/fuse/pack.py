"""`pack_spikes`: inside, what autograd saves and is made of spikes is kept as one bit each."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import weakref
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rheobase.fuse import build, gpu, pool
from rheobase.fuse.operator import intercepted
from rheobase.fuse.program import Program
from rheobase.fuse.recurrent import binary

ONE = {torch.float32: 0x3F800000, torch.bfloat16: 0x3F80, torch.float16: 0x3C00, torch.float64: 0x3FF0000000000000}
WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
SMALLEST = 64

MEMORY = 100  # contexts for which a tensor that was no spikes is not looked at again


@dataclass
class _Pass:
    """One `pack_spikes()` context: its number, and how many tensors on a GPU it has looked at."""

    number: int
    seen: int = 0


_packing: ContextVar[_Pass | None] = ContextVar("rheobase_packing", default=None)
_passes = 0
_refused: dict[tuple, int] = {}  # tensors by place, shape and type: the context that last found other values in them

# Eight elements make a byte, the first its lowest bit. Elements are compared as integers: 0 and 1 have one pattern
# each (−0 counts as "anything else"). `pack` returns 0 as soon as a block holds another value.
SOURCE = r"""
#include <stdint.h>
#define BLOCK 4096
#define KIND(T) \
int pack_##T(const T *from, uint8_t *to, int64_t n, T one, int threads) { \
  int fine = 1; \
  _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)") \
  for (int64_t b = 0; b < n; b += BLOCK) { \
    if (!__atomic_load_n(&fine, __ATOMIC_RELAXED)) continue; \
    const int64_t end = n < b + BLOCK ? n : b + BLOCK; \
    T other = 0; \
    for (int64_t i = b; i < end; i++) other |= (T)(from[i] != 0) & (T)(from[i] != one); \
    if (other) { __atomic_store_n(&fine, 0, __ATOMIC_RELAXED); continue; } \
    for (int64_t i = b; i < end; i += 8) { \
      uint8_t byte = 0; \
      for (int64_t k = 0; k < 8 && i + k < end; k++) byte |= (uint8_t)((from[i + k] != 0) << k); \
      to[i / 8] = byte; \
    } \
  } \
  return fine; \
} \
void unpack_##T(const uint8_t *from, T *to, int64_t n, T one, int threads) { \
  _Pragma("omp parallel for schedule(static) num_threads(threads) if (threads > 1)") \
  for (int64_t i = 0; i < n; i += 8) { \
    const uint8_t byte = from[i / 8]; \
    for (int64_t k = 0; k < 8 && i + k < n; k++) to[i + k] = (T)((byte >> k) & 1) * one; \
  } \
}
KIND(uint16_t)
KIND(uint32_t)
KIND(uint64_t)
"""


class Packed(NamedTuple):
    """Bits of a tensor of spikes, and what it takes to rebuild it."""

    bits: Tensor
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class Kept(NamedTuple):
    """A saved tensor as it is, and which of its versions: autograd compares none of what hooks have seen."""

    tensor: Tensor
    version: int


def keep(tensor: Tensor) -> Tensor | Kept:
    """What a hook keeps of a tensor: no graph of its own, which would be a circle and never be freed."""
    if tensor.is_inference():
        return tensor
    return Kept(tensor if tensor.is_leaf and tensor.requires_grad else tensor.detach(), tensor._version)


def kept(saved: Tensor | Kept) -> Tensor:
    """What `keep` was given. Errors: RuntimeError where it was changed since."""
    if isinstance(saved, Tensor):
        return saved
    if saved.tensor._version != saved.version:
        raise RuntimeError(
            f"a tensor {tuple(saved.tensor.shape)} that the backward pass needs was changed in place between the "
            f"passes: it is at version {saved.tensor._version}; expected version {saved.version}."
        )
    return saved.tensor


@contextlib.contextmanager
def pack_spikes() -> Iterator[None]:
    """Inside, tensors of 0 and 1 that autograd saves for the backward pass are kept as one bit per element.

    Decided by value when saving: a tensor with anything but 0 and 1 stays as it is. The spikes that a convolution or
    linear layer after a neuron saves shrink 32-fold in float32, 16-fold in bfloat16; results do not change. On a GPU,
    where looking at values means waiting for it, spikes of the fused kernels are known to be such, and what was none is
    not looked at again in the next contexts where a tensor of the same shape is saved at the same place.
    Networks of `rb.models` also normalise again in the backward pass instead of keeping what neurons were given; that
    normalisation rounds differently from the usual one.
    """
    global _passes
    _passes += 1
    token = _packing.set(_Pass(_passes))
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            yield
    finally:
        _packing.reset(token)


def packing() -> bool:
    """Whether the caller stands inside `pack_spikes()`."""
    return _packing.get() is not None


def note(spikes: Tensor, program: Program) -> None:
    """Inside `pack_spikes()`, remember of what a kernel has just written that it is 0 and 1, until it is changed."""
    if packing() and binary(program):
        spikes.untyped_storage()._rheobase_spikes = weakref.ref(spikes)  # type: ignore[attr-defined]


def noted(tensor: Tensor) -> bool:
    """Whether the tensor, or the one that it is a view of, is as `note` found it."""
    mark = getattr(tensor.untyped_storage(), "_rheobase_spikes", None)
    made = None if mark is None else mark()
    return made is not None and not made.is_inference() and made._version == 0 and made.dtype == tensor.dtype


def pack(tensor: Tensor) -> Tensor | Kept | Packed:
    """The tensor's bits if it is made of 0 and 1 (and is no parameter), else the tensor."""
    if tensor.dtype not in ONE or not _readable(tensor) or (tensor.is_leaf and tensor.requires_grad):
        return keep(tensor)
    if tensor.is_cuda and _refuse(tensor):
        return keep(tensor)
    # the same strides where the tensor is dense, else contiguous ones
    stride = torch.empty_like(tensor, device="meta").stride()
    flat = tensor.detach() if stride == tensor.stride() else torch.empty_like(tensor).copy_(tensor)
    if tensor.is_cuda and gpu.installed():
        bits = _pack_gpu(flat)
    else:
        bits = _pack_cpu(flat) if tensor.device.type == "cpu" and build.compiler() else _pack_torch(flat)
    return keep(tensor) if bits is None else Packed(bits, tensor.shape, stride, tensor.dtype)


def _refuse(tensor: Tensor) -> bool:
    """Whether a tensor has other values than 0 and 1, as far as it must be looked at to tell."""
    context = _packing.get() or _Pass(_passes)
    context.seen += 1
    if noted(tensor):
        return False
    place = (context.seen, tensor.shape, tensor.dtype)
    if context.number - _refused.get(place, -MEMORY) < MEMORY:
        return True
    detached = tensor.detach()
    if bool((((detached != 0) & (detached != 1)) | torch.signbit(detached)).any()):
        _refused[place] = context.number
        return True
    return False


def _readable(tensor: Tensor) -> bool:
    """Whether the tensor is numbers in memory that lie there as they are, and enough of them."""
    plain = tensor.layout == torch.strided and not (tensor.is_nested or tensor.is_meta or tensor.is_neg())
    return plain and not intercepted(tensor) and tensor.numel() >= SMALLEST


def unpack(saved: Tensor | Kept | Packed) -> Tensor:
    """What `pack` was given."""
    if not isinstance(saved, Packed):
        return kept(saved)
    if saved.bits.device.type == "cpu" and build.compiler():
        out = pool.empty(saved.shape, saved.stride, saved.dtype)
        _call("unpack", out, saved.bits.data_ptr(), out.data_ptr())
        return out
    out = torch.empty_strided(saved.shape, saved.stride, dtype=saved.dtype, device=saved.bits.device)
    if out.is_cuda and gpu.installed():
        from rheobase.fuse import pack_gpu

        pack_gpu.unpack(saved.bits, out)
        return out
    places = torch.arange(8, device=out.device, dtype=torch.uint8)
    bits = (saved.bits[:, None] >> places) & 1
    flat = out.as_strided((out.numel(),), (1,))
    flat.copy_(bits.flatten()[: out.numel()])
    return out


def _pack_cpu(flat: Tensor) -> Tensor | None:
    bits = torch.empty((flat.numel() + 7) // 8, dtype=torch.uint8)
    return bits if _call("pack", flat, flat.data_ptr(), bits.data_ptr()) else None


def _pack_gpu(flat: Tensor) -> Tensor:
    from rheobase.fuse import pack_gpu

    return pack_gpu.pack(flat)


def _pack_torch(dense: Tensor) -> Tensor | None:
    flat = dense.as_strided((dense.numel(),), (1,)).view(WORDS[dense.element_size()])
    fired = flat == ONE[dense.dtype]
    if not bool((fired | (flat == 0)).all()):
        return None
    padded = torch.nn.functional.pad(fired.to(torch.uint8), (0, -flat.numel() % 8)).view(-1, 8)
    return (padded << torch.arange(8, device=flat.device, dtype=torch.uint8)).sum(1, dtype=torch.uint8)


def _call(name: str, tensor: Tensor, source: int, target: int) -> int:
    size = tensor.element_size()
    threads = torch.get_num_threads() if tensor.numel() >= 1 << 16 else 1
    return _function(f"{name}_uint{8 * size}_t", size)(source, target, tensor.numel(), ONE[tensor.dtype], threads)


@functools.cache
def _function(name: str, size: int):
    function = getattr(build.library(SOURCE, "pack"), name)
    one = {2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}[size]
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, one, ctypes.c_int]
    return function
