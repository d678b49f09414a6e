"""Other libraries that benchmarks and tests compare with, imported without side effects."""

import importlib
import importlib.util
import sys
import types

import sklearn

# What ADAPT imports and the classes compared never use; stands in where it is not installed.
UNUSED = {
    "scikeras.wrappers": ("KerasClassifier", "KerasRegressor"),
    "cvxopt": ("solvers", "matrix"),
}


def adapt(name: str) -> types.ModuleType:
    """Return ADAPT's module `adapt.NAME`.

    Raises:
        ModuleNotFoundError: If ADAPT is not installed; the message is the command that installs it.
    """
    if importlib.util.find_spec("adapt") is None:
        raise ModuleNotFoundError("pip install --no-deps adapt==0.4.5")
    stands_in = {}
    for module_name, attributes in UNUSED.items():
        package = module_name.split(".")[0]
        if importlib.util.find_spec(package) is None:
            module = types.ModuleType(module_name)
            for attribute in attributes:
                setattr(module, attribute, type(attribute, (), {}))
            stands_in |= {package: module, module_name: module}
    sys.modules.update(stands_in)
    try:
        return importlib.import_module(f"adapt.{name}")
    finally:
        for module_name in stands_in:
            del sys.modules[module_name]


def skada(name: str) -> types.ModuleType:
    """Return skada's module `skada.NAME`.

    Importing skada switches scikit-learn's metadata routing on for good; that is undone.

    Raises:
        ModuleNotFoundError: If skada is not installed; the message is the command that installs it.
    """
    if importlib.util.find_spec("skada") is None:
        raise ModuleNotFoundError("pip install --no-deps skada==0.6.0")
    with sklearn.config_context():
        return importlib.import_module(f"skada.{name}")
