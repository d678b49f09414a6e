"""How weights reach the estimator that takes them, through what wraps it."""

import inspect
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from tl_keras.utils.errors import InputError


def fit_weighted(estimator: Any, parameter: str, X: Any, y: np.ndarray, weights: np.ndarray) -> Any:
    """Fit an estimator with weights, and return it.

    Args:
        estimator: Changed by fitting.
        parameter: From `weight_parameter`.
        X: `(n, features)`.
        y: Labels `(n,)`.
        weights: `(n,)`.
    """
    # The weights go to where `parameter` says, whatever is asked for by metadata routing.
    with config_context(enable_metadata_routing=False):
        return estimator.fit(X, y, **{parameter: weights})


def weight_parameter(estimator: Any) -> str:
    """Return the name of the parameter of `fit` that takes the weights.

    Raises:
        InputError: If the estimator does not take weights.
    """
    steps, last = [], estimator
    while isinstance(last, Pipeline):
        steps.append(last.steps[-1][0])
        last = last.steps[-1][1]
    if not takes_weights(last):
        where = f"the last step of the Pipeline, {_name(last)}," if steps else _name(last)
        raise InputError(
            f"estimator: expected an estimator whose fit takes sample_weight; {where} does not. "
            "Choose another one, such as LogisticRegression, SVC, a forest or Ridge."
        )
    return "__".join([*steps, "sample_weight"])


def takes_weights(estimator: Any) -> bool:
    """Return whether `fit` takes `sample_weight`, itself or handed on to what it wraps."""
    if not hasattr(estimator, "fit"):
        return False
    if has_fit_parameter(estimator, "sample_weight"):
        return True
    parameters = inspect.signature(estimator.fit).parameters.values()
    hands_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    inner = _wrapped(estimator)
    return hands_on and bool(inner) and all(takes_weights(one) for one in inner)


def _wrapped(estimator: Any) -> list[Any]:
    """Return the estimators that an estimator fits, under scikit-learn's names for them."""
    single = [getattr(estimator, name, None) for name in ("estimator", "regressor")]
    named = [one for _, one in getattr(estimator, "estimators", None) or ()]
    last = getattr(estimator, "final_estimator", None)
    return [one for one in (*single, *named, last) if one is not None and one != "drop"]


def _name(estimator: Any) -> str:
    return estimator if isinstance(estimator, str) else type(estimator).__name__
