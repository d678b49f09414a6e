"""Files are whole or not there, and nothing in the package writes in another way."""

import ast
import errno
import os
import pathlib
import subprocess
import sys
import time

import pytest

import tl_keras
from tl_keras.evaluation.tables import write_json
from tl_keras.plots.figure import Picture
from tl_keras.predictions.table import Predictions
from tl_keras.utils import writing as files
from tl_keras.utils.errors import InputError

ROOT = pathlib.Path(tl_keras.__file__).parent
OTHERS = {
    "utils/writing.py": "the helper itself",
    "utils/locks.py": "notes in locks",
    "cli/workers.py": "logs are appended to",
    "cli/loading.py": "the null device",
    "cli/main.py": "the null device",
    "backbones/module_archive.py": "unpacks into a temporary folder",
    "backbones/module_download.py": "downloads into a new temporary folder",
}


def writes(node: ast.AST) -> bool:
    """Tell whether a call writes a file by itself."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    if name == "open":
        if isinstance(function, ast.Attribute) and ast.unparse(function.value) == "archive":
            return False  # a part of a ZIP file, which is written where `written_whole` says
        modes = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "mode")]
        return any(isinstance(m, ast.Constant) and set(str(m.value)) & set("wax+") for m in modes)
    if name == "savefig":
        return ast.unparse(node.args[0]) != "buffer"
    by_module = isinstance(function, ast.Attribute) and ast.unparse(function.value)
    return name in ("write_text", "write_bytes") and not (
        isinstance(function, ast.Name) or by_module in ("files", "writing")
    )


def test_nothing_else_writes():
    found = set()
    for path in ROOT.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(writes(node) for node in ast.walk(tree)):
            found.add(path.relative_to(ROOT).as_posix())
    assert found <= set(OTHERS), f"use tl_keras.utils.writing in {sorted(found - set(OTHERS))}"
    assert "utils/writing.py" in found


WRITERS = {
    "report.json": lambda path: write_json({"a": 1}, path),
    "labels.csv": lambda path: Predictions([]).to_csv(path),
    "labels.json": lambda path: Predictions([]).to_json(path),
    "picture.png": lambda path: Picture().write(path),
    "picture.svg": lambda path: Picture().write(path),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_full_disk_leaves_what_was_there_and_says_so(tmp_path, monkeypatch, name, function):
    path = tmp_path / "folder" / name
    WRITERS[name](path)
    before = path.read_bytes()
    assert before

    def refuse(*arguments, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(
            *((files, "open") if function == "open" else (os, function)), refuse, raising=False
        )
        with pytest.raises(InputError, match=r"^path: cannot write .*No space left on device") as e:
            WRITERS[name](path)
    assert name in str(e.value) and "\n" not in str(e.value)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [name]


def test_permissions_and_links_stay(tmp_path):
    (tmp_path / "file").write_text("one")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    files.write_for_user(tmp_path / "link", "two")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    plain = tmp_path / "plain"
    plain.touch()
    files.write_text(tmp_path / "new", "three")
    assert (tmp_path / "new").stat().st_mode == plain.stat().st_mode


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_pipes_and_devices_are_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE)
    files.write_for_user(tmp_path / "pipe", "through")
    assert reader.communicate(timeout=30)[0] == b"through"
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_in_the_way_is_said(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(InputError, match=r"path: cannot write .*report\.json' \(Is a directory\)"):
        files.write_for_user(tmp_path / "report.json", "text")
    assert os.listdir(tmp_path) == ["report.json"]


def test_names_of_any_length(tmp_path):
    name = "ä" * 120 + ".json"
    files.write_text(tmp_path / name, "text")
    assert os.listdir(tmp_path) == [name]


def test_what_killed_processes_left_goes_with_the_next_writing(tmp_path):
    path = tmp_path / "report[1].json"
    code = (
        "import os, pathlib, sys\n"
        "from tl_keras.utils.writing import written_whole\n"
        "with written_whole(pathlib.Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half')\n"
        "    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", code, path], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(files.PREFIX)
    theirs = tmp_path / f"{files.PREFIX}00000000-1-1.{path.name}"
    theirs.write_text("of another machine")
    with files.written_whole(path) as partial:
        partial.write_text("whole")
        files.remove_partials_of(path)
        assert partial.exists() and not left.exists() and theirs.exists()
    os.utime(theirs, (time.time() - 2 * 86_400,) * 2)
    files.write_for_user(path, "new")
    assert os.listdir(tmp_path) == [path.name] and path.read_text() == "new"
