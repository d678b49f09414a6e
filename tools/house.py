"""Counts what the structure of the package promises, and fails where a promise is broken.

`python -m tools.house` reads `tl_keras/` as text: nothing is imported, nothing needs to be
installed.
"""

import ast
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

PACKAGE = pathlib.Path(__file__).parents[1] / "tl_keras"

MOST_ENTRIES = 26
MOST_LINES = 260
MOST_PARAMETERS = 8
TARGET_KINDS = {"classification", "multi_label", "regression"}
COMPAT = "utils/compat.py"
PRIVATE_MODULES = ("tensorflow.python", "keras.src", "keras._")
PUBLIC_PRIVATES = {"_replace", "_asdict", "_fields", "_make", "_field_defaults", "_getframe"}
"""Names with an underscore that Python documents: of named tuples, and `sys._getframe`."""

_NAMES_AS_TEXT = {"getattr", "hasattr", "setattr", "delattr"}


class Place(NamedTuple):
    """Where a promise is broken."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


class House:
    """All modules of a package, read once.

    Args:
        package: Its folder.
    """

    def __init__(self, package: pathlib.Path = PACKAGE):
        self.package = package
        self.texts = {
            path.relative_to(package).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(package.rglob("*.py"))
        }
        self.trees = {path: ast.parse(text) for path, text in self.texts.items()}

    def entries(self) -> list[str]:
        """Return what stands at the top of the package."""
        return sorted(p.name for p in self.package.iterdir() if p.name != "__pycache__")

    def broken(self) -> dict[str, list[Place]]:
        """Return promise → the places that break it."""
        checks = {
            "image_shape": self._image_shapes,
            "target kinds": self._target_kinds,
            "private names": self._private_names,
            "long files": self._long_files,
            "many parameters": self._many_parameters,
        }
        return {promise: sorted(check()) for promise, check in checks.items()}

    def _image_shapes(self) -> Iterator[Place]:
        """Only modalities, backbones and readers of images know what an image is."""
        for path, text in self.texts.items():
            if path.startswith(("inputs/", "backbones/", "data/files/")):
                continue
            for number, line in enumerate(text.splitlines(), 1):
                if re.search(r"\bimage_shapes?\b", line):
                    yield Place(path, number, line.strip())

    def _target_kinds(self) -> Iterator[Place]:
        """Kinds of targets are told apart in `tasks/` only."""
        for path, node in self._nodes(ast.Compare):
            if path.startswith("tasks/"):
                continue
            if any(_kinds_in(side) for side in (node.left, *node.comparators)):
                yield Place(path, node.lineno, ast.unparse(node))

    def _private_names(self) -> Iterator[Place]:
        """What other libraries keep to themselves is used in one file only."""
        own = {name for tree in self.trees.values() for name in _own_names(tree)}
        theirs = {name for name in map(_private, ast.walk(self.trees[COMPAT])) if name}
        for path, node in self._nodes(ast.AST):
            if path == COMPAT:
                continue
            name = _private(node)
            used = name is not None and (name in theirs or name not in own)
            if used or any(module.startswith(PRIVATE_MODULES) for module in _modules(node)):
                yield Place(path, node.lineno, ast.unparse(node))

    def _long_files(self) -> Iterator[Place]:
        for path, text in self.texts.items():
            lines = text.count("\n")
            if lines > MOST_LINES:
                yield Place(path, lines, "lines")

    def _many_parameters(self) -> Iterator[Place]:
        """Users' functions may take as much as users may say; inside, things travel together."""
        public = self._public_names()
        for path, tree in self.trees.items():
            for name, function in _functions(tree):
                arguments = function.args
                every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
                count = sum(one.arg not in ("self", "cls") for one in every)
                if count > MOST_PARAMETERS and not name <= public:
                    yield Place(path, function.lineno, f"{function.name} has {count} parameters")

    def _public_names(self) -> set[str]:
        """Return names in the `__all__` of the package's public modules, and commands."""
        top = _tables(self.trees["__init__.py"])
        public = {*top.get("_NAMES", ()), "__init__", "__call__"}
        for module in top.get("_MODULES", {}).values():
            path = module.replace(".", "/")
            tree = self.trees.get(f"{path}.py") or self.trees[f"{path}/__init__.py"]
            public |= set(_tables(tree).get("__all__", ()))
        for node in ast.walk(self.trees.get("cli/main.py", ast.Module([], []))):
            if isinstance(node, ast.ImportFrom):
                public |= {alias.name for alias in node.names}
        return public

    def _nodes(self, kind: type) -> Iterator[tuple[str, ast.AST]]:
        for path, tree in self.trees.items():
            yield from ((path, node) for node in ast.walk(tree) if isinstance(node, kind))


def _kinds_in(node: ast.AST) -> bool:
    """Return whether one side of a comparison is a kind of target, or several of them."""
    parts = node.elts if isinstance(node, ast.Tuple | ast.Set | ast.List) else [node]
    return any(isinstance(one, ast.Constant) and one.value in TARGET_KINDS for one in parts)


def _is_private(name: object) -> bool:
    return (
        isinstance(name, str)
        and name.startswith("_")
        and not name.startswith("__")
        and name not in PUBLIC_PRIVATES
    )


def _private(node: ast.AST) -> str | None:
    """Return the private name that a node reads or sets on something."""
    name = None
    if isinstance(node, ast.Attribute):
        name = node.attr
    elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in _NAMES_AS_TEXT:
        name = getattr(node.args[1], "value", None)
    return name if _is_private(name) else None


def _own_names(tree: ast.Module) -> Iterator[str]:
    """Give the names that a module defines, on itself, its classes and their objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "self":
                yield node.attr


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _functions(tree: ast.AST, inside: frozenset[str] = frozenset()) -> Iterator:
    """Give functions with the names through which a user would reach them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield inside | {node.name}, node
            yield from _functions(node, inside | {node.name, "<locals>"})
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, inside | {node.name})
        else:
            yield from _functions(node, inside)


def _tables(tree: ast.Module) -> dict:
    """Return the literals that a module's names are bound to."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


def report(house: House) -> tuple[str, bool]:
    """Return all counts in words, and whether the package keeps its promises."""
    entries, broken = house.entries(), house.broken()
    lines = [f"{len(entries):4} top-level entries, at most {MOST_ENTRIES}"]
    for promise, places in broken.items():
        lines += [f"{len(places):4} {promise}", *(f"     {place}" for place in places)]
    return "\n".join(lines), len(entries) <= MOST_ENTRIES and not any(broken.values())


if __name__ == "__main__":
    TEXT, FINE = report(House())
    print(TEXT)
    sys.exit(not FINE)
