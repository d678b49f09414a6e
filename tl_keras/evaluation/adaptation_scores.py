"""How well a model is adapted to a target, judged without labels of the target."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tl_keras.evaluation.tables import number, text_table
from tl_keras.models.passes import outputs_of
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError

SCORES = ("entropy", "information", "weighted_risk", "dev", "reverse_risk")
LEAST = 1e-12


@dataclasses.dataclass(frozen=True)
class AdaptationScores:
    """Scores of one model on one target, all the better the smaller. Prints as a table.

    Attributes:
        entropy: Mean entropy of the predictions on the target, in nats. Says nothing about a model
            that is sure of one class everywhere; look at `information` as well.
        information: Minus the mutual information of example and prediction on the target, in nats:
            the entropy less that of the mean prediction.
        weighted_risk: Cross-entropy on the source, each example weighted by how much more likely it
            is under the target: importance-weighted validation.
        dev: The same with a control variate that lowers its variance: deep embedded validation.
        reverse_risk: Share of source examples that a classifier gets wrong which learned from the
            model's predictions on the target: reverse validation.
        source_risk: Cross-entropy on the source, unweighted; for comparison.
    """

    entropy: float
    information: float
    weighted_risk: float
    dev: float
    reverse_risk: float
    source_risk: float

    def __getitem__(self, name: str) -> float:
        """Return a score by name."""
        if name not in (*SCORES, "source_risk"):
            raise InputError(f"score: expected one of {SCORES}, got {name!r}.")
        return getattr(self, name)

    def __str__(self) -> str:
        """Return the table as text."""
        rows = [(k.replace("_", " "), number(v)) for k, v in dataclasses.asdict(self).items()]
        return text_table("without target labels, smaller is better", ("score", "value"), rows)


def adaptation_scores(
    model: TransferModel,
    source: Any,
    target: Any,
    *,
    batch_size: int = 32,
    limit: int = 2000,
    seed: int = 0,
    forward: Callable[[Any], Any] | None = None,
) -> AdaptationScores:
    """Score a model's adaptation from labelled source and unlabelled target examples.

    No score is right every time: entropy and information trust the model's confidence, the weighted
    risks need source and target to overlap in the features, the reverse risk needs clusters.
    Choose by one of them among runs that differ in weight, objective or length, and look at the
    others.

    Args:
        model: A classifier with one task.
        source: Labelled source examples that the model was not trained on, at least 2.
        target: Target examples, at least 2; labels are not read.
        batch_size: Examples at a time.
        limit: Examples of each domain at the most, ≥ 2, drawn at random; for speed.
        seed: Of the draw and of the folds.
        forward: From `tl_keras.models.passes.compiled_forward`, to save compiling it again.

    Raises:
        InputError: If the model is no classifier with one task, the source has no labels, or a
            domain has fewer than 2 examples.

    Weighted risk: Sugiyama, Krauledat, Müller: *Covariate Shift Adaptation by Importance Weighted
    Cross Validation*, JMLR 2007. DEV: You et al.: *Towards Accurate Model Selection in Deep
    Unsupervised Domain Adaptation*, ICML 2019. Reverse: Zhong et al.: *Cross Validation Framework
    to Choose amongst Models and Datasets for Transfer Learning*, ECML 2010. Information: Shi, Sha,
    ICML 2012.
    """
    check_classifier(model)
    limit = whole(limit, "limit", least=2)
    random = np.random.default_rng(seed)
    arguments = {"batch_size": batch_size, "forward": forward}
    labelled = outputs_of(model, source, model.targets, argument="source", **arguments)
    other = outputs_of(model, target, argument="target", **arguments)
    for argument, found in (("source", labelled), ("target", other)):
        if len(found.features) < 2:
            raise InputError(
                f"{argument}: expected at least 2 examples, to tell the domains apart on some that "
                f"the others teach, got {len(found.features)}. Add examples."
            )
    rows = _some(len(labelled.features), limit, random)
    features, y = labelled.features[rows], labelled.targets[rows]
    losses = -(y * log_softmax(labelled.logits[rows])).sum(axis=1)
    rows = _some(len(other.features), limit, random)
    target_features, target_logits = other.features[rows], other.logits[rows]
    weights = density_ratio(features, target_features, seed=seed)
    return AdaptationScores(
        entropy=mean_entropy(target_logits),
        information=-mutual_information(target_logits),
        weighted_risk=float(np.mean(weights * losses)),
        dev=dev_risk(losses, weights),
        reverse_risk=reverse_risk(
            target_features, target_logits.argmax(axis=1), features, y.argmax(axis=1)
        ),
        source_risk=float(np.mean(losses)),
    )


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of probabilities, float64 `(n, size)`."""
    shifted = np.asarray(logits, np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def mean_entropy(logits: np.ndarray) -> float:
    """Return the mean of `−Σ p log p`, `p = softmax(logits)`, in nats."""
    log_p = log_softmax(logits)
    return float(-(np.exp(log_p) * log_p).sum(axis=1).mean())


def mutual_information(logits: np.ndarray) -> float:
    """Return `H(mean p) − mean H(p)`, in nats."""
    mean = np.exp(log_softmax(logits)).mean(axis=0)
    return float(-(mean * np.log(np.maximum(mean, LEAST))).sum()) - mean_entropy(logits)


def density_ratio(source: np.ndarray, target: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return how much likelier each source example is under the target, `(n,)`.

    `w = (n_source / n_target) · p(target | x) / p(source | x)` by a logistic regression on
    standardised features that tells the domains apart. Each example is judged by one that has not
    seen it (five folds), so that memorised examples don't look particular to their domain.

    Args:
        source: Features `(n, channels)`, n ≥ 2.
        target: Features `(m, channels)`, m ≥ 2.
        seed: Of the folds.
    """
    x = np.concatenate([source, target])
    domain = np.repeat([0, 1], [len(source), len(target)])
    folds = StratifiedKFold(min(5, len(source), len(target)), shuffle=True, random_state=seed)
    p = cross_val_predict(_logistic(), x, domain, cv=folds, method="predict_proba")[:, 1]
    p = np.clip(p[: len(source)], 1e-6, 1 - 1e-6)
    return len(source) / len(target) * p / (1 - p)


def dev_risk(losses: np.ndarray, weights: np.ndarray) -> float:
    """Return `mean(w·ℓ) + η·mean(w) − η`, `η = −Cov(w·ℓ, w) / Var(w)`.

    The mean of the weights is 1 in expectation; where it is not in this sample, the estimate is
    corrected by what usually goes with it.

    Args:
        losses: ℓ `(n,)`, n ≥ 2.
        weights: w `(n,)`.
    """
    weighted = weights * losses
    covariance = np.cov(weighted, weights, ddof=1)
    eta = -covariance[0, 1] / covariance[1, 1] if covariance[1, 1] > 0 else 0.0
    return float(weighted.mean() + eta * weights.mean() - eta)


def reverse_risk(
    target: np.ndarray,
    predicted: np.ndarray,
    source: np.ndarray,
    y: np.ndarray,
    estimator: ClassifierMixin | None = None,
) -> float:
    """Return the error on the source of a classifier trained on the target's predicted classes.

    Args:
        target: Features `(m, channels)`.
        predicted: Classes that the model predicts there, whole numbers `(m,)`.
        source: Features `(n, channels)`.
        y: True classes of the source, whole numbers `(n,)`.
        estimator: A scikit-learn classifier; by default logistic regression.
    """
    if len(np.unique(predicted)) == 1:
        return float(np.mean(y != predicted[0]))
    fitted = (_logistic() if estimator is None else clone(estimator)).fit(target, predicted)
    return float(np.mean(fitted.predict(source) != y))


def check_classifier(model: Any) -> None:
    """Raise `InputError` unless a model is a classifier with one task."""
    spec = model.targets if isinstance(model, TransferModel) else None
    if not isinstance(spec, TargetSpec) or not spec.task.one_class:
        raise InputError(
            "model: expected one made by build_transfer_model with one class per example. Scores "
            "without target labels are defined for classifiers."
        )


def _logistic() -> ClassifierMixin:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))


def _some(count: int, limit: int, random: np.random.Generator) -> np.ndarray:
    return np.arange(count) if count <= limit else random.permutation(count)[:limit]
