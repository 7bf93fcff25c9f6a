"""jaxpike in processes of its own: JAX sizes its thread pool when it starts, and its arrays are not torch's."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import numpy

from benchmarks import measure
from benchmarks.work import AGREED_COLUMNS, Work

_ways: dict[str, tuple] = {}  # in the child: what `prepare` built


class Remote:
    """A subject that lives in other processes, one per thread count; they time themselves."""

    def __init__(self, name: str, calls: dict[int, Callable], key: str):
        self.name, self.calls, self.key = name, calls, key
        self.threads = tuple(calls)
        self.notes: dict = {}

    def seconds(self, threads: int, repeats: int = 1) -> float:
        return self.calls[threads](_seconds, self.key, repeats)

    def peak(self) -> int | None:
        return self.calls[self.threads[-1]](_peak, self.key)


@contextlib.contextmanager
def processes(threads: tuple[int, ...], malloc: str) -> Iterator[dict[int, Callable]]:
    """One process per thread count, pinned to that many processors."""
    with contextlib.ExitStack() as stack:
        yield {n: stack.enter_context(measure.process(malloc, cpus=n, JAX_PLATFORMS="cpu")) for n in threads}


def feedforward(calls: dict[int, Callable], work: Work) -> Remote:
    """jaxpike's LIF on the work's input."""
    for call in calls.values():
        call(_prepare_feedforward, work)
    return Remote("jaxpike", calls, "way")


def passes(calls: dict[int, Callable]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Spikes and the gradient of the first input, of what is compared."""
    return next(iter(calls.values()))(_passes)


def exact_half(lif):
    """The neuron with its log_tau moved to where float32 gives exp(−1/τ) = ½ exactly, so that spikes can be equal."""
    import equinox
    import jax.numpy as jnp

    near = numpy.float32(numpy.log(1 / numpy.log(2)))
    for step in range(-64, 65):
        candidate = near + numpy.float32(step) * numpy.spacing(near)
        moved = equinox.tree_at(lambda n: n.log_tau, lif, jnp.asarray(candidate, dtype=jnp.float32))
        if float(moved.alpha) == 0.5:
            return moved
    return lif


def neuron(surrogate: str, reset: str = "subtract"):
    """jaxpike's LIF with decay ½ and the surrogate of that name (a key of ours.SURROGATES)."""
    import jaxpike

    kinds = {
        "atan": lambda: jaxpike.ATan(2.0),
        "rectangle": lambda: jaxpike.Boxcar(1.0),
        "fast_sigmoid": lambda: jaxpike.FastSigmoid(1.0),
    }
    return exact_half(jaxpike.LIF(tau=1 / numpy.log(2), reset=reset, surrogate=kinds[surrogate]()))


def directions(forward: Callable) -> dict[str, Callable]:
    """`forward(*inputs) -> spikes` jitted: alone, and together with the gradients of all inputs."""
    import jax

    def both(gradient, *inputs):
        spikes, back = jax.vjp(forward, *inputs)
        return spikes, back(gradient)

    return {"forward": jax.jit(lambda gradient, *inputs: forward(*inputs)), "both": jax.jit(both)}


def _prepare_feedforward(work: Work) -> None:
    import jax.numpy as jnp
    import jaxpike

    lif = neuron(str(work.surrogate))
    ways = directions(lambda x: jaxpike.unroll(lif, x)[0])
    arrays = [jnp.asarray(a.numpy()) for a in (work.gradient(), work.input())]
    few = [a[:, :AGREED_COLUMNS] for a in arrays]
    _ways["way"] = (ways[work.direction], arrays)
    _ways["few"] = (ways["both"], few)


def keep(key: str, way: Callable, arrays: list) -> None:
    """In the child: store a jitted function and its inputs for timing."""
    _ways[key] = (way, arrays)


def _seconds(key: str, repeats: int) -> float:
    import jax

    way, arrays = _ways[key]
    start = time.perf_counter()
    for _ in range(repeats):
        jax.block_until_ready(way(*arrays))
    return (time.perf_counter() - start) / repeats


def _peak(key: str) -> int | None:
    return measure.peak_of(lambda: _seconds(key, 1))


def _passes() -> tuple[numpy.ndarray, numpy.ndarray]:
    way, arrays = _ways["few"]
    spikes, slopes = way(*arrays)
    return numpy.asarray(spikes), numpy.asarray(slopes[0])
