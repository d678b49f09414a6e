"""Source weights from a classifier that tells source and target samples apart."""

from typing import Any

import numpy as np
import scipy.sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from tl_keras.arrays.base import DomainWeighter
from tl_keras.arrays.checks import is_number
from tl_keras.instances.pooled import stacked
from tl_keras.utils.errors import InputError


class DomainClassifierWeighting(DomainWeighter):
    """Weights from the odds that a domain classifier gives a source sample to be a target one.

    Use it for covariate shift with many features or features that no kernel fits, with whatever
    classifier suits them.

        w(x) = n_source/n_target · P(target | x) / P(source | x)

    which is the ratio of target to source density if the probabilities are right. Probabilities
    nearer to 0 or 1 than half a sample, `1 / 2(n_source + n_target)`, are moved there.

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        classifier: A scikit-learn classifier with `predict_proba`; None: logistic regression on
            features of variance one and, where they are dense, of mean zero.
        folds: None: the classifier judges the samples that it learnt from. 2 or more: each sample
            is judged by a classifier that has not seen its fold; choose this for classifiers that
            can learn samples by heart, such as forests.
        random_state: Seed of the folds, and of the classifier if it has a `random_state` that is
            None.

    Attributes:
        weights_: `(n,)`: of source samples the weight, with mean one; of target samples one.
        effective_sample_size_: `(Σw)² / Σw²` over the source samples.
        classifier_: The classifier fitted to all samples; its classes are 0, source, and 1,
            target.

    Raises:
        InputError: If the classifier has no `predict_proba` or a parameter does not fit.

    Example:
        >>> import numpy as np
        >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [2.0], [3.0], [4.0]])
        >>> domain = ["source"] * 4 + ["target"] * 3
        >>> DomainClassifierWeighting().fit(X, domain=domain).weights_[:4].argmax().item()
        3

    ADAPT's `IWC` uses the decisions of a classifier without probabilities as if they were
    probabilities; this class refuses such a classifier.

    Paper: Bickel, Brückner and Scheffer, Discriminative Learning for Differing Training and Test
    Distributions, ICML 2007.
    """

    def __init__(
        self,
        target: Any = "target",
        *,
        classifier: Any = None,
        folds: int | None = None,
        random_state: Any = None,
    ):
        self.target = target
        self.classifier = classifier
        self.folds = folds
        self.random_state = random_state

    @property
    def _sparse(self) -> bool:
        if self.classifier is None:
            return True
        return (
            hasattr(self.classifier, "__sklearn_tags__")
            and get_tags(self.classifier).input_tags.sparse
        )

    def _estimate(self, source: Any, target: Any) -> np.ndarray:
        self._dense = not scipy.sparse.issparse(source)
        model = _default_classifier(self._dense) if self.classifier is None else self.classifier
        if not hasattr(model, "predict_proba"):
            raise InputError(
                f"classifier: expected a classifier with predict_proba, got "
                f"{type(model).__name__}. Wrap it in CalibratedClassifierCV, or use "
                "LogisticRegression."
            )
        if self.folds is not None and not is_number(self.folds, 2, whole=True):
            raise InputError(
                f"folds: expected None or a whole number of 2 or more, got {self.folds!r}."
            )
        random = check_random_state(self.random_state)
        X = stacked(source, target)
        counts = source.shape[0], target.shape[0]
        y = np.repeat([0, 1], counts)
        self._prior, self._least = counts[0] / counts[1], 0.5 / sum(counts)
        # Of the default, neither the parameters nor the samples need another check.
        known = True if self.classifier is None else None
        with config_context(assume_finite=known, skip_parameter_validation=known):
            self.classifier_ = _seeded(model, random).fit(X, y)
            if self.folds is None:
                probability = self.classifier_.predict_proba(source)[:, 1]
            else:
                probability = held_out_probability(_seeded(model, random), X, y, self.folds, random)
                probability = probability[: counts[0]]
        return odds(probability, self._prior, self._least)

    def density_ratio(self, X: Any) -> np.ndarray:
        """Return the estimated ratio of target to source density for samples.

        Args:
            X: `(n, features)`.

        Returns:
            `(n,)`, above 0, not scaled to mean one.
        """
        check_is_fitted(self)
        X = validate_data(
            self,
            X,
            accept_sparse="csr" if self._sparse else False,
            dtype=(np.float64, np.float32),
            reset=False,
        )
        if self._dense and scipy.sparse.issparse(X):
            X = X.toarray()
        return odds(self.classifier_.predict_proba(X)[:, 1], self._prior, self._least)


def odds(probability: np.ndarray, prior: float, least: float) -> np.ndarray:
    """Return `prior · p / (1 − p)` for `p` kept between `least` and `1 − least`."""
    probability = np.clip(np.asarray(probability, np.float64), least, 1.0 - least)
    return prior * probability / (1.0 - probability)


def held_out_probability(
    classifier: Any, X: Any, y: np.ndarray, folds: int, random: np.random.RandomState
) -> np.ndarray:
    """Return `P(class 1)` of each sample `(n,)` by a clone that has not seen its fold.

    Args:
        classifier: Any classifier with `predict_proba`.
        X: `(n, features)`.
        y: Classes 0 and 1 `(n,)`.
        folds: Number of folds; fewer if a class has fewer samples.
        random: For the folds.

    Raises:
        InputError: If a class has only one sample.
    """
    folds = min(folds, np.bincount(y).min())
    if folds < 2:
        raise InputError(
            "folds: source and target need two samples each to hold some out, got only one. Add "
            "samples, or use folds=None."
        )
    parts = StratifiedKFold(folds, shuffle=True, random_state=random.randint(2**31))
    return cross_val_predict(classifier, X, y, cv=parts, method="predict_proba")[:, 1]


def _default_classifier(dense: bool) -> Pipeline:
    # Far from the origin the solver would stop at once.
    return make_pipeline(StandardScaler(with_mean=dense), LogisticRegression(max_iter=1000))


def _seeded(classifier: Any, random: np.random.RandomState) -> Any:
    """Return a clone in which every `random_state` that was None is set."""
    copy = clone(classifier)
    unset = {
        name: random.randint(2**31)
        for name, value in sorted(copy.get_params().items())
        if name.split("__")[-1] == "random_state" and value is None
    }
    return copy.set_params(**unset)
