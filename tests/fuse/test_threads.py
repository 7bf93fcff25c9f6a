"""Blocks are shared out among threads: whoever computes one, the numbers are the same."""

import multiprocessing

import pytest
import torch

import rheobase as rb
from rheobase.fuse import build, launch, pool, trace


def passes(neuron: rb.Neuron, x: torch.Tensor, threads: int) -> list[torch.Tensor]:
    """Spikes and the gradients of x and of all parameters, into memory that held something else."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = []
        for given in (1 - x, x):  # the first leaves other numbers in the memory that the second gets
            leaf = given.clone().requires_grad_()
            neuron.zero_grad()
            spikes = neuron(leaf)
            spikes.backward(torch.cos(torch.arange(spikes.numel(), dtype=spikes.dtype)).view_as(spikes))
            found = [spikes.detach(), leaf.grad, *(p.grad.clone() for p in neuron.parameters())]
            assert rb.last_backend() == "cpu"
    finally:
        torch.set_num_threads(before)
    return found


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_any_number_of_threads_gives_the_same_bits(steps):
    torch.manual_seed(steps)
    x = torch.rand(steps, launch.PARALLEL_FROM // steps + 77) * 2 - 0.5
    for make in (rb.DALIF, lambda: rb.ProbLIF(seed=3)):
        one = passes(make(), x, 1)
        assert 0 < one[0].mean() < 1
        for threads in (2, 3, 7, 64):
            for alone, shared in zip(one, passes(make(), x, threads), strict=True):
                assert torch.equal(alone, shared), threads


def test_more_threads_than_blocks():
    x = torch.rand(launch.PARALLEL_FROM // 100 + 1, 100)
    one, many = (passes(rb.PLIF(), x, threads) for threads in (1, 5))
    assert all(torch.equal(alone, shared) for alone, shared in zip(one, many, strict=True))


class Leaky(rb.LIF):
    """Made by the test below only, so that it is traced there."""


def leaky_spikes(queue) -> None:
    build._loaded.clear()
    queue.put(Leaky()(torch.ones(8, 1 << 18)).shape)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch refuses autograd in forks of a process that used a GPU")
def test_a_process_forked_while_another_thread_traces_and_compiles():
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=leaky_spikes, args=(queue,))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    try:
        with trace._lock, build._lock, pool._lock:
            process.start()
        assert queue.get(timeout=60) == (8, 1 << 18)
    finally:
        process.kill()
        torch.set_num_threads(threads)
