"""The locks of a sweep's journal and of a run's folder: one holder at a time, and none after a kill."""

import os
import signal
import subprocess
import sys

import pytest
from tiny import config

from rheobase.training import train
from rheobase.training.lock import Lock, alone

HOLD = """
import sys, time
from pathlib import Path
from rheobase.training.lock import Lock

lock = Lock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(600)
"""
TRY = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'a'), fcntl.LOCK_EX | fcntl.LOCK_NB)"


def test_a_killed_holder_leaves_no_lock(tmp_path):
    path = tmp_path / "journal.flock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        refused = subprocess.run([sys.executable, "-c", TRY, str(path)], capture_output=True, text=True)
        assert "BlockingIOError" in refused.stderr
        holder.kill()
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    assert subprocess.run([sys.executable, "-c", TRY, str(path)]).returncode == 0


ALONE = """
import os, sys, time
from pathlib import Path
from rheobase.training.lock import alone

with alone(Path(sys.argv[1])) as free:
    worker = os.fork()
    if worker:
        print(worker, int(free), sep="\\n", flush=True)
    time.sleep(60)
"""


def is_free(folder) -> bool:
    with alone(folder) as free:
        return free


def test_one_process_is_alone_in_a_folder_until_it_dies_whatever_its_children_do(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", ALONE, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        worker, free = (int(holder.stdout.readline()) for _ in range(2))  # type: ignore[union-attr]
        assert free == 1 and not is_free(tmp_path)
        holder.kill()
        holder.wait()
        os.kill(worker, 0)
        assert is_free(tmp_path) and is_free(tmp_path)
        os.kill(worker, signal.SIGKILL)
    finally:
        holder.kill()
        holder.communicate()
    assert not list(tmp_path.iterdir())


def test_a_run_is_trained_by_one_process(tmp_path):
    folder = tmp_path / "run"
    small = config().but(epochs=1)

    def another(row):
        for resume in (False, True):
            with pytest.raises(ValueError, match="another process is training there"):
                train(small, folder, resume=resume)

    train(small, folder, after_epoch=another)
    assert train(small, folder, resume=True)["test"]
    new = tmp_path / "new"
    new.mkdir()
    with alone(new), pytest.raises(ValueError, match="another process is training there"):
        train(small, new)
    assert not list(new.iterdir())
