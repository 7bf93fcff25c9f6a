"""Work done ahead: batches are prepared while the device computes, and come out in order."""

import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch

T = TypeVar("T")
DEPTH = 3  # batches a thread keeps ready


@dataclass(frozen=True)
class _Failed:
    """What a worker hands over where `prepare` raises: torch would put its traceback into the error's message."""

    error: Exception


class _Jobs(torch.utils.data.Dataset):
    """A DataLoader's view of `prepare`: item n is the batch of that number."""

    def __init__(self, prepare: Callable[[int], Any]):
        self.prepare = prepare

    def __getitem__(self, number: int) -> Any:
        try:
            return self.prepare(number)
        except (ValueError, TypeError, OSError, ModuleNotFoundError) as error:  # mistakes, not defects
            error.add_note(f"In a worker process:\n{traceback.format_exc()}")
            return _Failed(error)


def ahead(prepare: Callable[[int], T], numbers: Sequence[int], workers: int, processes: bool) -> Iterator[T]:
    """Yield prepare(n) for each n in order, computed by the caller (workers 0), a thread, or `workers` processes."""
    if workers < 0:
        raise ValueError(f"workers must be 0 or more; got {workers}.")
    if workers == 0:
        return map(prepare, numbers)
    return _in_processes(prepare, numbers, workers) if processes else _in_thread(prepare, numbers)


def _in_processes(prepare: Callable[[int], T], numbers: Sequence[int], workers: int) -> Iterator[T]:
    """Forked workers share the samples' memory; an error in a worker, and its death, is one in the caller.

    The loader seeds its workers, who draw nothing: from a generator of its own, because torch's global one belongs to
    the noise of the network, which depends on neither the workers nor a resume.
    """
    loader = torch.utils.data.DataLoader(
        _Jobs(prepare),
        batch_size=None,
        sampler=numbers,
        num_workers=workers,
        multiprocessing_context="fork" if "fork" in torch.multiprocessing.get_all_start_methods() else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),
    )
    for found in loader:
        if isinstance(found, _Failed):
            raise found.error
        yield found


def _in_thread(prepare: Callable[[int], T], numbers: Sequence[int]) -> Iterator[T]:
    """One thread, because torch's own threads already share the work of a tensor operation."""
    waiting = iter(numbers)
    with ThreadPoolExecutor(1, "rheobase-batches") as pool:
        queue = [pool.submit(prepare, number) for number in islice(waiting, DEPTH)]
        try:
            while queue:
                ready = queue.pop(0).result()
                queue.extend(pool.submit(prepare, number) for number in islice(waiting, 1))
                yield ready
        finally:
            for job in queue:
                job.cancel()
