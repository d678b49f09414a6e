"""What tests compare with or read, where it is installed; a test skips where it is not."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import packaged, peers


def adapt(name: str):
    """Return ADAPT's module `adapt.NAME`."""
    return _or_skip(peers.adapt, name)


def skada(name: str):
    """Return skada's module `skada.NAME`."""
    return _or_skip(peers.skada, name)


def mushrooms():
    """Return categories, poisonousness and shapes of stalks."""
    return _or_skip(packaged.mushrooms)


def tweets():
    """Return domain → mood → texts."""
    return _or_skip(packaged.tweets)


def _or_skip(load: Callable, *arguments: Any):
    try:
        return load(*arguments)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
