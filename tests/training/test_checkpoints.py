"""Checkpoint files: whole or not there, and never in the way."""

import os
import re
import signal
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from tl_keras.training.interrupts import StopAsked, StopSignals
from tl_keras.training.runs.array_files import checked_state, write_arrays
from tl_keras.training.runs.checkpoints import (
    Checkpoints,
    read_checkpoint,
    remove_checkpoints,
    write_checkpoint,
)
from tl_keras.utils.errors import InputError

ARRAYS = {
    "model/00000": np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
    "optimizer/00000": np.array(7, np.int64),
    "empty": np.zeros((0, 2), np.float32),
}


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    write_checkpoint(tmp_path / "new", ARRAYS, {"epoch": 3, "best": float("inf")})
    arrays, state = read_checkpoint(tmp_path / "new")
    assert state == {"epoch": 3, "best": float("inf")}
    assert set(arrays) == set(ARRAYS)
    for name, values in ARRAYS.items():
        assert arrays[name].dtype == values.dtype and arrays[name].shape == values.shape
        assert arrays[name].tobytes() == values.tobytes()


def test_the_newest_two_are_kept(tmp_path):
    for number in range(4):
        write_checkpoint(tmp_path, ARRAYS, {"number": number})
    assert len(list(tmp_path.iterdir())) == 2
    assert read_checkpoint(tmp_path)[1] == {"number": 3}


@pytest.mark.parametrize("damage", ["half", "byte", "empty", "state"])
def test_a_broken_checkpoint_is_passed_over_for_the_one_before(tmp_path, damage):
    for number in range(2):
        newest = write_checkpoint(tmp_path, ARRAYS, {"number": number})
    data = bytearray(newest.read_bytes())
    if damage == "half":
        newest.write_bytes(data[: len(data) // 2])
    elif damage == "empty":
        newest.write_bytes(b"")
    elif damage == "byte":
        place = data.index(ARRAYS["model/00000"].tobytes())
        data[place + 5] ^= 1
        newest.write_bytes(data)
    else:
        with zipfile.ZipFile(newest, "w") as archive:
            archive.writestr("other.json", "{}")
    assert read_checkpoint(tmp_path)[1] == {"number": 0}


def test_without_any_there_is_none(tmp_path):
    assert read_checkpoint(tmp_path / "missing") is None
    (tmp_path / ".partial-99-1.checkpoint-000001.zip").write_bytes(b"half")
    assert read_checkpoint(tmp_path) is None


def test_a_full_disk_leaves_the_last_good_one_and_says_so(tmp_path):
    script = textwrap.dedent(
        """
        import pathlib, resource, sys
        import numpy as np
        from tl_keras.utils.errors import InputError
        from tl_keras.training.runs.checkpoints import write_checkpoint
        folder = pathlib.Path(sys.argv[1])
        write_checkpoint(folder, {"a": np.ones(10)}, {"number": 0})
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        try:
            write_checkpoint(folder, {"a": np.ones(100_000)}, {"number": 1})
        except InputError as error:
            print(error)
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert "could not be written" in done.stdout
    assert "checkpoint-000001.zip, is intact" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-000001.zip"]
    assert read_checkpoint(tmp_path)[1] == {"number": 0}


def test_they_are_due_by_steps_and_by_time(monkeypatch):
    clock = Checkpoints(seconds=None, steps=3).clock()
    assert [clock.tick() for _ in range(3)] == [False, False, True]
    clock.reset()
    assert not clock.tick()
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = Checkpoints(seconds=60).clock()
    assert not clock.tick()
    now[0] = 61.0
    assert clock.tick()


@pytest.mark.parametrize("values", [{"seconds": 0}, {"seconds": "1"}, {"steps": 0}, {"steps": 1.5}])
def test_wrong_times_are_refused(values):
    with pytest.raises(InputError, match=f"{next(iter(values))}: expected a"):
        Checkpoints(**values)


@pytest.fixture
def ctrl_c():
    """Ctrl-C does what it does by default, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_waits_for_the_check_and_the_second_one_does_not(ctrl_c):
    with StopSignals() as signals:
        signals.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(StopAsked):
            signals.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.leave("asked to stop", print)
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(SystemExit, match=re.escape("143")):
            signals.leave("asked to stop", print)


@pytest.mark.parametrize("linked", [False, True])
def test_files_of_others_stay_when_checkpoints_go(tmp_path, linked):
    folder = tmp_path / "checkpoints"
    if linked:
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    write_checkpoint(folder, ARRAYS, {})
    write_arrays(folder / "best-epoch-0003.zip", ARRAYS, {})
    (folder / ".partial-0-1-2.checkpoint-000002.zip").touch()
    others = ["1.keras", "checkpoint-000001.zip.bak", "best-epoch-0003"]
    for name in others:
        (folder / name).write_text("mine")
    remove_checkpoints(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)
    for name in others:
        (folder / name).unlink()
    remove_checkpoints(folder)
    assert folder.exists() == linked
    remove_checkpoints(folder)


@pytest.mark.filterwarnings("ignore:.*damaged")
def test_pipes_and_compressed_members_are_damage(tmp_path, no_waiting):
    write_checkpoint(tmp_path, ARRAYS, {"number": 1})
    os.mkfifo(tmp_path / "checkpoint-000002.zip")
    with (
        zipfile.ZipFile(tmp_path / "checkpoint-000001.zip") as whole,
        zipfile.ZipFile(tmp_path / "checkpoint-000003.zip", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for name in whole.namelist():
            small.writestr(name, whole.read(name))
    assert read_checkpoint(tmp_path)[1] == {"number": 1}
    assert checked_state(tmp_path / "checkpoint-000003.zip") is None
