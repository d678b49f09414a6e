"""Joint distribution adaptation."""

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Tags, check_random_state

from tl_keras.arrays import Domains, check_memory, labelled_samples, require_classes
from tl_keras.arrays.checks import check_count
from tl_keras.features.component_transformer import ComponentTransformer
from tl_keras.features.domain_pairs import (
    count_of_pairs,
    pairs_of_classes,
    pairs_of_domains,
)
from tl_keras.utils.errors import InputError

# Labelled samples among which the default estimator looks for the nearest.
NEIGHBOURS = 20000


class JointDistributionAdaptation(ComponentTransformer):
    """Components in which the domains agree in their means and in the means of each class.

    For shifts that differ between classes, where transfer component analysis, which looks at
    whole domains only, would mix them up. Target labels are not needed: an estimator trained on
    the embedded sources labels the target, components are found with these labels, and so on
    until the labels no longer change. With

        W = argmax tr((Wᵀ(K(M₀ + Σ_c M_c)K + ρI)W)⁻¹ WᵀKHKW)

    samples are mapped to `k(x, X) W`, where `M₀` takes the squared distance of the domains' means
    and `M_c` that of the means of class `c`. The first round uses `M₀` alone. Where target
    samples have labels, those are used, to train the estimator too. Good start labels matter: if
    the estimator is mostly wrong on the target in the first round, the classes are matched wrongly.

    Several sources and targets: distances are averaged over all pairs of a source and a target
    domain (for a class: those that have samples of it). All domains share one map. Scale of the
    components, solvers and sizes are as in `TransferComponentAnalysis`. The default estimator looks
    for the nearest neighbour among 20,000 labelled samples at the most, drawn at random.

    Without domains nothing is adapted: the components are those of kernel PCA, and labels are
    not used.

    Args:
        n_components: Number of components, 1 or more. There are fewer where samples span fewer.
        estimator: Classifier of embedded samples that gives the target its labels; None: the
            nearest neighbour, as in the paper.
        iterations: Rounds of labelling at the most, 1 or more.
        kernel: `"rbf"`, `"linear"`, `"laplacian"`, `"polynomial"` or `"cosine"`; `"primal"` is
            linear with the penalty `ρ‖P‖²` on the projection of the features instead of on `W`.
        gamma: Width of the kernel: a number above 0, `"median"` (1 / median squared distance) or
            `"scale"` (1 / (features · variance)).
        regularization: `r` above 0, with `ρ = r · tr(KHK) / n` as in `TransferComponentAnalysis`.
            `M₀` moves classes onto each other where their shares differ between domains; lower it,
            to 0.1 or 0.01, where shares agree or the first labels are good.
        solver: `"exact"`, `"nystroem"` or `"auto"`, by size.
        landmarks: Number of samples in the basis of `"nystroem"`.
        target: Label of the target domain, or a list of labels.
        random_state: Seed of the landmarks, of the median and of the eigensolver's start.

    Attributes:
        pseudo_labels_: Labels of the target samples `(n_target,)` that the components were found
            with, in the order of the samples; given labels are kept.
        classes_: Labels that occur.
        n_iter_: Rounds of labelling that changed the components.
        coefficients_: `(basis, components)`, what kernel values of new samples are multiplied by;
            `(features, components)` for linear, cosine and primal.
        basis_: Samples that new samples are compared with; None for linear, cosine and primal.
        criterion_: Value of the criterion for each component, descending.
        gamma_: Width that was used; None for linear, cosine and primal.
        solver_: `"exact"` or `"nystroem"`.

    Raises:
        InputError: If an argument is wrong, a source sample has no label or the sources have one
            class only, samples are all equal or overflow, or the kernel would not fit into memory.

    Example:
        >>> import numpy as np
        >>> from tl_keras.features import JointDistributionAdaptation
        >>> random = np.random.default_rng(0)
        >>> y = np.tile([0, 1], 60)
        >>> X = random.normal(size=(120, 4))
        >>> X[:, 0] += 6 * y
        >>> X[60:, 1] += 2 + y[60:]  # the classes shift differently
        >>> domain = np.repeat(["source", "target"], 60)
        >>> adaptation = JointDistributionAdaptation(3, random_state=0)
        >>> Z = adaptation.fit_transform(X, np.where(domain == "target", -1, y), domain=domain)
        >>> float((adaptation.pseudo_labels_ == y[60:]).mean())
        1.0

    Reference:
        Long, Wang, Ding, Sun and Yu, "Transfer feature learning with joint distribution
        adaptation", ICCV 2013.
    """

    def __init__(
        self,
        n_components: int = 40,
        *,
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
        self.n_components = n_components
        self.estimator = estimator
        self.iterations = iterations
        self.kernel = kernel
        self.gamma = gamma
        self.regularization = regularization
        self.solver = solver
        self.landmarks = landmarks
        self.target = target
        self.random_state = random_state

    def _fit(self, X, y, domains):
        codes, known = self._codes(y, domains, X.shape[0])
        space = self._space(X)
        embedded = self._solve(space, pairs_of_domains(domains))
        self.n_iter_ = 0
        last, taught = None, np.flatnonzero(known)
        if self.estimator is None and len(taught) > NEIGHBOURS:
            random = check_random_state(self.random_state)
            taught = np.sort(random.choice(taught, NEIGHBOURS, replace=False))
        while domains.given and self.n_iter_ < self.iterations:
            if not known.all():
                model = KNeighborsClassifier(1) if self.estimator is None else clone(self.estimator)
                model.fit(embedded[taught], codes[taught])
                codes[~known] = model.predict(embedded[~known])
            if last is not None and np.array_equal(last, codes):
                break
            last = codes.copy()
            check_memory(
                32.0 * count_of_pairs(domains, codes) * sum(space.shape),
                type(self).__name__,
                "Use fewer classes or domains, or fewer samples.",
            )
            embedded = self._solve(space, self._pairs(X, domains, codes))
            self.n_iter_ += 1
        self.pseudo_labels_ = self.classes_[codes[domains.target]]

    def _pairs(self, X: Any, domains: Domains, codes: np.ndarray) -> np.ndarray:
        """Return the columns `E` of all terms, with `E Eᵀ` their sum."""
        return np.hstack([pairs_of_domains(domains), pairs_of_classes(domains, codes)])

    def _codes(self, y: Any, domains: Domains, samples: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the class of each sample `(n,)`, −1 if unknown, and which are known."""
        name = type(self).__name__
        if y is None:
            raise InputError(
                f"y: {name} requires y to be passed, but the target y is None. Give the labels of "
                "the sources, and −1 for unlabelled target samples."
            )
        if y.shape != (samples,):
            raise InputError(
                f"y: expected one label per sample, shape ({samples},), got {y.shape}."
            )
        check_count("iterations", self.iterations, 1)
        known = labelled_samples(y, domains)
        if domains.given:
            require_classes(y[domains.source], "the source domains")
        codes = np.full(samples, -1)
        self.classes_, codes[known] = np.unique(y[known], return_inverse=True)
        return codes, known

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
