"""Imports go one way, from room to room and inside each room, and importing is cheap."""

import ast
import graphlib
import importlib
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
    # The package itself names everything, for type checkers; it imports none of it.
    graph = {name: imported(name) for name in PATHS if name != "tl_keras"}
    list(graphlib.TopologicalSorter(graph).static_order())  # Raises CycleError, with the circle.


def test_every_room_has_its_place():
    assert {room(name) for name in PATHS} - {None} == set(ROOMS)


def test_importing_the_package_does_not_import_tensorflow():
    code = "import sys, tl_keras; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Every public name of the package and of its modules, without an import before it.
WALK = """
import types
import tl_keras

for name in tl_keras.__all__:
    one = getattr(tl_keras, name)
    if isinstance(one, types.ModuleType):
        for inner in one.__all__ if hasattr(one, "__all__") else dir(one):
            assert getattr(one, inner) is not None, (name, inner)
print(tl_keras.training.ResumableCallback.__name__)
"""


def test_every_public_name_is_there_without_an_import_before():
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ResumableCallback\n"


@pytest.mark.parametrize("module", ["tl_keras", "tl_keras.data"])
def test_type_checkers_see_the_names_that_are_imported_late(module):
    """The block for type checkers, `__all__` and the table of late imports agree."""
    tree = ast.parse(PATHS[module].read_text(encoding="utf-8"))
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and node.targets[0].id in ("_NAMES", "_MODULES", "__all__")
    }
    late = {name: (at, name) for name, at in tables["_NAMES"].items()}
    for name, at in tables.get("_MODULES", {}).items():
        late[name] = (at.rpartition(".")[0], at.rpartition(".")[2])
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname or alias.name: (node.module.partition(".")[2], alias.name)
        for node in block.body
        for alias in node.names
    }
    assert seen == late
    assert set(late) <= set(tables["__all__"])
    for name in set(tables["__all__"]) - set(late):
        assert hasattr(importlib.import_module(module), name)
