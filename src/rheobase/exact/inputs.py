"""What `simulate` accepts: every mistake is named before anything runs."""

from __future__ import annotations

import dataclasses
import math

import torch

from rheobase.exact.neuron import Neuron, whole


@dataclasses.dataclass(frozen=True)
class Problem:
    """A checked problem: batched, sorted, with w_net's diagonal taken out; padding sorts last (inf, -1)."""

    neuron: Neuron
    w_in: torch.Tensor  # [N, inputs]
    w_net: torch.Tensor | None  # [N, N]
    times: torch.Tensor  # [B, K], arrival times, sorted
    ids: torch.Tensor  # [B, K]
    x0: torch.Tensor  # [B, rows, N]
    delays_net: torch.Tensor | None  # [N]
    T: float
    max_events: int
    batched: bool


DEFAULT_MAX_EVENTS = 10_000_000


def _fail(what: str, given: object, do: str) -> None:
    raise ValueError(f"simulate: {what}; got {given}. {do}")


def check(neuron, w_in, w_net, times, ids, T, x0, delays, max_events) -> Problem:
    """Refuse what cannot be simulated, and bring the rest into one form. Errors: ValueError, one sentence each."""
    if not isinstance(neuron, Neuron):
        _fail("neuron must be one of rheobase.exact's", type(neuron).__name__, "Build one, for example QIF(tau=1.0).")
    w_in = _floating("w_in", w_in, None)
    if w_in.dim() != 2:
        _fail("w_in must be [post, pre]", f"shape {list(w_in.shape)}", "Pass one row per neuron, one column per input.")
    N, inputs = w_in.shape
    if N == 0:
        _fail("w_in must have at least one row", f"shape {list(w_in.shape)}", "Pass one row per neuron.")
    w_net = _network(w_net, w_in)
    T = _end(T)
    if max_events is not None and not whole(max_events):
        _fail("max_events must be a whole number above 0", repr(max_events), "Leave it None for the default guard.")
    times, ids, batched = _spikes(times, ids, w_in, inputs)
    x0, wide = _state(neuron, x0, w_in, times.shape[0] if batched else None)
    if wide and not batched:
        times, ids, batched = times.expand(x0.shape[0], -1), ids.expand(x0.shape[0], -1), True
    times, ids, delays_net = _delayed(times, ids, delays, w_in)
    if bool((times[:, 1:] < times[:, :-1]).any()):
        order = torch.sort(times.detach(), dim=1, stable=True).indices
        times, ids = times.gather(1, order), ids.gather(1, order)
    return Problem(
        neuron,
        w_in,
        w_net,
        times,
        ids,
        x0,
        delays_net,
        T,
        int(max_events or DEFAULT_MAX_EVENTS),
        batched,
    )


def _floating(name: str, value, like: torch.Tensor | None) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        try:
            value = torch.as_tensor(value, device=None if like is None else like.device)
        except (TypeError, ValueError, RuntimeError):
            _fail(f"{name} must be a tensor", type(value).__name__, "Pass a tensor, or numbers that make one.")
    if like is None and value.device.type not in ("cpu", "cuda"):
        _fail(f"{name} must be on the CPU or a CUDA GPU", value.device, "Move all tensors with .cpu() or .cuda().")
    if like is not None and value.device != like.device:
        _fail(f"{name} must be where w_in is, on {like.device}", value.device, f"Move {name} with .to(w_in.device).")
    if value.dtype not in (torch.float32, torch.float64):
        _fail(f"{name} must be float32 or float64", value.dtype, f"Convert {name} with .float() or .double().")
    if like is not None and value.dtype != like.dtype:
        _fail(f"{name} must have the dtype of w_in, {like.dtype}", value.dtype, f"Convert {name} with .to(w_in.dtype).")
    if math.isfinite(value.detach().sum().item()):  # 10 times faster than to look at each
        return value
    if bool(value.isnan().any()):
        _fail(f"{name} must not hold NaN", f"{int(value.isnan().sum())} of them", "Look for their origin upstream.")
    if name != "times" and bool(value.isinf().any()):
        _fail(f"{name} must be finite", f"{int(value.isinf().sum())} infinities", "Look for their origin upstream.")
    return value


def _network(w_net, w_in: torch.Tensor) -> torch.Tensor | None:
    if w_net is None:
        return None
    w_net, N = _floating("w_net", w_net, w_in), w_in.shape[0]
    if list(w_net.shape) != [N, N]:
        _fail(f"w_net must be [{N}, {N}], post by pre", f"shape {list(w_net.shape)}", "w_in's rows count the neurons.")
    return w_net * (1 - torch.eye(N, dtype=w_net.dtype, device=w_net.device))


