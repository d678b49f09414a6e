"""Exports appear complete or not at all, and replace nothing by accident."""

import errno
import os
import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

from tests.export.conftest import numbers_network
from tl_keras import export
from tl_keras.export import destination
from tl_keras.export.destination import staged
from tl_keras.utils.errors import InputError
from tl_keras.utils.exchange import exchange


def is_export(path):
    return (path / "mark").exists() or path.is_file()


def write(path, text, overwrite=False):
    """Write a directory in two steps, as an exporter does."""
    with staged(path, overwrite=overwrite, is_export=is_export) as new:
        assert not new.exists()
        new.mkdir()
        (new / "mark").write_text(text)
        if text == "fails":
            raise RuntimeError("half way")


def test_a_directory_appears_with_its_parents_and_nothing_else(tmp_path):
    write(tmp_path / "a" / "b", "one")
    assert (tmp_path / "a" / "b" / "mark").read_text() == "one"
    assert os.listdir(tmp_path / "a") == ["b"]


def test_others_may_read_it(tmp_path):
    (tmp_path / "plain").mkdir()
    write(tmp_path / "new", "one")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_an_earlier_export_is_replaced_only_on_request(tmp_path):
    write(tmp_path / "a", "one")
    (tmp_path / "a" / "old file").touch()
    with pytest.raises(InputError, match=r"path: .*a' exists\. Pass overwrite=True"):
        write(tmp_path / "a", "two")
    assert (tmp_path / "a" / "mark").read_text() == "one"
    write(tmp_path / "a", "two", overwrite=True)
    assert os.listdir(tmp_path / "a") == ["mark"]
    assert (tmp_path / "a" / "mark").read_text() == "two"
    assert os.listdir(tmp_path) == ["a"]


def test_what_is_no_export_is_never_replaced(tmp_path):
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "only copy.jpg").touch()
    with pytest.raises(InputError, match="is no earlier export, so it is not replaced"):
        write(tmp_path / "photographs", "one", overwrite=True)
    assert os.listdir(tmp_path / "photographs") == ["only copy.jpg"]


def test_an_empty_directory_is_taken(tmp_path):
    (tmp_path / "a").mkdir()
    write(tmp_path / "a", "one")
    assert (tmp_path / "a" / "mark").read_text() == "one"


@pytest.mark.parametrize("before", [False, True])
def test_a_failed_export_leaves_what_was_there(tmp_path, before):
    if before:
        write(tmp_path / "a", "one")
    with pytest.raises(RuntimeError, match="half way"):
        write(tmp_path / "a", "fails", overwrite=True)
    assert os.listdir(tmp_path) == (["a"] if before else [])
    if before:
        assert (tmp_path / "a" / "mark").read_text() == "one"


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_failed_move_puts_the_earlier_export_back(tmp_path, monkeypatch):
    write(tmp_path / "a", "one")
    monkeypatch.setattr(destination, "exchange", lambda *_: False)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InputError, match=r"cannot write .*a' \(No space left on device\)"):
        write(tmp_path / "a", "two", overwrite=True)
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


def test_an_earlier_export_that_cannot_be_moved_back_is_back_with_the_next(tmp_path, monkeypatch):
    write(tmp_path / "a", "one")
    rename = os.rename
    with monkeypatch.context() as broken:
        broken.setattr(destination, "exchange", lambda *_: False)
        broken.setattr(os, "replace", full)
        broken.setattr(
            os, "rename", lambda *moved: (rename(*moved), broken.setattr(os, "rename", full))
        )
        with pytest.raises(InputError, match=r"The earlier export is in .*old.*puts it back"):
            write(tmp_path / "a", "two", overwrite=True)
    with pytest.raises(RuntimeError, match="half way"):
        write(tmp_path / "a", "fails", overwrite=True)
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


def test_what_can_fail_comes_before_anything_moves(tmp_path, monkeypatch):
    """Nothing is lost where the disk fails at any wait for it, and at every move after that."""
    monkeypatch.setattr(destination, "exchange", lambda *_: False)
    fsync, outcomes = os.fsync, []
    for failing in range(5):
        path, calls = tmp_path / str(failing) / "a", []
        write(path, "one")
        with monkeypatch.context() as broken:

            def wait(descriptor, calls=calls, failing=failing, broken=broken):
                calls.append(descriptor)
                if len(calls) > failing:
                    broken.setattr(os, "rename", full)
                    full()
                fsync(descriptor)

            broken.setattr(os, "fsync", wait)
            try:
                write(path, "two", overwrite=True)
            except InputError as error:
                assert "what was there before is intact" in str(error)
                outcomes.append("one")
            else:
                outcomes.append("two")
        assert (path / "mark").read_text() == outcomes[-1]
        assert os.listdir(path.parent) == ["a"]
    # The file, the folder that holds it, and the name, which is there by then.
    assert outcomes == ["one", "one", "two", "two", "two"]


