"""Pipes, devices and files that are too large are reported; nothing waits for them."""

import os

import numpy as np
import pytest
from PIL import Image

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.backbones.keras_files import load_keras_file
from tl_keras.backbones.torch_state import read_state_dict
from tl_keras.utils import regular_files
from tl_keras.utils.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for index in range(4):
        path = tmp_path / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((16, 16, 3), 40 * index, np.uint8)).save(path)
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "a" / "link.png").symlink_to(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "endless.png").symlink_to("/dev/zero")
    with open(tmp_path / "b" / "large.png", "wb") as file:
        file.truncate(2**31)
    return tmp_path


KINDS = {
    "a/pipe.png": ("not a regular file", "a named pipe, and only regular files are read"),
    "a/link.png": ("not a regular file", "a named pipe, and only regular files are read"),
    "b/endless.png": ("not a regular file", "a device, and only regular files are read"),
    "b/large.png": ("too large", "2,147,483,648 bytes, at most 1,073,741,824 are read"),
}


def found_in(data):
    return {problem.path: (problem.kind, problem.detail) for problem in data.problems}


@pytest.mark.filterwarnings("ignore:.*problem")
def test_in_class_folders_and_tables(folder):
    data = tl.data.image_folder(folder, image_size=16, progress=False)
    assert len(data) == 4 and found_in(data) == KINDS
    names = ["a/0.png", "a/2.png", "b/1.png", "b/3.png", *KINDS, "/dev/zero", "b", "a/no\0.png"]
    lines = ["path,label", *(f"{name},{'xy'[i % 2]}" for i, name in enumerate(names))]
    (folder / "table.csv").write_text("\n".join(lines))
    for read in (tl.data.image_folder, tl.data.image_table):
        data = read(folder / "table.csv", image_size=16, progress=False)
        assert len(data) == 4
        assert found_in(data) == KINDS | {
            "/dev/zero": ("not a regular file", "a device, and only regular files are read"),
            "b": ("not a regular file", "a folder, and only regular files are read"),
            "a/no\0.png": ("missing", "there is no such file"),
        }


def test_predictions(folder):
    model = tl.build_transfer_model(tiny_network(), 2)
    with pytest.warns(UserWarning, match="4 files cannot be read"):
        found = tl.predict(model, str(folder))
    errors = {os.path.relpath(path, folder): reason for path, reason in found.errors.items()}
    assert errors == {name: detail for name, (_, detail) in KINDS.items()}
    with pytest.raises(InputError, match=r"1 file cannot be read, .*a device, and only regular"):
        tl.predict(model, "/dev/zero")


@pytest.mark.parametrize(
    ("read", "argument"),
    [
        (tl.data.image_table, "table"),
        (load_keras_file, "model"),
        (read_state_dict, "weights"),
        (lambda path: tl.build_transfer_model("ResNet50", 2, weights=path), "weights"),
        (tl.data.image_folder, "table"),
    ],
)
def test_files_that_arguments_name(tmp_path, read, argument):
    path = tmp_path / "pipe.csv"
    os.mkfifo(path)
    with pytest.raises(InputError, match=f"^{argument}: expected a regular file, .*a named pipe"):
        read(path)


def test_a_table_that_is_too_large(tmp_path, monkeypatch):
    monkeypatch.setattr("tl_keras.data.files.tables.LARGEST_BYTES", 10)
    (tmp_path / "table.csv").write_text("path,label\n")
    with pytest.raises(InputError, match="cannot be read: 11 bytes, at most 10 are read"):
        tl.data.image_table(tmp_path / "table.csv")
    assert regular_files.LARGEST_BYTES == 2**30
