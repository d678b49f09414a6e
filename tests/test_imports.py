"""Imports go one way, and importing the package is cheap."""

import ast
import pathlib
import subprocess
import sys

import pytest

import tl_keras

ROOT = pathlib.Path(tl_keras.__file__).parent
LEVELS = (
    {
        "errors",
        "registration",
        "misplaced",
        "arguments",
        "cluster",
        "targets",
        "plots",
        "memory",
        "terminal",
        "files",
        "locks",
        "regular_files",
        "legacy_hdf5",
    },
    {"arrays", "divergences"},
    {"instances", "features", "relations"},
    {"validation"},
    {"head_specs"},
    {"preprocessing", "pooling", "image_batches", "regression_layers"},
    {"heads", "backbones"},
    {"transfer_model"},
    {"builder"},
    {
        "schedules",
        "objectives",
        "data",
        "passes",
        "prototypes",
        "autoencoder",
        "fusion",
        "fusion_layers",
        "model_inputs",
    },
    {"training"},
    {"evaluation", "export", "soups"},
    {"predictions"},
    {"cli"},
)
LEVEL = {name: index for index, names in enumerate(LEVELS) for name in names}


def imported(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "tl_keras":
                yield from (f"tl_keras.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way(path):
    part = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if part == "__init__":
        return
    for module in imported(ast.parse(path.read_text(encoding="utf-8"))):
        names = module.split(".")
        if names[0] == "tl_keras" and len(names) > 1 and names[1] in LEVEL and names[1] != part:
            assert LEVEL[names[1]] <= LEVEL[part], f"{part} must not import {names[1]}"


def test_every_module_has_a_level():
    parts = {path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")}
    assert parts - {"__init__"} == set(LEVEL)


def test_importing_the_package_does_not_import_tensorflow():
    code = "import sys, tl_keras; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_all_public_names_exist():
    for name in tl_keras.__all__:
        assert getattr(tl_keras, name) is not None
