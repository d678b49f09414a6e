"""A lock has one holder at a time, and none that is dead."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tl_keras.utils import locks
from tl_keras.utils.locks import FileLock, is_locked


@pytest.fixture(params=["system", "creation"], autouse=True)
def way(request, monkeypatch):
    """Both ways of locking."""
    if request.param == "creation":
        monkeypatch.setattr(locks, "fcntl", None)
    elif locks.fcntl is None:
        pytest.skip("this system has no flock")
    return request.param


def test_one_holder_at_a_time(tmp_path):
    first, second = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    assert first.acquire() and first.acquire() and first.is_held
    assert not second.acquire() and not second.is_held
    assert is_locked(tmp_path / "a.lock")
    first.release()
    assert not list(tmp_path.iterdir())
    assert second.acquire() and not first.acquire()


def test_files_lock_by_themselves(tmp_path):
    first, second = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "b.lock")
    assert first.acquire() and second.acquire()


def test_nobody_holds_a_file_that_is_not_there(tmp_path):
    assert not is_locked(tmp_path / "a.lock")
    FileLock(tmp_path / "a.lock").release()
    assert not list(tmp_path.iterdir())


def test_a_lock_that_is_forgotten_is_given_back(tmp_path):
    lock = FileLock(tmp_path / "a.lock")
    assert lock.acquire()
    del lock
    assert FileLock(tmp_path / "a.lock").acquire()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_that_ends_does_not_give_the_lock_back(tmp_path):
    lock = FileLock(tmp_path / "a.lock")
    assert lock.acquire()
    child = os.fork()
    if not child:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert not FileLock(tmp_path / "a.lock").acquire()


def test_another_process_holds_its_lock_until_it_dies(tmp_path, way):
    path = tmp_path / "a.lock"
    code = (
        "import time\n"
        "from tl_keras.utils import locks\n"
        f"locks.fcntl = locks.fcntl if {way == 'system'} else None\n"
        f"lock = locks.FileLock({str(path)!r})\n"
        "print(lock.acquire(), flush=True)\n"
        "time.sleep(600)"
    )
    other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        assert is_locked(path) and not FileLock(path).acquire()
    finally:
        other.kill()
        other.wait()
    assert path.exists()
    if way == "creation":
        assert is_locked(path)
        old = time.time() - 2 * locks.STALE_SECONDS
        os.utime(path, (old, old))
    assert FileLock(path).acquire()


def test_a_refreshed_lock_is_not_stale(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "REFRESH_SECONDS", -1.0)
    path = tmp_path / "a.lock"
    lock = FileLock(path)
    assert lock.acquire()
    old = time.time() - 2 * locks.STALE_SECONDS
    os.utime(path, (old, old))
    lock.refresh()
    assert not FileLock(path).acquire()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_that_outlives_its_parent_does_not_keep_the_lock(tmp_path, way):
    if way == "creation":
        pytest.skip("there the file is the lock, which counts until it is stale")
    path = tmp_path / "a.lock"
    code = (
        "import os, time\n"
        "from tl_keras.utils.locks import FileLock\n"
        f"lock = FileLock({str(path)!r})\n"
        "assert lock.acquire()\n"
        "if not os.fork(): print(os.getpid(), flush=True)\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        assert not FileLock(path).acquire()
        parent.kill()
        parent.wait()
        assert FileLock(path).acquire()
    finally:
        os.kill(child, signal.SIGKILL)
        parent.kill()


def test_the_holder_leaves_a_note(tmp_path):
    first, second = FileLock(tmp_path / "a.lock"), FileLock(tmp_path / "a.lock")
    (tmp_path / "a.lock").write_text("a longer note, which a process that was killed left")
    os.utime(tmp_path / "a.lock", (0, 0))
    assert first.acquire("mine") and not second.acquire("yours")
    assert second.note() == "mine"
    first.release()
    assert second.note() == ""


def test_a_link_is_not_followed(tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    link = tmp_path / "run.lock"
    link.symlink_to(precious)
    assert not is_locked(link) and link.is_symlink()
    lock = FileLock(link)
    if locks.fcntl is None:  # There, what has the name belongs to another process.
        assert not lock.acquire("mine")
    else:
        with pytest.raises(OSError, match=r"run\.lock is a link"):
            lock.acquire("mine")
    assert precious.read_text() == "years of work"


def test_a_pipe_is_no_lock_and_does_not_block(tmp_path, no_waiting):
    path = tmp_path / "run.lock"
    os.mkfifo(path)
    assert not is_locked(path) and path.exists()
    assert FileLock(path).note() == ""
    if locks.fcntl is not None:
        with pytest.raises(OSError, match=r"run\.lock is no file"):
            FileLock(path).acquire("mine")
