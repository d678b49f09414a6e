"""Any scikit-learn estimator, fitted with the weights that a weighter finds."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier
from sklearn.utils import Tags, _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import (
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from tl_keras.arrays.domains import resolve_domains
from tl_keras.arrays.labels import (
    labelled_samples,
    refuse_marks_in_scores,
    regression_values,
    require_classes,
)
from tl_keras.arrays.marks import keep_marks
from tl_keras.arrays.sample_weights import fit_weighted, weight_parameter
from tl_keras.utils.errors import InputError, describe

_TABLE = "samples of shape (n, features) in an array, a sparse matrix or a data frame"


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

    Weighters need finite features, and so does `fit`, also with an estimator that does without. Of
    scikit-learn's checks of estimators one fails for this: `check_estimators_nan_inf`, with an
    estimator such as a tree, which predicts for missing features too.

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
        InputError: If the estimator doesn't take `sample_weight`, a source sample has no label, a
            classifier's labels are of one class only, or a regressor's are no numbers.

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

    def fit(self, X: Any, y: Any, *, domain: Any = None) -> "WeightedEstimator":
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
        X = _rows(X)
        validate_data(self, X, skip_check_array=True)
        classifier = is_classifier(self.estimator)
        y = _labels(y, classifier)
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
        self.estimator_ = fit_weighted(
            clone(self.estimator),
            parameter,
            _safe_indexing(X, rows),
            known,
            self.weighter_.weights_[rows],
        )
        return self

    @available_if(_has("predict"))
    def predict(self, X: Any) -> np.ndarray:
        """Return the estimator's predictions `(n,)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict(X)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the estimator's probabilities `(n, classes)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return the logarithms of the probabilities `(n, classes)` for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the estimator's scores of the classes for `X` `(n, features)`."""
        check_is_fitted(self)
        return self.estimator_.decision_function(X)

    @available_if(_has("score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the estimator's score, of a classifier the accuracy, of a regressor R².

        Args:
            X: `(n, features)`.
            y: Labels `(n,)`, all known.
            sample_weight: Weights `(n,)`, or None.
        """
        check_is_fitted(self)
        refuse_marks_in_scores(y, getattr(self.estimator_, "classes_", None))
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        return self.estimator_.score(X, y, **weights)

    @property
    def classes_(self) -> np.ndarray:
        """The classes of the fitted classifier `(classes,)`."""
        return self.estimator_.classes_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimator_")

    def __sklearn_tags__(self) -> Tags:
        tags = get_tags(self.estimator)
        tags.input_tags.sparse &= get_tags(self.weighter).input_tags.sparse
        tags.input_tags.allow_nan = False
        tags.target_tags.required = True
        tags.target_tags.multi_output = False
        if tags.classifier_tags is not None:
            tags.classifier_tags.multi_label = False
        return tags


def _rows(X: Any) -> Any:
    """Return `X` with rows that can be chosen: a table as it is, else a CSR matrix or an array."""
    if scipy.sparse.issparse(X):
        return X.tocsr()
    if hasattr(X, "columns"):
        return X
    try:
        rows = np.asarray(X)
    except ValueError as error:
        raise InputError(f"X: expected {_TABLE}, got rows of different lengths.") from error
    if rows.ndim == 0:
        raise InputError(f"X: expected {_TABLE}, got {describe(X)}.")
    return rows


def _labels(y: Any, classifier: bool) -> np.ndarray:
    if y is None:
        raise InputError(
            "WeightedEstimator requires y to be passed, but the target y is None. Give the labels "
            "of the source samples, with −1 or NaN for target samples that have none."
        )
    y = column_or_1d(keep_marks(y), warn=True)
    return y if classifier else regression_values(y)
