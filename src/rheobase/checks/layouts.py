"""The fused kernel on awkward memory, many threads and long sequences, against the same call on plain memory."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch
from torch import Tensor

from rheobase import show
from rheobase.checks.agreement import agree, assert_close, compare
from rheobase.checks.contract import drawn
from rheobase.checks.subject import (
    CHANNELS,
    Subject,
    eighths,
    equal,
    firing,
    normal,
    outcome,
    quarters,
    require,
    start,
)
from rheobase.fuse import cpu, launch, operator


def views(x: Tensor) -> dict[str, Tensor]:
    """Tensors equal to x [T, B, C, W] (expanded: to their own copy) that lie differently in memory."""
    wide = x.new_full((*x.shape[:3], x.shape[3] + 5), 7.0)
    wide[..., : x.shape[3]] = x
    double = x.new_full((2 * x.shape[0], *x.shape[1:]), 7.0)
    double[::2] = x
    last = x.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    return {
        "batch first": x.transpose(0, 1).contiguous().transpose(0, 1),
        "batch sliced": torch.cat([x, x], 1)[:, : x.shape[1]],
        "rows sliced": wide[..., : x.shape[3]],
        "every second step": double[::2],
        "channels last": last,
        "channels last, sliced": torch.cat([last, last], 1)[:, : x.shape[1]],
        "transposed": x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
        "expanded in time": x[:1].expand_as(x),
        "expanded in batch": x[:, :1].expand_as(x),
        "reversed storage": x.flip(0).contiguous().flip(0),
        "offset": torch.cat([x.new_zeros(3), x.flatten()])[3:].view(x.shape),
    }


IN_PLACE = ("batch sliced", "every second step", "channels last", "expanded in time", "offset")


def strided(subject: Subject) -> None:
    """Results on every layout are those on plain memory, gradients included; known layouts run without a copy."""
    per = next(({name: CHANNELS} for name in ("channels", "features") if name in subject.signature), {})
    for options in [{}, per] if per else [{}]:
        neuron = subject.neuron(10, **options)
        x = firing(neuron, (10, 4, CHANNELS, 30))
        for name, view in views(x).items():
            plain = view.clone(memory_format=torch.contiguous_format)
            for given in [drawn(subject, x).get("uniform"), None] if subject.random else [None]:
                wanted = outcome(neuron, plain, "cpu", start(neuron, x), given)
                found = outcome(neuron, view, "cpu", start(neuron, x), given)
                copied = operator.last_backend().copied  # type: ignore[union-attr]
                for what, value in wanted.items():
                    summed = what.startswith("gradient to ") and value.shape != x.shape and "first" not in what
                    title = f"{subject.name} {options}, {name}, {what}"
                    assert_close(title, found[what], value, x.dtype, exact=not summed)
                if name in IN_PLACE:
                    require(not copied, f"{subject.name}: {name} inputs were copied")


@contextlib.contextmanager
def poisoned() -> Iterator[None]:
    """Inside, memory that torch hands out uninitialised is full of NaN."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        require(torch.empty(3).isnan().all(), "memory could not be poisoned")
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]  # type: ignore[attr-defined]


def every_element(subject: Subject) -> None:
    """Every element of every output is written: run on memory full of NaN, odd sizes, all layouts."""
    neuron = subject.neuron(9)
    for shape in [(1, 1), (9, 1, 517), (9, 3, CHANNELS, 43), (9, 130, 1)]:
        x = firing(neuron, shape)
        for view in views(x).values() if x.dim() == 4 else [x]:
            wanted = outcome(neuron, view, "cpu", start(neuron, x), drawn(subject, x).get("uniform"))
            with poisoned():
                found = outcome(neuron, view, "cpu", start(neuron, x), drawn(subject, x).get("uniform"))
            for what, value in found.items():
                new = value.isnan() & ~wanted[what].isnan()
                require(not new.any(), f"{subject.name}, x {shape}: {what} has elements that nothing wrote")
                require(equal(value, wanted[what]), f"{subject.name}, x {shape}: {what} depends on old memory")


def long(subject: Subject) -> None:
    """T around the length at which the backward pass starts from checkpoints: eager's spikes, states, gradients."""
    neuron = subject.dyadic(9)
    chunk = cpu.Code(neuron.program(), show.default_variant(neuron)).chunk
    for steps in (chunk - 1, chunk, chunk + 1, 2 * chunk + 3):
        neuron = subject.dyadic(steps)
        x = quarters((steps, 2, CHANNELS))
        uniform = eighths(tuple(x.shape)) if subject.random else None
        compare(neuron, x, start(neuron, x), uniform, f"{subject.name}, T={steps}: ")


