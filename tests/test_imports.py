"""Imports go one way, from room to room and inside each room, and importing is cheap."""

import ast
import graphlib
import pathlib
import subprocess
import sys

import pytest

import tl_keras

ROOT = pathlib.Path(tl_keras.__file__).parent
ROOMS = (
    *("utils", "plots", "tasks"),
    *("arrays", "divergences", "instances", "features", "relations", "validation"),
    *("inputs", "data", "backbones", "models", "schedules", "objectives"),
    *("frozen", "training", "evaluation", "export", "predictions", "cli"),
)
"""Each room imports from those before it only."""
WITHOUT_TENSORFLOW = ("arrays", "divergences", "instances", "features", "relations", "validation")


def module_name(path: pathlib.Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imported(name: str) -> set[str]:
    """Return the modules of this package that a module imports anywhere, for types too."""
    found = set()
    for node in ast.walk(ast.parse(PATHS[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in PATHS else node.module)
    return {one for one in found if one in PATHS and one != name}


def room(name: str) -> str | None:
    return name.split(".")[1] if "." in name else None


@pytest.mark.parametrize("name", [one for one in PATHS if room(one)])
def test_rooms_import_from_rooms_before_them(name):
    for other in imported(name):
        if room(other) not in (None, room(name)):
            before = ROOMS[: ROOMS.index(room(name))]
            assert room(other) in before, f"{name} must not import {other}"


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: imported(name) for name in PATHS}
    list(graphlib.TopologicalSorter(graph).static_order())  # Raises CycleError, with the circle.


def test_every_room_has_its_place():
    assert {room(name) for name in PATHS} - {None} == set(ROOMS)


@pytest.mark.parametrize("name", WITHOUT_TENSORFLOW)
def test_transfer_on_arrays_needs_no_tensorflow(name):
    code = f"import sys, tl_keras.{name}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_the_package_does_not_import_tensorflow():
    code = "import sys, tl_keras; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_public_names_exist():
    for name in tl_keras.__all__:
        assert getattr(tl_keras, name) is not None