def test_readers_find_an_export_at_any_time(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    if not exchange(tmp_path / "one", tmp_path / "two"):
        pytest.skip("this file system cannot swap two names")
    write(tmp_path / "a", "one")
    monkeypatch.setattr(os, "rename", full)
    write(tmp_path / "a", "two", overwrite=True)
    assert (tmp_path / "a" / "mark").read_text() == "two"
    assert sorted(os.listdir(tmp_path)) == ["a", "one", "two"]


def test_a_link_keeps_pointing_at_the_export(tmp_path):
    write(tmp_path / "v1", "one")
    (tmp_path / "current").symlink_to("v1")
    write(tmp_path / "current", "two", overwrite=True)
    assert (tmp_path / "current").is_symlink()
    assert (tmp_path / "v1" / "mark").read_text() == "two"


@pytest.mark.parametrize("path", [None, "", 3])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(InputError, match="path: expected the path to write to"):
        write(path, "one")


@pytest.mark.parametrize("name", ["saved_model", "tflite", "onnx"])
def test_exporters_refuse_a_place_that_cannot_be_written(build, tmp_path, name):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / f"model.{name}"
    with pytest.raises(InputError, match=r"path: cannot write .* Choose a directory"):
        getattr(export, name)(build(3), target)


@pytest.mark.parametrize("name", ["saved_model", "tflite", "onnx"])
def test_exporters_refuse_a_taken_place(build, tmp_path, name):
    target = tmp_path / f"model.{name}"
    if name == "saved_model":
        target.mkdir()
        (target / "saved_model.pb").touch()
    else:
        target.write_text("earlier")
    with pytest.raises(InputError, match=r"exists\. Pass overwrite=True"):
        getattr(export, name)(build(3), target)


def test_a_saved_model_is_replaced_on_request(build, tmp_path):
    for names in ("ab", "cde"):
        model = build(class_names=tuple(names), backbone=numbers_network())
        export.saved_model(model, tmp_path / "model", overwrite=names == "cde")
    assert (tmp_path / "model" / "assets" / "labels.txt").read_text() == "c\nd\ne\n"
    assert os.listdir(tmp_path) == ["model"]


def disk_errors():
    reason = "No space left on device"
    yield OSError(errno.ENOSPC, reason, "graph.pb")
    yield tf.errors.ResourceExhaustedError(None, None, f"variables.data; {reason}")
    yield RuntimeError(f"Can't write data (errno = 28, error message = '{reason}')")


@pytest.mark.parametrize("error", disk_errors(), ids=lambda error: type(error).__name__)
def test_a_full_disk_ends_in_one_line_with_the_earlier_export_intact(tmp_path, error):
    write(tmp_path / "a", "one")
    with (
        pytest.raises(InputError, match=r"^path: cannot write .*a' \(No space left on device\)"),
        staged(tmp_path / "a", overwrite=True, is_export=is_export) as new,
    ):
        new.mkdir()
        raise error
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


def test_bytes_are_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    flushed, flush, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda file: (flushed.append(os.fstat(file).st_ino), flush(file))
    )

    def check(source, target):
        inodes = {path.stat().st_ino for path in (source, *source.rglob("*"))}
        assert len(inodes) == 2 and inodes <= set(flushed)
        replace(source, target)

    monkeypatch.setattr(os, "replace", check)
    write(tmp_path / "a", "one")


def test_what_killed_exports_left_goes_and_the_earlier_export_comes_back(tmp_path):
    code = (
        "import os, sys\n"
        "from tl_keras.utils.writing import partial_beside\n"
        "from pathlib import Path\n"
        "target = Path(sys.argv[1])\n"
        "with partial_beside(target) as partial:\n"
        "    (partial / 'new').mkdir(parents=True)\n"
        "    os.rename(target, partial / 'old')\n"
        "    os._exit(9)\n"
    )
    write(tmp_path / "a", "one")
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    assert not (tmp_path / "a").exists() and len(os.listdir(tmp_path)) == 1
    with pytest.raises(InputError, match=r"exists\. Pass overwrite=True"):
        write(tmp_path / "a", "two")
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.slow
def test_files_that_may_not_grow_end_every_export_in_one_line(tmp_path):
    code = textwrap.dedent(
        """
        import importlib.util, os, pathlib, resource, sys
        from tests.export.conftest import numbers_network
        from tl_keras import export
        from tl_keras.models.builder import build_transfer_model
        model = build_transfer_model(numbers_network(), 3)
        folder = pathlib.Path(sys.argv[1])
        names = ["saved_model", "tflite"]
        names += ["onnx"] if importlib.util.find_spec("tf2onnx") else []
        paths = {name: folder / f"model.{name}" for name in names}
        for name, path in paths.items():
            getattr(export, name)(model, path)
        read = lambda: {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        before = read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
        for name, path in paths.items():
            try:
                getattr(export, name)(model, path, overwrite=True)
                print("no error in", name)
            except Exception as error:
                print(f"<{type(error).__name__}: {error}>")
        print(read() == before, len(os.listdir(folder)) == len(paths))
        """
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(("<", "no", "True"))]
    assert len(lines) >= 3 and lines[-1] == "True True", done.stdout
    for line in lines[:-1]:
        assert line.startswith("<InputError: path: cannot write ") and "(File too large)" in line
