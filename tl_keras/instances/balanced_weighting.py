"""Weights that give the target a chosen share of the loss."""

from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from tl_keras.arrays.checks import is_number
from tl_keras.arrays.domains import Domains, resolve_domains, warn_without_domain
from tl_keras.arrays.labels import has_fractions, labelled_samples
from tl_keras.arrays.marks import keep_marks
from tl_keras.arrays.weights import effective_sample_size, warn_of_one_sample
from tl_keras.utils.errors import InputError


class BalancedWeighting(BaseEstimator):
    """Weights with which all target samples together count as much as one chooses.

    Use it when there are some target labels, but far fewer than source labels, so that without
    weights the source would drown them. All samples of a side have the same weight:

        loss = (1 − ratio) · mean source loss + ratio · mean target loss

    Several source domains are pooled, and so are several target domains.

    Args:
        target: Label of the target domain, or a list of labels.
        ratio: Share of the target, 0 (source only) … 1 (target only).

    Attributes:
        weights_: `(n,)`, with mean one over the samples that have a label; 0 for target samples
            without.
        effective_sample_size_: `(Σw)² / Σw²` over all samples.

    Raises:
        InputError: If `ratio` is out of range or no target sample has a label.

    Example:
        >>> import numpy as np
        >>> X, y = np.arange(6.0)[:, None], [0, 1, 0, 1, 0, -1]
        >>> domain = ["source"] * 4 + ["target"] * 2
        >>> BalancedWeighting(ratio=0.5).fit(X, y, domain=domain).weights_.tolist()
        [0.625, 0.625, 0.625, 0.625, 2.5, 0.0]

    Paper: Wu and Dietterich, Improving SVM Accuracy by Training on Auxiliary Data Sources, ICML
    2004.
    """

    __metadata_request__fit: ClassVar = {"domain": True}

    def __init__(self, target: Any = "target", *, ratio: float = 0.5):
        self.target = target
        self.ratio = ratio

    def fit(self, X: Any, y: Any = None, *, domain: Any = None) -> "BalancedWeighting":
        """Compute the weights.

        Args:
            X: `(n, features)`; only the number of samples and features matters.
            y: Labels `(n,)`, with −1, NaN or None for target samples that have none; with
                fractions among the numbers, only NaN. None: all samples count as labelled.
            domain: Domain label of each sample `(n,)`; None: nothing has shifted.

        Returns:
            self

        Raises:
            InputError: If `domain` does not fit, a source sample has no label, or no target sample
                has one.
            ValueError: If `X` is not finite or not two-dimensional.
        """
        X = validate_data(self, X, accept_sparse=True)
        if not is_number(self.ratio, 0) or self.ratio > 1:
            raise InputError(f"ratio: expected a number from 0 to 1, got {self.ratio!r}.")
        domains = resolve_domains(domain, self.target, X.shape[0])
        labelled = np.ones(X.shape[0], bool)
        if y is not None:
            y = np.asarray(keep_marks(y))
            if y.shape != (X.shape[0],):
                raise InputError(
                    f"y: expected one label per sample, shape ({X.shape[0]},), got {y.shape}."
                )
            labelled = labelled_samples(y, domains, regression=has_fractions(y))
        warn_without_domain(domains, type(self).__name__, stacklevel=2)
        self.weights_ = balanced_weights(domains, labelled, self.ratio)
        self.effective_sample_size_ = effective_sample_size(self.weights_)
        warn_of_one_sample(
            self.weights_[labelled],
            type(self).__name__,
            "Choose a ratio that gives the others more, or label more target samples.",
            stacklevel=3,
        )
        return self

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def balanced_weights(domains: Domains, labelled: np.ndarray, ratio: float) -> np.ndarray:
    """Return weights `(n,)` with mean one over the labelled samples, of which `ratio` is target's.

    Args:
        domains: Which sample belongs where.
        labelled: Mask `(n,)` of the samples that have a label.
        ratio: Share of the target, 0 … 1.

    Raises:
        InputError: If no target sample has a label.
    """
    if not domains.given:
        return np.ones(len(labelled))
    target = domains.target & labelled
    if not target.any():
        raise InputError(
            "y: expected labels for some target samples, got none. Without target labels there is "
            "nothing to balance: use another weighting, such as KernelMeanMatching."
        )
    source = domains.source
    weights = np.zeros(len(labelled))
    weights[source] = (1 - ratio) * labelled.sum() / source.sum()
    weights[target] = ratio * labelled.sum() / target.sum()
    return weights