def _end(T) -> float:
    try:
        T = math.nan if isinstance(T, bool) else float(T)
    except (TypeError, ValueError, RuntimeError):
        _fail("T must be one number", repr(T), "Pass the duration of the trial.")
    if not (math.isfinite(T) and T > 0):
        _fail("T must be finite and above 0", T, "Pass the duration of the trial.")
    return T


def _spikes(times, ids, w_in: torch.Tensor, inputs: int) -> tuple[torch.Tensor, torch.Tensor, bool]:
    times, ids = _floating("times", times, w_in), _integers(ids, w_in.device)
    if times.dim() not in (1, 2):
        _fail("times must be [K] or [B, K]", f"shape {list(times.shape)}", "Pad ragged batches with inf, ids with -1.")
    if times.shape != ids.shape:
        _fail("times and ids must have one shape", f"{list(times.shape)} and {list(ids.shape)}", "One id per time.")
    ids, batched = ids.long(), times.dim() == 2
    padded = ids == -1
    if bool((times < 0).any()):
        _fail("times must not be negative", f"down to {times.min().item()}", "The trial starts at 0: shift the times.")
    if bool((padded != times.isinf()).any()):
        _fail("padding needs both the time inf and the id -1", "one without the other", "Set both, or neither.")
    if bool(((ids < -1) | (ids >= inputs)).any()):
        _fail(
            f"ids must lie in 0..{inputs - 1}, or be -1 for padding",
            f"{ids.min().item()} to {ids.max().item()}",
            "w_in has one column per input.",
        )
    return (times, ids, True) if batched else (times[None], ids[None], False)


def _integers(ids, device: torch.device) -> torch.Tensor:
    if not isinstance(ids, torch.Tensor):
        try:
            ids = torch.as_tensor(ids, device=device)
        except (TypeError, ValueError, RuntimeError):
            _fail("ids must be integers", type(ids).__name__, "Pass one id per time.")
    if ids.device != device:
        _fail(f"ids must be where w_in is, on {device}", ids.device, "Move ids with .to(w_in.device).")
    if ids.numel() and ids.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        _fail("ids must be integers", ids.dtype, "Convert ids with .long().")
    return ids


def _state(neuron: Neuron, x0, w_in: torch.Tensor, batch: int | None) -> tuple[torch.Tensor, bool]:
    """(x0 as [B, rows, N], whether x0 came with a batch)."""
    rows, N = len(neuron.rows), w_in.shape[0]
    if x0 is None:
        x0 = w_in.new_zeros(rows, N)
    x0 = _floating("x0", x0, w_in)
    wanted = f"[{rows}, {N}] or [B, {rows}, {N}] (rows {', '.join(neuron.rows)})"
    if x0.dim() not in (2, 3) or list(x0.shape[-2:]) != [rows, N]:
        _fail(f"x0 must be {wanted}", f"shape {list(x0.shape)}", "One column per neuron.")
    if x0.dim() == 3 and batch is not None and x0.shape[0] != batch:
        _fail(f"x0 and times must agree on the batch, {batch}", x0.shape[0], "One state per sample, or one for all.")
    if (why := neuron.refuse(x0)) is not None:
        raise ValueError(f"simulate: {type(neuron).__name__}: {why}")
    return (x0, True) if x0.dim() == 3 else (x0.expand(1 if batch is None else batch, rows, N), False)


def _delayed(times, ids, delays, w_in: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Input times moved by the delays of their inputs, and the delays of the neurons."""
    if delays is None:
        return times, ids, None
    if not isinstance(delays, tuple | list) or len(delays) != 2:
        _fail("delays must be a pair (of the inputs, of the neurons)", type(delays).__name__, "Either may be None.")
    checked = []
    for name, value, size in zip(("inputs", "neurons"), delays, w_in.shape[::-1], strict=True):
        if value is not None:
            value = _floating(f"delays of the {name}", value, w_in)
            if list(value.shape) != [size]:
                _fail(f"delays of the {name} must be [{size}]", f"shape {list(value.shape)}", "One delay per sender.")
            if bool((value < 0).any()):
                _fail(f"delays of the {name} must not be negative", value.min().item(), "Clamp them at 0.")
        checked.append(value)
    if checked[0] is not None:
        times = times + torch.where(ids >= 0, checked[0][ids.clamp(min=0)], 0.0)
    return times, ids, checked[1]
