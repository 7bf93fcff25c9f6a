"""The lock of a sweep's journal: one holder at a time, and none after a kill."""

import subprocess
import sys

from rheobase.training.lock import Lock

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
