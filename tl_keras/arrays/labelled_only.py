"""Any learner behind a map of features: it learns from the samples that have a label."""

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier, is_regressor
from sklearn.utils import Tags, _safe_indexing, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from tl_keras.arrays.domains import resolve_domains
from tl_keras.arrays.labels import (
    labelled_samples,
    refuse_marks_in_scores,
    regression_values,
    require_classes,
)
from tl_keras.arrays.marks import keep_marks
from tl_keras.arrays.sample_weights import fit_weighted, weight_parameter
from tl_keras.utils.errors import InputError, counted

if TYPE_CHECKING:
    from typing_extensions import Self


def _has(name: str):
    def check(self: Any) -> bool:
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class LabelledOnly(MetaEstimatorMixin, BaseEstimator):
    """Fit an estimator on the labelled samples only.

    A map of features learns from labelled sources and unlabelled targets alike and passes both
    on. The learner behind it, any of scikit-learn's, would take the marks of unlabelled samples
    (−1, NaN, None) for labels. Wrap it in this as the last step of a pipeline. Where something
    around the pipeline encodes the labels first, as `VotingClassifier` does, −1 would reach it as a
    class: mark unlabelled samples with None or NaN there, which scikit-learn refuses.

    Args:
        estimator: Any scikit-learn classifier or regressor; it is cloned.
        target: Label of the target domain, or a list of labels.

    Attributes:
        estimator_: The fitted estimator.
        classes_: Its classes, for classifiers.
        n_features_in_: Number of features.

    Raises:
        InputError: If a source sample has no label, a classifier's labels are of one class only, or
            a regressor's are no numbers.

    Example:
        >>> from sklearn.linear_model import LogisticRegression
        >>> X, y = [[0.0], [1.0], [0.1], [0.9]], [0, 1, -1, -1]
        >>> domain = ["source", "source", "target", "target"]
        >>> model = LabelledOnly(LogisticRegression()).fit(X, y, domain=domain)
        >>> model.classes_.tolist()
        [0, 1]
    """

    __metadata_request__fit: ClassVar = {"domain": True}

    def __init__(self, estimator: Any, *, target: Any = "target"):
        self.estimator = estimator
        self.target = target

    def fit(self, X: Any, y: Any, *, domain: Any = None, sample_weight: Any = None) -> "Self":
        """Fit the estimator.

        Args:
            X: `(n, features)`, dense or CSR; a data frame reaches the estimator as it is.
            y: Labels `(n,)`; unlabelled target samples are −1, NaN or None, for regressors only
                NaN or None.
            domain: Domain label of each sample `(n,)`. None: nothing has shifted, and every sample
                needs a label.
            sample_weight: Weights `(n,)` for an estimator that takes them.

        Returns:
            self
        """
        X = self._checked(X, reset=True)
        if y is None:
            raise InputError("y: this estimator requires y to be passed, but the target y is None.")
        y = column_or_1d(keep_marks(y), warn=True)
        if len(y) != X.shape[0]:
            raise InputError(
                f"y: expected {counted(X.shape[0], 'label')}, one per sample, got {len(y)}."
            )
        regression = is_regressor(self.estimator)
        if regression:
            y = regression_values(y)
        domains = resolve_domains(domain, self.target, X.shape[0])
        rows = np.flatnonzero(labelled_samples(y, domains, regression=regression))
        weight = None if sample_weight is None else np.asarray(sample_weight)
        if weight is not None and weight.shape != y.shape:
            raise InputError(
                f"sample_weight: expected one weight per sample, shape {y.shape}, got "
                f"{weight.shape}."
            )
        known = y[rows]
        known = np.array(known.tolist()) if known.dtype == object else known
        if is_classifier(self.estimator):
            require_classes(known, "the labelled samples")
        copy, X = clone(self.estimator), _safe_indexing(X, rows)
        if weight is None:
            self.estimator_ = copy.fit(X, known)
        else:
            self.estimator_ = fit_weighted(copy, weight_parameter(copy), X, known, weight[rows])
        if is_classifier(self.estimator):
            self.classes_ = self.estimator_.classes_
        return self

    @available_if(_has("predict"))
    def predict(self, X: Any) -> Any:
        """Return the estimator's predictions `(n,)`."""
        return self._fitted().predict(self._checked(X))

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Return the estimator's probabilities `(n, classes)`."""
        return self._fitted().predict_proba(self._checked(X))

    @available_if(_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithms of the estimator's probabilities `(n, classes)`."""
        return self._fitted().predict_log_proba(self._checked(X))

    @available_if(_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Return the estimator's decision values."""
        return self._fitted().decision_function(self._checked(X))

    @available_if(_has("score"))
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the estimator's own score, as accuracy for classifiers and R² for regressors."""
        weights = {} if sample_weight is None else {"sample_weight": sample_weight}
        refuse_marks_in_scores(y, getattr(self._fitted(), "classes_", None))
        return self._fitted().score(self._checked(X), y, **weights)

    def _fitted(self) -> Any:
        check_is_fitted(self)
        return self.estimator_

    def _checked(self, X: Any, reset: bool = False) -> Any:
        if not reset:
            check_is_fitted(self)
        finite = not get_tags(self.estimator).input_tags.allow_nan
        checked = validate_data(self, X, accept_sparse="csr", ensure_all_finite=finite, reset=reset)
        return X if hasattr(X, "columns") else checked

    def __sklearn_tags__(self) -> Tags:
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.estimator_type = inner.estimator_type
        tags.classifier_tags = inner.classifier_tags
        tags.regressor_tags = inner.regressor_tags
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.target_tags.required = True
        return tags