def wide(subject: Subject) -> None:
    """More neurons than one block of lanes, in several threads: eager's spikes, states, gradients."""
    neuron = subject.dyadic(5)
    x = quarters((5, 2, CHANNELS, 1500))
    uniform = eighths(tuple(x.shape)) if subject.random else None
    with threads(2):
        compare(neuron, x, start(neuron, x), uniform, f"{subject.name}, {x[0].numel()} neurons: ")


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def thread_count(subject: Subject) -> None:
    """One thread and two give the same bits, sums over neurons included."""
    per = next(({name: CHANNELS} for name in ("channels", "features") if name in subject.signature), {})
    for options in [{}, per] if per else [{}]:
        neuron = subject.neuron(8, **options)
        x = normal((8, 4, CHANNELS, launch.PARALLEL_FROM // (32 * CHANNELS) + 1))
        found = []
        for count in (1, 2):
            with threads(count):
                found.append(outcome(neuron, x, "cpu", None, drawn(subject, x).get("uniform")))
        for what, value in found[0].items():
            require(equal(value, found[1][what]), f"{subject.name} {options}: {what} depends on the threads")


def at_once(subject: Subject) -> None:
    """Two threads that call the same neuron at once get what they get alone."""
    neuron = subject.neuron(20)
    inputs = [firing(neuron, (20, 8, CHANNELS, 40), seed=seed) for seed in (0, 1)]
    given = [drawn(subject, x) for x in inputs]

    def forward(k: int) -> list[Tensor]:
        found = []
        for _ in range(20):
            x = inputs[k].clone().requires_grad_()
            with operator.backend("cpu"):
                spikes = neuron(x, **given[k])
                found += [spikes.detach(), *torch.autograd.grad(spikes.sum(), [x])]
        return found

    wanted, found = [forward(0), forward(1)], [[], []]
    workers = [threading.Thread(target=lambda k=k: found[k].extend(forward(k))) for k in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for k in (0, 1):
        same = len(found[k]) == len(wanted[k]) and all(map(equal, found[k], wanted[k]))
        require(same, f"{subject.name}: two threads at once disturb each other")


def denormals(subject: Subject) -> None:
    """After a call the processor handles denormal numbers as before, in the calling thread and in torch's."""
    neuron = subject.neuron(5)
    small = torch.full((100_000,), 1e-39)
    for count in (1, 2):
        with threads(count):
            before = bool((small * 0.5 > 0).all())
            outcome(neuron, normal((5, 4, CHANNELS, 2000)), "cpu", None, None)
            require(before == bool((small * 0.5 > 0).all()), f"{subject.name}: a call leaves denormals flushed to zero")


def twice(subject: Subject) -> None:
    """A second derivative is refused with a message, not wrong: the kernels have only a first one."""
    neuron = subject.neuron(5)
    x = firing(neuron, (5, 2, CHANNELS)).requires_grad_()
    with operator.backend("cpu"):
        (slope,) = torch.autograd.grad(neuron(x, **drawn(subject, x)).sum(), x, create_graph=True)
    require(slope.requires_grad, f"{subject.name}: a second derivative through the kernel would silently be zero")
    try:
        torch.autograd.grad(slope.sum(), x)
    except RuntimeError as error:
        require("second derivative" in str(error), f"{subject.name}: unclear: {error}")
        return
    require(False, f"{subject.name}: a second derivative through the kernel is not refused")


def recurrent(subject: Subject) -> None:
    """Neurons that feed back into each other, weights on eighths: eager's spikes, states and gradients."""
    for options in [{}, *({name: 8} for name in ("channels", "features") if name in subject.signature)]:
        neuron = subject.dyadic(12, **options)
        x = quarters((12, 5, 8))
        uniform = eighths(tuple(x.shape)) if subject.random else None
        eager, fused = (recurrent_outcome(neuron, x, uniform, backend) for backend in ("eager", "auto"))
        agree(neuron, eager, fused, x.dtype, f"{subject.name} {options}, recurrent: ")


def recurrent_outcome(neuron, x: Tensor, uniform: Tensor | None, backend: str) -> dict[str, Tensor]:
    """Spikes, final states and gradients of a recurrent call, the weight's among them."""
    generator = torch.Generator().manual_seed(6)
    weight = (torch.randint(-4, 5, (x.shape[-1],) * 2, generator=generator) / 8).requires_grad_()
    x = x.clone().requires_grad_()
    state = start(neuron, x) | {"spikes": torch.randint(0, 2, x.shape[1:], generator=generator).to(x.dtype)}
    for value in neuron.parameters():
        value.grad = None
    with operator.backend(backend):
        spikes, last = neuron.recur(x, weight, state, **({} if uniform is None else {"uniform": uniform}))
        found = {"spikes": spikes} | {f"final {k}": last[k] for k in neuron.states}
        weights = [torch.randint(-4, 5, v.shape, generator=generator) / 4 for v in found.values()]
        torch.stack([(v * w).sum() for v, w in zip(found.values(), weights, strict=True)]).sum().backward()
    found |= {"gradient to x": x.grad, "gradient to the weight": weight.grad}  # type: ignore[dict-item]
    found |= {f"gradient to {k}": v.grad for k, v in neuron.named_parameters() if v.grad is not None}
    return {k: v.detach() for k, v in found.items()}
