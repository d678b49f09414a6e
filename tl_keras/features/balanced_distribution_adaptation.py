"""Balanced distribution adaptation."""

from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from tl_keras.arrays.checks import is_number
from tl_keras.divergences import proxy_a_distance
from tl_keras.features.domain_pairs import pairs_of_classes, pairs_of_domains
from tl_keras.features.joint_distribution_adaptation import JointDistributionAdaptation
from tl_keras.utils.errors import InputError

DISTANCE_SAMPLES = 500


class BalancedDistributionAdaptation(JointDistributionAdaptation):
    """Joint distribution adaptation that weighs whole domains against single classes.

    For when it is known, or should be found out, whether domains differ as a whole (a shift common
    to all classes) or class by class. With

        W = argmax tr((Wᵀ(K((1 − μ)M₀ + μ Σ_c M_c)K + ρI)W)⁻¹ WᵀKHKW)

    `balance=0` is transfer component analysis and `balance=0.5` is joint distribution adaptation
    with twice the regularization. `balance="auto"` estimates

        μ = 1 − d₀ / (d₀ + mean_c d_c)

    in each round, where `d = 2(1 − 2ε)` is the proxy A-distance of the domains (`d₀`) or of their
    samples of class `c`, and `ε` the error with which a linear classifier tells them apart. It is
    computed on the features as they are, all sources against all targets. Wang et al. 2018
    propose it, with the sum in place of the mean over classes; the mean does not depend on how
    many classes there are.

    Several sources and targets, scale of the components, solvers, sizes and the default estimator
    are as in `JointDistributionAdaptation`.

    Args:
        n_components: Number of components, 1 or more. There are fewer where samples span fewer.
        balance: `μ`, from 0 (whole domains) to 1 (classes), or `"auto"`.
        class_weighted: Whether each class mean is weighted by the root of the class's share of its
            domain (W-BDA), for classes that are unequally frequent or shift in frequency.
        estimator: Classifier of embedded samples that gives the target its labels; None: the
            nearest neighbour.
        iterations: Rounds of labelling at the most, 1 or more.
        kernel: `"rbf"`, `"linear"`, `"laplacian"`, `"polynomial"`, `"cosine"` or `"primal"`.
        gamma: Width of the kernel: a number above 0, `"median"` or `"scale"`.
        regularization: `r` above 0, with `ρ = r · tr(KHK) / n` as in `TransferComponentAnalysis`;
            lower it where the shares of classes agree.
        solver: `"exact"`, `"nystroem"` or `"auto"`, by size.
        landmarks: Number of samples in the basis of `"nystroem"`.
        target: Label of the target domain, or a list of labels.
        random_state: Seed of the landmarks, of the median, of the eigensolver's start and of the
            samples that distances are estimated from.

    Attributes:
        balance_: `μ` of the last round.
        pseudo_labels_: Labels of the target samples that the components were found with.
        classes_: Labels that occur.
        n_iter_: Rounds of labelling that changed the components.
        coefficients_: What new samples, or their kernel values, are multiplied by.
        basis_: Samples that new samples are compared with; None for linear, cosine and primal.
        criterion_: Value of the criterion for each component, descending.
        gamma_: Width that was used; None for linear, cosine and primal.
        solver_: `"exact"` or `"nystroem"`.

    Raises:
        InputError: As `JointDistributionAdaptation`, or if `balance` is out of range.

    Example:
        >>> import numpy as np
        >>> from tl_keras.features import BalancedDistributionAdaptation
        >>> random = np.random.default_rng(0)
        >>> y = np.tile([0, 1], 60)
        >>> X = random.normal(size=(120, 4))
        >>> X[:, 0] += 6 * y
        >>> X[60:, 1] += 4 * y[60:]  # only one class shifts
        >>> domain = np.repeat(["source", "target"], 60)
        >>> adaptation = BalancedDistributionAdaptation(3, balance="auto", random_state=0)
        >>> Z = adaptation.fit_transform(X, np.where(domain == "target", -1, y), domain=domain)
        >>> bool(0 <= adaptation.balance_ <= 1), Z.shape
        (True, (120, 3))

    Reference:
        Wang, Chen, Hao, Feng and Shen, "Balanced distribution adaptation for transfer learning",
        ICDM 2017. The estimate of `μ`: Wang, Feng, Chen, Yu, Huang and Yu, "Visual domain
        adaptation with manifold embedded distribution alignment", ACM Multimedia 2018.
    """

    def __init__(
        self,
        n_components: int = 40,
        *,
        balance: Any = "auto",
        class_weighted: bool = False,
        estimator: Any = None,
        iterations: int = 10,
        kernel: str = "rbf",
        gamma: Any = "median",
        regularization: float = 10.0,
        solver: str = "auto",
        landmarks: int = 1000,
        target: Any = "target",
        random_state: Any = None,
    ):
        super().__init__(
            n_components,
            estimator=estimator,
            iterations=iterations,
            kernel=kernel,
            gamma=gamma,
            regularization=regularization,
            solver=solver,
            landmarks=landmarks,
            target=target,
            random_state=random_state,
        )
        self.balance = balance
        self.class_weighted = class_weighted

    def _fit(self, X, y, domains):
        value = self.balance
        number = is_number(value, 0) and value <= 1
        if not number and not (isinstance(value, str) and value == "auto"):
            raise InputError(f"balance: expected a number from 0 to 1 or 'auto', got {value!r}.")
        self.balance_ = float(value) if number else 0.0
        super()._fit(X, y, domains)

    def _pairs(self, X, domains, codes):
        if isinstance(self.balance, str):
            self.balance_ = estimated_balance(X, domains.target, codes, self.random_state)
        marginal = pairs_of_domains(domains)
        conditional = pairs_of_classes(domains, codes, by_prior=bool(self.class_weighted))
        return np.hstack(
            [np.sqrt(1 - self.balance_) * marginal, np.sqrt(self.balance_) * conditional]
        )


def estimated_balance(X: Any, target: np.ndarray, codes: np.ndarray, random_state: Any) -> float:
    """Return `1 − d₀ / (d₀ + mean_c d_c)` with proxy A-distances `d`; 0.5 if all are zero.

    Args:
        X: `(n, features)`, dense or sparse.
        target: Mask `(n,)` of target samples; all others are sources.
        codes: Class of each sample `(n,)`. Classes with one sample on a side are left out.
        random_state: Seed.
    """
    random = check_random_state(random_state)
    whole = _distance(X, ~target, target, random)
    of_classes = [
        _distance(X, ~target & (codes == code), target & (codes == code), random)
        for code in np.unique(codes)
    ]
    known = [distance for distance in of_classes if distance is not None]
    if whole is None or not known:
        return 0.5
    total = whole + np.mean(known)
    return float(1.0 - whole / total) if total > 0 else 0.5


def _distance(X, source, target, random) -> float | None:
    rows = [
        random.permutation(np.flatnonzero(mask))[:DISTANCE_SAMPLES] for mask in (source, target)
    ]
    if min(len(part) for part in rows) < 2:
        return None
    return proxy_a_distance(X[rows[0]], X[rows[1]], folds=2, random_state=random)
