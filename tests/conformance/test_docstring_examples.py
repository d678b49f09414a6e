"""The examples in the docstrings of all packages on arrays run."""

import doctest
import importlib
import pkgutil
import sys
import warnings

import pytest

from tl_keras import arrays, divergences, features, instances, relations, validation
from tl_keras.arrays import DegenerateWeights

PACKAGES = (arrays, divergences, features, instances, relations, validation)


def modules():
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            yield importlib.import_module(module.name).__name__


@pytest.mark.parametrize("module", sorted(modules()))
def test_examples_in_docstrings(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWeights)
        tests = doctest.DocTestFinder(exclude_empty=True).find(sys.modules[module], module)
        runner = doctest.DocTestRunner(
            optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
        )
        for test in tests:
            runner.run(test)
    assert runner.failures == 0
