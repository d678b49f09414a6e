"""Other libraries that tests compare with, imported so that they change nothing for other tests."""

import importlib
import importlib.util
import sys
import types

import pytest
import sklearn

# What ADAPT imports and the classes compared never use; stands in only where it is not installed.
UNUSED = {
    "scikeras.wrappers": ("KerasClassifier", "KerasRegressor"),
    "cvxopt": ("solvers", "matrix"),
}


def adapt(name: str) -> types.ModuleType:
    """Return ADAPT's module `adapt.NAME`, or skip the test."""
    if any(importlib.util.find_spec(package) is None for package in ("adapt", "tensorflow")):
        pytest.skip("pip install --no-deps adapt==0.4.5")
    stands_in = {}
    for module_name, attributes in UNUSED.items():
        package = module_name.split(".")[0]
        if importlib.util.find_spec(package) is None:
            module = types.ModuleType(module_name)
            for attribute in attributes:
                setattr(module, attribute, type(attribute, (), {}))
            stands_in |= {package: module, module_name: module}
    # Not mock.patch.dict: what ADAPT imports besides stays imported.
    sys.modules.update(stands_in)
    try:
        return importlib.import_module(f"adapt.{name}")
    finally:
        for module_name in stands_in:
            del sys.modules[module_name]


def skada(name: str) -> types.ModuleType:
    """Return skada's module `skada.NAME`, or skip the test.

    Importing skada switches scikit-learn's metadata routing on for good; that is undone.
    """
    with sklearn.config_context():
        pytest.importorskip("skada", reason="pip install --no-deps skada==0.6.0")
        return importlib.import_module(f"skada.{name}")
