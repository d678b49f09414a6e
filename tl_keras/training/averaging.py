"""Exponential moving average of the weights, which Keras' optimizers keep."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged_weights(
    optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]
) -> Iterator[None]:
    """Give the variables their moving averages inside the `with` block, and take them back after.

    Without `use_ema`, nothing happens.

    Args:
        optimizer: Built for the variables.
        variables: What it trains.
    """
    averages = moving_averages(optimizer)
    if not averages:
        yield
        return
    raw = [variable.numpy() for variable in variables]
    _assign(variables, [average.numpy() for average in averages])
    try:
        yield
    finally:
        _assign(variables, raw)


def finish_with_average(
    optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]
) -> None:
    """Give the variables their moving averages for good, at the end of a stage."""
    averages = moving_averages(optimizer)
    if averages:
        _assign(variables, [average.numpy() for average in averages])


def moving_averages(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the averages in the order of the trained variables; none before the first update."""
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    # Keras begins the averages with the first update, which loss scaling may skip; before it they
    # are zeros.
    begun = optimizer.use_ema and int(optimizer.iterations.numpy()) > 0
    return list(optimizer._model_variables_moving_average) if begun else []


def _assign(variables, values) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
