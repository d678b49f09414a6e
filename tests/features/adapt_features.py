"""ADAPT's maps of features, with stand-ins for packages that it imports but tests never use."""

import importlib
import importlib.util
import sys
import types

import pytest

UNUSED = {
    "scikeras.wrappers": ("KerasClassifier", "KerasRegressor"),
    "cvxopt": ("solvers", "matrix"),
}


def load(name):
    """Return ADAPT's module `adapt.feature_based._NAME`, or skip the test."""
    if importlib.util.find_spec("adapt") is None or importlib.util.find_spec("tensorflow") is None:
        pytest.skip("pip install --no-deps adapt==0.4.5")
    stands_in = {}
    for module_name, attributes in UNUSED.items():
        package = module_name.split(".")[0]
        if importlib.util.find_spec(package) is not None:
            continue
        module = types.ModuleType(module_name)
        for attribute in attributes:
            setattr(module, attribute, type(attribute, (), {}))
        stands_in |= {package: module, module_name: module}
    sys.modules.update(stands_in)
    try:
        return importlib.import_module(f"adapt.feature_based._{name}")
    finally:
        for module_name in stands_in:
            del sys.modules[module_name]
