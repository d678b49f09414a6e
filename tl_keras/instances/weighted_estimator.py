"""Any scikit-learn estimator, fitted with the weights that a weighter finds."""

import inspect
from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    has_fit_parameter,
    validate_data,
)

from tl_keras.arrays.domains import resolve_domains
from tl_keras.arrays.labels import labelled_samples, require_classes
from tl_keras.errors import InputError


def _has(name: str):
    """Return the check whether the estimator, fitted if there is one, has a method."""

    def check(self) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class WeightedEstimator(MetaEstimatorMixin, BaseEstimator):
    """A classifier or regressor on all labelled samples, the source's with their weights.

    Use it to learn with one of the weightings of this package. `fit` fits the weighter to all
    samples, labelled or not, then a clone of the estimator to the labelled samples of all domains,
    with the weighter's weights as `sample_weight`: those of source samples as estimated, those of
    target samples one (`BalancedWeighting` weights them too). In use the domain doesn't matter:
    `predict` and the rest are the estimator's own.

    Args:
        estimator: Classifier or regressor whose `fit` takes `sample_weight`, or a `Pipeline` whose
            last step does.
        weighter: What weights the samples, such as `KernelMeanMatching()`. Its `target` says which
            domain is the target.

    Attributes:
        estimator_: The fitted estimator.
        weighter_: The fitted weighter, with the weights of all samples as `weights_`.
        classes_: Of a classifier, its classes.

    Raises:
        InputError: If the estimator doesn't take `sample_weight`, a source sample has no label, or
            a classifier's labels are of one class only.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from tl_keras.instances import NearestNeighborWeighting
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [2.0], [2.4], [2.8]])
        >>> y, domain = [0, 0, 1, 1, -1, -1, -1], ["source"] * 4 + ["target"] * 3
        >>> model = WeightedEstimator(LogisticRegression(C=100.0), NearestNeighborWeighting())
        >>> model.fit(X, y, domain=domain).predict([[0.1], [2.9]]).tolist()
        [0, 1]
    """

    __metadata_request__fit: ClassVar = {"domain": True}

    def __init__(self, estimator: Any, weighter: Any):
        self.estimator = estimator
        self.weighter = weighter

    def fit(self, X, y, *, domain=None):
        """Fit weighter and estimator.

        Args:
            X: `(n, features)`.
            y: Labels `(n,)`; unlabelled target samples are −1, NaN or None, for a regressor only
                NaN or None.
            domain: Domain label of each sample `(n,)`; None: nothing has shifted.

        Returns:
            self

        Raises:
            InputError: If estimator, labels or domains do not fit.
            ValueError: If `X` is not finite or not two-dimensional.
        """
        if not hasattr(self.weighter, "fit") or not hasattr(self.weighter, "target"):
            raise InputError(
                "weighter: expected an estimator of weights such as KernelMeanMatching(), got "
                f"{self.weighter!r}."
            )
        parameter = weight_parameter(self.estimator)
        validate_data(self, X, skip_check_array=True)
        classifier = is_classifier(self.estimator)
        X, y = _rows(X), _labels(y, classifier)
        check_consistent_length(X, y)
        domains = resolve_domains(domain, self.weighter.target, len(y))
        labelled = labelled_samples(y, domains, regression=not classifier)
        # To a weighter the labels of a regressor are marks of what is labelled: −1 is a number.
        marks = y if classifier else np.where(labelled, 0.0, np.nan)
        self.weighter_ = clone(self.weighter).fit(X, marks, domain=domain)
        known = y[labelled]
        known = np.array(known.tolist()) if known.dtype == object else known
        if classifier:
            require_classes(known, "the labelled samples")
        rows = np.flatnonzero(labelled)
        weights = {parameter: self.weighter_.weights_[rows]}
        # The weights go to where `parameter` says, whatever is asked for by metadata routing.
        with config_context(enable_metadata_routing=False):
            self.estimator_ = clone(self.estimator).fit(_safe_indexing(X, rows), known, **weights)
        return self

    @available_if(_has("predict"))
    def predict(self, X):
        """Return the estimator's predictions `(n,)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X):
        """Return the estimator's probabilities `(n, classes)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities `(n, classes)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X):
        """Return the estimator's scores of the classes for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @available_if(_has("score"))
    def score(self, X, y, sample_weight=None):
        """Return the estimator's score, of a classifier the accuracy, of a regressor R².

        Args:
            X: `(n, features)`.
            y: Labels `(n,)`, all known.
            sample_weight: Weights `(n,)`, or None.
        """
        check_is_fitted(self)
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(X, y, **weights)

    @property
    def classes_(self) -> np.ndarray:
        """The classes of the fitted classifier `(classes,)`."""
        return self.estimator_.classes_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self):
        tags = get_tags(self.estimator)
        tags.input_tags.sparse &= get_tags(self.weighter).input_tags.sparse
        tags.input_tags.allow_nan = False
        tags.target_tags.required = True
        tags.target_tags.multi_output = False
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


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
    inner = getattr(estimator, "estimator", None)
    return hands_on and inner is not None and takes_weights(inner)


def _rows(X: Any) -> Any:
    """Return `X` with rows that can be chosen: a table as it is, else a CSR matrix or an array."""
    if scipy.sparse.issparse(X):
        return X.tocsr()
    return X if hasattr(X, "columns") else np.asarray(X)


def _labels(y: Any, classifier: bool) -> np.ndarray:
    if y is None:
        raise InputError(
            "WeightedEstimator requires y to be passed, but the target y is None. Give the labels "
            "of the source samples, with −1 or NaN for target samples that have none."
        )
    y = column_or_1d(y, warn=True)
    if classifier or y.dtype != object:
        return y
    return np.array([np.nan if value is None else value for value in y], np.float64)


def _name(estimator: Any) -> str:
    return estimator if isinstance(estimator, str) else type(estimator).__name__
