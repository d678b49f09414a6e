"""ADAPT's TrAdaBoost, with stand-ins for packages that it imports but these tests never use."""

import importlib
import importlib.util
import sys
import types

import pytest

UNUSED = {
    "scikeras.wrappers": ("KerasClassifier", "KerasRegressor"),
    "cvxopt": ("solvers", "matrix"),
}


def load():
    """Return the module with `TrAdaBoost`, `TrAdaBoostR2` and `TwoStageTrAdaBoostR2`, or skip."""
    if importlib.util.find_spec("adapt") is None or importlib.util.find_spec("tensorflow") is None:
        pytest.skip("pip install --no-deps adapt==0.4.5")
    missing = [name for name in UNUSED if importlib.util.find_spec(name.split(".")[0]) is None]
    stands_in = {}
    for name in missing:
        module = types.ModuleType(name)
        for attribute in UNUSED[name]:
            setattr(module, attribute, type(attribute, (), {}))
        stands_in |= {name.split(".")[0]: module, name: module}
    sys.modules.update(stands_in)
    try:
        return importlib.import_module("adapt.instance_based._tradaboost")
    finally:
        for name in stands_in:
            del sys.modules[name]
