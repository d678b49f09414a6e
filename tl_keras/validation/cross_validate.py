"""Cross-validation and searches that hand the domains over."""

import numbers
from typing import Any

import numpy as np
import sklearn
import sklearn.model_selection
from sklearn.base import is_classifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold
from sklearn.utils.multiclass import type_of_target

from tl_keras.arrays.labels import SEARCH_WITHOUT_LABELS
from tl_keras.arrays.marks import keep_marks
from tl_keras.utils.errors import InputError
from tl_keras.validation.domain_calls import known_labels
from tl_keras.validation.domain_scorer import target_of
from tl_keras.validation.domain_split import DomainSplit
from tl_keras.validation.reverse_validation import reverse_validation


def cross_validate(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    domain: Any,
    scoring: Any = None,
    cv: Any = None,
    target_labels: Any = None,
    n_jobs: int | None = None,
    return_train_score: bool = False,
    return_estimator: bool = False,
    error_score: Any = "raise",
) -> dict[str, Any]:
    """Evaluate an estimator by cross-validation over several domains.

    scikit-learn's `cross_validate`, with metadata routing switched on for the time of the call
    only, so that estimator, scores and splits each get the `domain` of their samples.

    Args:
        estimator: Any estimator; those that adapt to domains, alone or in a pipeline, get
            `domain`. A learner behind a map is wrapped in `tl_keras.arrays.LabelledOnly`.
        X: `(n, features)`.
        y: Labels `(n,)`; unlabelled samples are −1, NaN or None.
        domain: Domain label of each sample `(n,)`.
        scoring: A score of this package, any function `(estimator, X, y)`, or a dict of them by
            name; None: `reverse_validation()`. Where all samples have labels, scikit-learn's scores
            and their names too: of all domains together, as if they were the target.
        cv: Splits of this package or of scikit-learn, or the number of folds of a `DomainSplit`;
            None: five, `DomainSplit(5, random_state=0)`.
        target_labels: Labels `(n,)` for `domain_score` that the estimator must not see, or None.
        n_jobs: Number of processes.
        return_train_score: Whether to score the training samples too.
        return_estimator: Whether to return the fitted estimators.
        error_score: Score of a fit that fails, or `"raise"`.

    Returns:
        `test_score` (or `test_NAME` for several scores) `(splits,)`, `fit_time`, `score_time` and
        what else was asked for, as scikit-learn's function.

    Raises:
        InputError: If the domains do not fit, or a score would take the marks of samples without a
            label for labels.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from tl_keras.arrays import LabelledOnly
        >>> from tl_keras.features import CORAL
        >>> random = np.random.default_rng(0)
        >>> X, domain = random.normal(size=(80, 2)), np.repeat(["source", "target"], 40)
        >>> y = np.where(domain == "source", X[:, 0] > 0, -1)
        >>> model = make_pipeline(CORAL(), LabelledOnly(LogisticRegression()))
        >>> scores = cross_validate(model, X, y, domain=domain)
        >>> scores["test_score"].shape
        (5,)
    """
    scoring = reverse_validation() if scoring is None else scoring
    _check_scoring(scoring, estimator, y)
    _check_cv(cv, y)
    if cv is None or isinstance(cv, numbers.Integral):
        folds = 5 if cv is None else int(cv)
        cv = DomainSplit(folds, target=target_of(estimator), random_state=0)
    with sklearn.config_context(enable_metadata_routing=True):
        return sklearn.model_selection.cross_validate(
            estimator,
            X,
            y,
            scoring=scoring,
            cv=cv,
            n_jobs=n_jobs,
            params=_metadata(domain, target_labels),
            return_train_score=return_train_score,
            return_estimator=return_estimator,
            error_score=error_score,
        )


