"""The examples in the docstrings of all modules run."""

import doctest
import importlib
import pkgutil
import warnings

import pytest

import tl_keras
from tl_keras.arrays import DegenerateWeights

PACKAGES = pkgutil.walk_packages(tl_keras.__path__, "tl_keras.")
MODULES = ["tl_keras", *sorted(module.name for module in PACKAGES)]


@pytest.mark.parametrize("module", MODULES)
def test_examples_in_docstrings(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWeights)
        finder = doctest.DocTestFinder(exclude_empty=True)
        tests = finder.find(importlib.import_module(module), module)
        runner = doctest.DocTestRunner(
            optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS, verbose=False
        )
        for test in tests:
            runner.run(test)
    assert runner.failures == 0
