"""Pivots and their predictors: the mathematics of structural correspondence learning."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg

BATCH = 64
FORMED = 1500
DIGITS = 64 * float(np.finfo(np.float64).eps)


def presence(X: Any) -> scipy.sparse.csr_matrix:
    """Return which features each sample has, `(n, features)` of 0 and 1.

    In a sparse matrix, and in columns whose minimum is 0, a feature is there where it is not 0;
    in other columns where it is above its mean.

    Args:
        X: `(n, features)`, dense or sparse.
    """
    if scipy.sparse.issparse(X):
        there = X.tocsr(copy=True)
        there.eliminate_zeros()
        there.data = np.ones_like(there.data, np.float64)
        return there
    limit = np.where(X.min(axis=0) == 0, 0.0, X.mean(axis=0))
    return scipy.sparse.csr_matrix(np.greater(X, limit), dtype=np.float64)


def mutual_information(there: Any, codes: np.ndarray) -> np.ndarray:
    """Return the mutual information in nats of each feature's presence and the class.

    Args:
        there: `(n, features)` of 0 and 1, sparse.
        codes: Class of each sample `(n,)`, 0, 1, …, each occurring.

    Returns:
        `(features,)`, 0 or more.
    """
    count = len(codes)
    member = scipy.sparse.csr_matrix((np.ones(count), (codes, np.arange(count))))
    of_class = np.asarray(member.sum(axis=1)) / count
    with_it = (member @ there).toarray() / count
    total = np.zeros(there.shape[1])
    for joint, share in (
        (with_it, with_it.sum(axis=0)),
        (of_class - with_it, 1.0 - with_it.sum(axis=0)),
    ):
        independent = of_class * share
        some = (joint > 0) & (independent > 0)
        ratio = np.divide(joint, independent, out=np.ones_like(joint), where=some)
        total += (joint * np.log(ratio)).sum(axis=0)
    return np.maximum(total, 0.0)


class Centred:
    """`X` less its column means, without filling up a sparse `X`.

    Products subtract means after multiplying, which far from the origin would leave rounding
    errors only. Dense features are therefore held less their means.

    Args:
        X: `(n, features)`, dense or sparse.

    Attributes:
        mean: Column means `(features,)`.
        held: `X` if sparse, else a copy less the means, `(n, features)`.
        held_mean: Column means of `held` `(features,)`.
    """

    def __init__(self, X: Any):
        self.shape, self.mean = X.shape, _column_means(X)
        self.held = X if scipy.sparse.issparse(X) else X - self.mean
        self.held_mean = _column_means(self.held)

    def forward(self, weights: np.ndarray) -> np.ndarray:
        """Return `(X − mean) @ weights`, `(n, k)`."""
        return self.held @ weights - self.held_mean @ weights

    def adjoint(self, columns: np.ndarray) -> np.ndarray:
        """Return `(X − mean)ᵀ @ columns`, `(features, k)`."""
        return self.held.T @ columns - np.outer(self.held_mean, columns.sum(axis=0))

    def gram(self) -> np.ndarray:
        """Return `(X − mean)ᵀ(X − mean)`, `(features, features)`."""
        product = self.held.T @ self.held
        product = product.toarray() if scipy.sparse.issparse(product) else product
        return product - self.shape[0] * np.outer(self.held_mean, self.held_mean)

    def mean_square(self) -> float:
        """Return the mean of `‖x − mean‖²` over the samples; 0 where it is rounding."""
        held = self.held
        squares = held.multiply(held) if scipy.sparse.issparse(held) else held * held
        size = float(squares.sum() / self.shape[0] - self.held_mean @ self.held_mean)
        return size if size > DIGITS**2 * (self.mean @ self.mean) else 0.0

    def largest(self) -> float:
        """Return the largest singular value, to 1 %."""
        if min(self.shape) <= 2:
            return float(np.sqrt(np.trace(self.gram())))
        operator = scipy.sparse.linalg.LinearOperator(
            self.shape,
            matvec=lambda v: self.forward(v.reshape(-1, 1)).ravel(),
            rmatvec=lambda v: self.adjoint(v.reshape(-1, 1)).ravel(),
            dtype=np.float64,
        )
        start = np.random.default_rng(0).standard_normal(min(self.shape))
        return float(scipy.sparse.linalg.svds(operator, 1, tol=1e-2, v0=start)[1][0])


def least_squares_predictors(data: Centred, Y: Any, penalty: float) -> np.ndarray:
    """Return `argmin_W mean‖Y − XW − b‖² + penalty‖W‖²`, with `b` free, for all pivots at once.

    Args:
        data: Samples `(n, d)` of the features that predict.
        Y: Presence of each pivot `(n, m)`, sparse.
        penalty: Above 0.

    Returns:
        `W` `(d, m)`.
    """
    count, size = data.shape
    right = _dense(data.held.T @ Y) - np.outer(data.held_mean, np.asarray(Y.sum(axis=0)).ravel())
    if size <= FORMED:
        system = data.gram() + penalty * count * np.eye(size)
        return scipy.linalg.solve(system, right, assume_a="pos")
    return _conjugate_gradients(
        lambda V: data.adjoint(data.forward(V)) + penalty * count * V, right
    )


def _conjugate_gradients(apply, right, tolerance=1e-5, iterations=200):
    """Return `apply⁻¹ right`, each column by conjugate gradients of its own."""
    solution = np.zeros_like(right)
    for start in range(0, right.shape[1], BATCH):
        part = slice(start, start + BATCH)
        residual = right[:, part].copy()
        direction = residual.copy()
        square = (residual**2).sum(axis=0)
        wanted = tolerance**2 * square
        for _ in range(iterations):
            if (square <= wanted).all():
                break
            applied = apply(direction)
            curved = (direction * applied).sum(axis=0)
            step = np.divide(square, curved, out=np.zeros_like(square), where=curved > 0)
            solution[:, part] += step * direction
            residual -= step * applied
            before, square = square, (residual**2).sum(axis=0)
            ratio = np.divide(square, before, out=np.zeros_like(square), where=before > 0)
            direction = residual + ratio * direction
    return solution


def modified_huber_predictors(
    data: Centred, Y: Any, penalty: float, tolerance: float = 1e-3, iterations: int = 500
) -> np.ndarray:
    """Return `argmin_W mean L(±1, XW + b) + penalty‖W‖²`, with `b` free, for all pivots at once.

    `L(y, z) = max(0, 1 − yz)²` where `yz ≥ −1`, else `−4yz`. All pivots take accelerated gradient
    steps together, a batch of them at a time, each restarted when it turns uphill.

    Args:
        data: Samples `(n, d)` of the features that predict.
        Y: Presence of each pivot `(n, m)`, sparse.
        penalty: Above 0.
        tolerance: Largest norm of a column's gradient at the end, relative to that at zero.
        iterations: Steps at the most.

    Returns:
        `W` `(d, m)`.
    """
    count = data.shape[0]
    scale = 1.02 * data.largest() / np.sqrt(count)
    # The free b is the coordinate of a column of that size, so that one step length fits all.
    step = 1.0 / (2.0 * scale**2 + 2.0 * penalty) if scale > 0 else 0.0
    solution = np.zeros((data.shape[1], Y.shape[1]))
    for start in range(0, Y.shape[1], BATCH):
        part = slice(start, start + BATCH)
        signs = 2.0 * _dense(Y[:, part]) - 1.0

        def slope(weights, signs=signs):
            margin = signs * (data.forward(weights[:-1]) + scale * weights[-1])
            outer = signs * np.clip(2.0 * (margin - 1.0), -4.0, 0.0) / count
            slopes = np.vstack([data.adjoint(outer), scale * outer.sum(axis=0)])
            slopes[:-1] += 2.0 * penalty * weights[:-1]
            return slopes

        solution[:, part] = _accelerated(
            slope, (data.shape[1] + 1, signs.shape[1]), step, tolerance, iterations
        )[:-1]
    return solution


def _accelerated(slope, shape, step, tolerance, iterations):
    weights, ahead = np.zeros(shape), np.zeros(shape)
    pace = np.ones(shape[1])
    wanted = None
    for _ in range(iterations):
        slopes = slope(ahead)
        norms = np.linalg.norm(slopes, axis=0)
        wanted = tolerance * norms if wanted is None else wanted
        if (norms <= wanted).all():
            return ahead
        stepped = ahead - step * slopes
        moved = stepped - weights
        uphill = (slopes * moved).sum(axis=0) > 0
        pace = np.where(uphill, 1.0, pace)
        faster = (1.0 + np.sqrt(1.0 + 4.0 * pace**2)) / 2.0
        ahead = stepped + np.where(uphill, 0.0, (pace - 1.0) / faster) * moved
        weights, pace = stepped, faster
    return weights


def leading_subspace(weights: np.ndarray, count: int) -> np.ndarray:
    """Return the leading left singular vectors of the predictors, `(d, count)` or fewer.

    Args:
        weights: `W` `(d, m)`.
        count: How many; those with vanishing singular values are left out.
    """
    values, vectors = scipy.linalg.eigh(weights.T @ weights)
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    kept = values > 1e-12 * max(values[0], 0.0)
    basis = (weights @ vectors[:, kept]) / np.sqrt(values[kept])
    largest = np.abs(basis).argmax(axis=0)
    return basis * np.sign(basis[largest, np.arange(basis.shape[1])])


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if scipy.sparse.issparse(matrix) else np.asarray(matrix)


def _column_means(X: Any) -> np.ndarray:
    return np.asarray(X.mean(axis=0)).ravel()
