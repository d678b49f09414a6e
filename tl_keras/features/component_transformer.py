"""What TCA, JDA and BDA have in common: the kernel, its size, and the map of new samples."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.preprocessing import normalize

from tl_keras.arrays import DomainTransformer, check_memory
from tl_keras.arrays.checks import check_count
from tl_keras.arrays.kernels import (
    BATCH,
    KERNELS,
    NystroemFeatures,
    choose_landmarks,
    kernel_matrix,
    resolve_gamma,
)
from tl_keras.features.feature_space import (
    FeatureSpace,
    linear_space,
    low_rank_space,
    primal_space,
)
from tl_keras.features.mmd_components import components, scaled
from tl_keras.utils.arguments import is_real
from tl_keras.utils.errors import InputError, did_you_mean

EXACT_SAMPLES = 5000
FORMED = 2000
SOLVERS = ("auto", "exact", "nystroem")
# Kernels whose features are the samples themselves: always solved exactly.
FLAT = ("linear", "cosine", "primal")
BATCH_VALUES = 1 << 24


class ComponentTransformer(ClassNamePrefixFeaturesOutMixin, DomainTransformer):
    """Maps all domains alike, to few components of a kernel.

    A subclass has the parameters `n_components`, `kernel`, `gamma`, `regularization`, `solver`,
    `landmarks` and `random_state`, and its `_fit` calls `_space`, then `_solve` once or more.
    """

    _sparse: ClassVar[bool] = True
    _one_map: ClassVar[bool] = True

    def _space(self, X: Any) -> FeatureSpace:
        """Return the feature space of the training samples, and keep what new samples need."""
        self._check_parameters()
        if X.shape[0] < 2:
            raise InputError(f"X: expected two samples or more, got n_samples={X.shape[0]}.")
        X = self._prepared(X)
        if not _varies(X):
            raise InputError(
                "X: all samples are equal, so that there is no component to find "
                f"(n_samples={X.shape[0]}, n_features={X.shape[1]}, kernel={self.kernel!r}). Check "
                "how the features were made."
            )
        self.gamma_ = None if self.kernel in FLAT else self._gamma(X)
        flat = self.kernel in FLAT
        small = X.shape[0] <= EXACT_SAMPLES
        exact = flat or self.solver == "exact" or (self.solver == "auto" and small)
        self.solver_ = "exact" if exact else "nystroem"
        self.basis_ = None
        if flat:
            return self._flat_space(X)
        return self._exact_space(X) if exact else self._nystroem_space(X)

    def _solve(self, space: FeatureSpace, pairs: np.ndarray) -> np.ndarray:
        """Find the components, keep their map, and return the embedded samples `(n, k)`."""
        directions, values = components(
            space,
            pairs,
            # Relative, so that it means the same at any number of samples and scale of the kernel.
            float(self.regularization) * space.total_variance(),
            int(self.n_components),
            self.random_state,
            type(self).__name__,
        )
        directions = scaled(directions, values, space.shape[0])
        embedded = space.project(directions)
        # The sign is open too: the sample farthest from zero is on the positive side.
        signs = np.sign(embedded[np.abs(embedded).argmax(axis=0), np.arange(values.shape[0])])
        self.coefficients_ = space.coefficients(directions * signs)
        self.criterion_ = values
        self._n_features_out = values.shape[0]
        return embedded * signs

    def _map(self, X, domain):
        X = self._prepared(X)
        if self.basis_ is None:
            return np.asarray(X @ self.coefficients_)
        mapped = np.empty((X.shape[0], self.coefficients_.shape[1]))
        rows = max(1, BATCH_VALUES // self.basis_.shape[0])
        for start in range(0, X.shape[0], rows):
            part = slice(start, start + rows)
            kernel = kernel_matrix(X[part], self.basis_, self.kernel, self.gamma_)
            mapped[part] = kernel @ self.coefficients_
        return mapped

    def _prepared(self, X):
        X = X.astype(np.float64, copy=False)
        return normalize(X) if self.kernel == "cosine" else X

    def _gamma(self, X):
        return resolve_gamma(self.gamma, X, self.random_state)

    def _flat_space(self, X):
        samples, features = X.shape
        name = type(self).__name__
        if self.kernel == "primal":
            return primal_space(X, formed=features <= FORMED)
        if features <= min(samples, FORMED):
            return linear_space(X)
        if samples <= FORMED:
            check_memory(16.0 * samples**2, name, "Use fewer samples.")
            gram = X @ X.T
            gram = gram.toarray() if scipy.sparse.issparse(gram) else gram
            return FeatureSpace(gram, outward=X.T, ranked=True)
        operator = scipy.sparse.linalg.aslinearoperator(X)
        return FeatureSpace(operator @ operator.T, outward=X.T, ranked=True)

    def _exact_space(self, X):
        stored = X.nnz if scipy.sparse.issparse(X) else X.size
        check_memory(
            16.0 * (X.shape[0] ** 2 + stored),
            type(self).__name__,
            "Use solver='nystroem', or fewer samples.",
        )
        self.basis_ = X.copy()  # The caller may write into X later.
        return FeatureSpace(kernel_matrix(X, X, self.kernel, self.gamma_))

    def _nystroem_space(self, X):
        count = min(int(self.landmarks), X.shape[0])
        check_memory(
            8.0 * count * (X.shape[0] + 3 * min(BATCH, X.shape[0]) + 6 * count),
            type(self).__name__,
            "Use fewer landmarks, or fewer samples.",
        )
        landmarks = choose_landmarks(X, count, self.random_state)
        self.basis_ = landmarks.copy() if landmarks is X else landmarks
        features = NystroemFeatures(self.basis_, self.kernel, self.gamma_)
        return low_rank_space(features(X), outward=features.projection)

    def _check_parameters(self):
        kernels = (*KERNELS, "primal")
        if self.kernel not in kernels:
            raise InputError(
                f"kernel: expected one of {', '.join(kernels)}, got {self.kernel!r}."
                f"{did_you_mean(str(self.kernel), kernels)}"
            )
        if self.solver not in SOLVERS:
            raise InputError(
                f"solver: expected one of {', '.join(SOLVERS)}, got {self.solver!r}."
                f"{did_you_mean(str(self.solver), SOLVERS)}"
            )
        for name in ("n_components", "landmarks"):
            check_count(name, getattr(self, name), 1)
        value = self.regularization
        if not is_real(value) or not 0 < value < np.inf:
            raise InputError(f"regularization: expected a number above 0, got {value!r}.")


def _varies(X: Any) -> bool:
    spread = X.max(axis=0) - X.min(axis=0)
    return bool((spread.toarray() if scipy.sparse.issparse(spread) else spread).any())
