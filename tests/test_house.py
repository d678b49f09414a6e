"""The counting script sees what it is there to see, and the package keeps its promises."""

import os
import pathlib
import subprocess
import sys

import pytest

from tools.house import House, report

ROOT = pathlib.Path(__file__).parents[1]
GOOD = {
    "__init__.py": '_MODULES = {"room": "room"}\n_NAMES = {"verb": "room.verb"}\n',
    "room/__init__.py": '__all__ = ["Noun"]\n',
    "cli/main.py": "from tl_keras.cli.command import command\n",
    "utils/compat.py": "def losses(model):\n    return model._losses\n",
    "room/verb.py": "def verb(x):\n    return x\n",
}
NINE = ", ".join("abcdefghi")


@pytest.fixture
def tree(tmp_path):
    """Writes a package that keeps all promises, with further files."""

    def write(**files: str) -> House:
        for path, text in {**GOOD, **files}.items():
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return House(tmp_path)

    return write


def test_the_package_keeps_its_promises():
    text, fine = report(House())
    assert fine, text


def test_the_counting_needs_nothing_but_python():
    run = [sys.executable, "-S", "-E", "-m", "tools.house"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "top-level entries, at most 26" in done.stdout


def test_a_good_package_has_nothing_to_say(tree):
    text, fine = report(tree())
    assert fine and ".py" not in text


@pytest.mark.parametrize(
    ("promise", "path", "text"),
    [
        ("image_shape", "models/a.py", "def f(image_shape):\n    pass\n"),
        ("image_shape", "data/rows.py", "# of one image_shape\n"),
        ("image_shape", "models/a.py", "f(model.image_shape)\n"),
        ("target kinds", "data/a.py", 'x = spec.kind == "regression"\n'),
        ("target kinds", "models/a.py", 'x = "multi_label" != kind\n'),
        ("target kinds", "models/a.py", 'x = kind in ("classification", "multi_label")\n'),
        ("private names", "models/a.py", "model._clear()\n"),
        ("private names", "models/a.py", "self._track(1)\n"),
        ("private names", "models/a.py", "super()._track(1)\n"),
        ("private names", "models/a.py", 'x = getattr(y, "_mask", None)\n'),
        ("private names", "models/a.py", "def f():\n    from keras.src import saving\n"),
        ("private names", "models/a.py", "from tensorflow.python.eager import context\n"),
        ("private names", "models/a.py", "from tensorflow import python\n"),
        ("private names", "models/a.py", "class A:\n    def _losses(self):\n        a._losses\n"),
        ("long files", "models/a.py", "x = 1\n" * 261),
        ("many parameters", "room/a.py", f"def helper({NINE}):\n    pass\n"),
        ("many parameters", "room/a.py", f"class Hidden:\n    def __init__(self, {NINE}): ...\n"),
        ("many parameters", "room/a.py", f"class Noun:\n    def inner(self, *, {NINE}): ...\n"),
        ("many parameters", "room/a.py", f"def verb():\n    def verb({NINE}): ...\n"),
    ],
)
def test_one_broken_promise_is_found_and_named(tree, promise, path, text):
    house = tree(**{path: text})
    counts = {one: len(places) for one, places in house.broken().items()}
    assert counts == {**dict.fromkeys(counts, 0), promise: 1}
    words, fine = report(house)
    assert not fine and path in words


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("inputs/images.py", "def f(image_shape):\n    return image_shape\n"),
        ("backbones/a.py", "model.image_shape\n"),
        ("data/files/image_files.py", "image_shape = 1\n"),
        ("tasks/a.py", 'x = spec.kind == "regression"\n'),
        ("models/a.py", 'x = y.dtype.kind == "f" or kind("regression")\n'),
        ("models/a.py", "class A:\n    def _own(self):\n        self._own() or a.__dict__\n"),
        ("models/a.py", "row._replace(a=1)._asdict()\n"),
        ("models/a.py", "import keras\n\nkeras.__version__\n"),
        ("models/a.py", "x = 1\n" * 260),
        ("room/a.py", f"def verb({NINE}):\n    pass\n"),
        ("room/a.py", f"class Noun:\n    def __init__(self, {NINE}): ...\n"),
        ("cli/command.py", f"def command({NINE}):\n    pass\n"),
    ],
)
def test_what_may_be_is_not_counted(tree, path, text):
    words, fine = report(tree(**{path: text}))
    assert fine, words


def test_loose_modules_are_counted(tree, tmp_path):
    for number in range(27):
        os.mkdir(tmp_path / f"room{number}")
    assert not report(tree())[1]


def test_importing_the_private_names_imports_no_library():
    code = (
        "import sys, tl_keras.utils.compat; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
