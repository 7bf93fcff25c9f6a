"""Large outputs use the memory of earlier ones again, and are ordinary tensors in every other way."""

import gc
import multiprocessing
import threading

import pytest
import torch

import rheobase as rb
from rheobase.fuse import build, pool

pytestmark = pytest.mark.skipif(not (pool.POSSIBLE and build.compiler()), reason="no compiler, or no such memory")

LARGE = (4, 3, 1 << 18)  # 12 MiB


@pytest.fixture(autouse=True)
def nothing_left():
    rb.empty_cache()
    yield
    rb.empty_cache()


def current(shape=LARGE, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 0.5


def test_memory_is_used_again_only_after_the_last_tensor_on_it_is_gone():
    x, neuron = current(), rb.LIF()
    first = neuron(x)
    place, part = first.data_ptr(), first[1:, 0]
    wanted = part.clone()
    del first
    assert neuron(x).data_ptr() != place  # `part` still looks at it
    assert torch.equal(part, wanted)
    del part
    assert place in {neuron(x).data_ptr() for _ in range(2)}


def test_what_autograd_saves_is_not_written_over():
    x, weight = current().requires_grad_(), torch.full((3, 1), 0.5, requires_grad=True)
    loss = (rb.LIF()(x) * weight).sum()  # saves the spikes
    for seed in (1, 2, 3):
        rb.LIF()(current(seed=seed))
    loss.backward()
    with rb.backend("eager"):
        wanted = rb.LIF()(x.detach()).sum((0, 2)).unsqueeze(1)
    torch.testing.assert_close(weight.grad, wanted)


@pytest.mark.parametrize("layout", ["contiguous", "channels last"])
def test_outputs_are_ordinary_tensors(layout):
    x = current((2, 4, 16, 128, 128))
    if layout == "channels last":
        x = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).view(x.shape)
    x.requires_grad_()
    spikes, state = rb.LIF().scan(x)
    assert spikes.stride() == x.stride() and not spikes._is_view() and spikes.storage_offset() == 0
    spikes.sum().backward()
    assert x.grad.stride() == x.stride()
    kept = spikes.detach()
    assert kept.untyped_storage().nbytes() == 4 * kept.numel()
    assert torch.equal(kept.clone().mul_(2), kept.mul_(2))
    kept.share_memory_()
    assert kept.is_shared() and torch.equal(kept, 2 * rb.LIF()(x.detach()))
    del spikes, state


def test_empty_cache_gives_memory_back():
    rb.LIF()(current())
    assert pool._returned
    rb.empty_cache()
    assert not pool._free and not pool._returned


def test_idle_memory_goes_at_the_next_call(monkeypatch):
    rb.LIF()(current())
    monkeypatch.setattr(pool, "IDLE", -1.0)
    kept = rb.LIF()(current((4, 5, 1 << 18)))
    assert not pool._free
    assert kept.shape[1] == 5


def test_free_memory_has_a_limit_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(pool, "_limit", lambda: 30 << 20)
    kept = [pool.dense((n << 20,), torch.uint8) for n in (8, 10, 16)]
    while kept:
        del kept[0]
    pool.dense((1 << 23,), torch.uint8)
    assert sorted(pool._free) == [10 << 20, 16 << 20]


def test_threads_do_not_share_a_block():
    wrong = []

    def work(seed):
        x = current(seed=seed)
        with rb.backend("eager"):
            wanted = rb.LIF()(x)
        wrong.extend(seed for _ in range(20) if not torch.equal(rb.LIF()(x), wanted))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def child(queue):
    queue.put(float(rb.LIF()(current(seed=1)).sum()))


def test_a_forked_process_writes_into_its_own_memory():
    before = rb.LIF()(current())
    wanted, after = before.clone(), float(rb.LIF()(current(seed=1)).sum())
    rb.LIF()(current(seed=2))
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # OpenMP's threads do not survive a fork
    try:
        process.start()
        assert queue.get(timeout=60) == after
        process.join()
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(before, wanted)


def test_without_memory_torch_says_so(monkeypatch):
    def full(size):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(pool, "_Block", full)
    assert torch.equal(rb.LIF()(current()), rb.LIF()(current()))
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        pool.dense((1 << 60,), torch.float32)


def test_small_ones_and_filled_ones_are_torchs():
    pool.dense((1 << 10,), torch.float32)
    torch.use_deterministic_algorithms(True)
    try:
        assert pool.dense((1 << 22,), torch.float32).isnan().all()
    finally:
        torch.use_deterministic_algorithms(False)
    gc.collect()
    assert not pool._free and not pool._returned
