"""Exports appear complete or not at all, and replace nothing by accident."""

import os

import pytest

from tl_keras import export
from tl_keras.errors import InputError
from tl_keras.export.destination import staged


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


def test_a_failed_move_puts_the_earlier_export_back(tmp_path, monkeypatch):
    write(tmp_path / "a", "one")

    def refuse(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(InputError, match=r"cannot write .*a' \(No space left on device\)"):
        write(tmp_path / "a", "two", overwrite=True)
    assert (tmp_path / "a" / "mark").read_text() == "one"
    assert os.listdir(tmp_path) == ["a"]


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
    export.saved_model(build(labels=("a", "b")), tmp_path / "model")
    export.saved_model(build(labels=("c", "d", "e")), tmp_path / "model", overwrite=True)
    assert (tmp_path / "model" / "assets" / "labels.txt").read_text() == "c\nd\ne\n"
    assert os.listdir(tmp_path) == ["model"]
