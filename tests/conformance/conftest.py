"""Forty networks one after the other: each one's memory is given back."""

import gc

import keras
import pytest


@pytest.fixture(autouse=True)
def forget_the_network():
    """Let go of graphs and variables after each test."""
    yield
    keras.utils.clear_session()
    gc.collect()