def fit_search(
    search: Any, X: Any, y: Any = None, *, domain: Any, target_labels: Any = None
) -> Any:
    """Fit a search over parameters, such as `GridSearchCV`, over several domains.

    Metadata routing is switched on for the time of the call only. The same without this function:

        with sklearn.config_context(enable_metadata_routing=True):
            search.fit(X, y, domain=domain)

    Args:
        search: `GridSearchCV`, `RandomizedSearchCV` or the like, with scores and splits of this
            package as `scoring` and `cv`.
        X: `(n, features)`.
        y: Labels `(n,)`; unlabelled samples are −1, NaN or None.
        domain: Domain label of each sample `(n,)`.
        target_labels: Labels `(n,)` for `domain_score` that the estimator must not see, or None.

    Returns:
        `search`, fitted.

    Raises:
        InputError: If the score of the search would take the marks of samples without a label for
            labels, as scikit-learn's do and the one that a search has by default.

    Example:
        >>> import numpy as np
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.model_selection import GridSearchCV
        >>> from sklearn.pipeline import make_pipeline
        >>> from tl_keras.arrays import LabelledOnly
        >>> from tl_keras.features import SubspaceAlignment
        >>> from tl_keras.validation import DomainSplit, reverse_validation
        >>> random = np.random.default_rng(0)
        >>> X, domain = random.normal(size=(80, 3)), np.repeat(["source", "target"], 40)
        >>> y = np.where(domain == "source", X[:, 0] > 0, -1)
        >>> model = make_pipeline(SubspaceAlignment(), LabelledOnly(LogisticRegression()))
        >>> search = GridSearchCV(
        ...     model,
        ...     {"subspacealignment__n_components": [1, 2]},
        ...     scoring=reverse_validation(),
        ...     cv=DomainSplit(3, random_state=0),
        ... )
        >>> sorted(fit_search(search, X, y, domain=domain).best_params_)
        ['subspacealignment__n_components']
    """
    if hasattr(search, "scoring"):
        _check_scoring(search.scoring, search.estimator, y)
        folds = search.cv is None or isinstance(search.cv, numbers.Integral)
        if folds and is_classifier(search.estimator):
            _check_cv(StratifiedKFold(), y)
        _check_cv(search.cv, y)
    with sklearn.config_context(enable_metadata_routing=True):
        return search.fit(X, y, **_metadata(domain, target_labels))


def _check_cv(cv: Any, y: Any) -> None:
    """Refuse splits of scikit-learn by class where marks of unlabelled samples stop them.

    Raises:
        InputError: If the labels cannot be sorted, or are not finite.
    """
    if y is None or "Stratified" not in type(cv).__name__:
        return
    try:
        kind = type_of_target(np.asarray(keep_marks(y)))
    except (TypeError, ValueError) as error:
        raise InputError(_unsplit(error)) from error
    if kind == "unknown":
        raise InputError(_unsplit("their type is unknown"))


def _unsplit(reason: Any) -> str:
    return (
        "cv: scikit-learn splits by class, and these labels have none for every sample "
        f"({reason}). {SEARCH_WITHOUT_LABELS}"
    )


def _metadata(domain: Any, target_labels: Any) -> dict[str, Any]:
    given = {"domain": domain}
    return given if target_labels is None else {**given, "target_labels": target_labels}


def _check_scoring(scoring: Any, estimator: Any, y: Any) -> None:
    """Refuse scores of scikit-learn where labels are missing: it would compare with the marks.

    Raises:
        InputError: If one is among `scoring`.
    """
    if y is None or known_labels(estimator, np.asarray(keep_marks(y))).all():
        return
    several = scoring if isinstance(scoring, (list, tuple, set)) else [scoring]
    several = list(scoring.values()) if isinstance(scoring, dict) else several
    plain = type(get_scorer("accuracy"))
    for one in several:
        if one is None or isinstance(one, (str, plain)):
            name = "the estimator's own score" if one is None else repr(one)
            raise InputError(
                f"scoring: {name} would take the marks of samples without a label for labels. Use "
                "reverse_validation(), which needs no labels of the target, or domain_score(…) "
                "with target_labels=…."
            )
