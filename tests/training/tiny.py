"""A run small enough for tests, and a program that trains it and kills itself on the way.

`python tiny.py FOLDER EVENT N`. EVENT is `batch` (SIGKILL after the N-th batch), `write` (SIGKILL half way through the
N-th checkpoint), `SIGINT` or `SIGTERM` (sent to itself after the N-th batch).
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rheobase.training import Config, Interrupted, checkpoint, loop, train

SPEED = {"seconds", "samples_per_second", "peak_memory"}  # what two equal runs may differ in


def config() -> Config:
    """Four epochs of digits as Poisson spikes through eight random neurons: order, noise and encoding all matter."""
    return Config(
        recipe="tiny",
        data="digits",
        encoding="poisson",
        steps=3,
        hidden=(8,),
        neuron="probplif",
        neuron_options={"tau": 5.0, "tau_std": 1.0, "sigma": 0.5},
        learn_readout_tau=True,
        epochs=4,
        batch=400,
        learning_rate=0.01,
        device="cpu",
    )


def arm(replace: Callable, event: str, number: int, strike: Callable[[], None]) -> None:
    """Let `strike` happen at the N-th occasion of `event`; `replace` is setattr or monkeypatch's."""
    seen = 0
    train_batch, fsync = loop.Run.train_batch, os.fsync

    def counted() -> bool:
        nonlocal seen
        seen += 1
        return seen == number

    def batch(run, data):
        train_batch(run, data)
        if counted():
            strike()

    def sync(file):
        if Path(os.readlink(f"/proc/self/fd/{file}")).name == checkpoint.CURRENT + ".writing" and counted():
            os.ftruncate(file, os.fstat(file).st_size // 2)
            strike()
        fsync(file)

    replace(*((os, "fsync", sync) if event == "write" else (loop.Run, "train_batch", batch)))


if __name__ == "__main__":
    folder, event, number = sys.argv[1:]
    chosen = signal.SIGKILL if event in ("batch", "write") else getattr(signal, event)
    arm(setattr, event, int(number), lambda: os.kill(os.getpid(), chosen))
    try:
        train(config(), Path(folder), checkpoint_seconds=0)
    except Interrupted as stop:
        print(stop)
        sys.exit(130)
