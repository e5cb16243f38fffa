"""Locks on disk."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from birdcore.errors import RunError
from birdcore.locks import exclusive_lock, is_locked

ROOT = Path(__file__).resolve().parents[1]

HOLD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from birdcore.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), timeout_seconds=1.0, refusal="held"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_one_at_a_time_holds_it(tmp_path):
    path = tmp_path / ".lock"
    assert not is_locked(path)
    with exclusive_lock(path, timeout_seconds=1.0, refusal="held"):
        assert is_locked(path)
        with pytest.raises(RunError, match="taken"), exclusive_lock(path, timeout_seconds=0.1, refusal="taken"):
            pass
    assert not is_locked(path)


def test_it_takes_no_room_on_the_disk(tmp_path):
    path = tmp_path / ".lock"
    with exclusive_lock(path, timeout_seconds=1.0, refusal="held"):
        assert list(tmp_path.iterdir()) == [path]
        assert path.stat().st_size == 0


def test_its_holder_s_death_sets_it_free_and_leaves_nothing(tmp_path):
    path = tmp_path / ".lock"
    holder = subprocess.run([sys.executable, "-c", HOLD_AND_DIE, str(path)], cwd=ROOT, check=False)
    assert holder.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == [path]
    assert not is_locked(path)
