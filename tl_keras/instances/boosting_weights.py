"""The arithmetic of boosting for transfer: factors, weights of samples, votes and medians."""

import numpy as np
import scipy.optimize
import scipy.special

# An error of zero would give a round an infinite vote. This leaves it one of ln(1e10) = 23, which
# rounds with errors do not outvote.
SMALLEST_ERROR = 1e-10


def source_factor(count: int, rounds: int) -> float:
    """Return `β = 1 / (1 + √(2 ln n / N))`, by which a source sample that is wrong loses weight.

    Args:
        count: Number `n` of source samples; with one or none `β` is 1.
        rounds: Number `N` of rounds.
    """
    return 1.0 / (1.0 + np.sqrt(2.0 * np.log(max(count, 1)) / rounds))


def target_factor(error: float, classes: int = 2) -> float:
    """Return `β_t = ε / ((1 − ε) (K − 1))`, by whose inverse a wrong target sample gains weight.

    For `K = 2` it is `ε / (1 − ε)`.

    Args:
        error: Weighted error `ε` on the target, 0 … 1. From `1 − 1/K` on, where a round is no
            better than guessing, `β_t` is 1; zero counts as `SMALLEST_ERROR`.
        classes: Number `K` of classes.

    Returns:
        `β_t`, above 0 and at most 1.
    """
    if error > 1.0 - 1.0 / classes - 1e-12:
        return 1.0
    error = max(error, SMALLEST_ERROR)
    return error / ((1.0 - error) * (classes - 1))


def bounded_target_factor(error: float) -> float:
    """Return `β_t = ε / (2 − ε)`, which is below 1 for every error but 1.

    Args:
        error: `ε`, 0 … 1; zero counts as `SMALLEST_ERROR`.
    """
    error = max(error, SMALLEST_ERROR)
    return error / (2.0 - error)


def mean_error(weights: np.ndarray, errors: np.ndarray) -> float:
    """Return `ε = Σ w e / Σ w`, within 0 … 1."""
    return float(np.clip(weights @ errors / weights.sum(), 0.0, 1.0))


def transfer_weights(
    weights: np.ndarray, errors: np.ndarray, source: np.ndarray, beta: float, beta_target: float
) -> np.ndarray:
    """Return the next weights of TrAdaBoost, with sum one.

    `w β^e` for source samples, `w β_t^{−e}` for target samples.

    Args:
        weights: `(n,)`, not negative.
        errors: Error `e` of each sample `(n,)`, 0 … 1.
        source: Mask `(n,)` of the source samples.
        beta: `β`, 0 < β ≤ 1.
        beta_target: `β_t`, 0 < β_t ≤ 1.
    """
    updated = weights * np.where(source, beta**errors, beta_target**-errors)
    return updated / updated.sum()


def scaled_errors(residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return AdaBoost.R2's errors `|r| / max |r|`, 0 … 1.

    Args:
        residuals: `(n,)`.
        weights: `(n,)`. Samples without weight do not count for the maximum.
    """
    size = np.abs(residuals)
    peak = size[weights > 0].max(initial=0.0)
    return np.zeros_like(size) if peak == 0 else np.minimum(size / peak, 1.0)


def frozen_source_weights(
    weights: np.ndarray, errors: np.ndarray, source: np.ndarray, beta: float
) -> np.ndarray:
    """Return the next weights of AdaBoost.R2 where those of the source stay as they are.

    `w β^{1−e}` for target samples, scaled so that they keep their sum.

    Args:
        weights: `(n,)`, with target samples of positive weight.
        errors: `(n,)`, 0 … 1.
        source: Mask `(n,)` of the source samples.
        beta: `β_t`, 0 < β_t ≤ 1.
    """
    updated, held = weights.copy(), weights[~source]
    raised = held * beta ** (1.0 - errors[~source])
    updated[~source] = raised * (held.sum() / raised.sum())
    return updated


def target_shares(source: float, target: float, steps: int) -> np.ndarray:
    """Return the share of the target in all weight at each of `S` steps, rising evenly to one.

    `s_t = s_1 + (t − 1) / (S − 1) · (1 − s_1)` for `t = 1 … S`.

    Args:
        source: Sum of the source weights at the first step.
        target: Sum of the target weights at the first step.
        steps: `S`, two or more.
    """
    return np.linspace(target / (source + target), 1.0, steps)


def lowered_source(weights: np.ndarray, errors: np.ndarray, total: float) -> np.ndarray:
    """Return source weights `w β^e` with the `β` in 0 … 1 that makes their sum `total`.

    The search halves an interval of `−ln β`, which resolves also a `β` too small for a float.
    Where samples without error hold more than `total`, no `β` is small enough: the others get
    zero and these are scaled down alike.

    Args:
        weights: `(n,)`.
        errors: `(n,)`, 0 … 1.
        total: The sum wanted, 0 … `Σ w`.
    """
    if total <= 0.0 or not weights.any():
        return np.zeros_like(weights)
    if total >= weights.sum():
        return weights.copy()
    used = weights > 0
    logs, steepness = np.log(weights[used]), errors[used]
    lowered = np.zeros_like(weights)
    right = steepness == 0
    if weights[used][right].sum() >= total:
        lowered[np.flatnonzero(used)[right]] = weights[used][right]
    else:

        def excess(exponent):
            return scipy.special.logsumexp(logs - exponent * steepness) - np.log(total)

        upper = 1.0
        while excess(upper) > 0:
            upper *= 2.0
        exponent = scipy.optimize.bisect(excess, 0.0, upper, xtol=1e-12 * upper, rtol=1e-14)
        lowered[used] = np.exp(logs - exponent * steepness)
    return lowered * (total / lowered.sum())


def second_half(rounds: int) -> slice:
    """Return which of the rounds vote, from `⌈N/2⌉` to `N` where the first one is number 1."""
    return slice((rounds + 1) // 2 - 1, rounds)


def weighted_median(predictions: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return for each sample the smallest prediction that holds half of the votes or more.

    Args:
        predictions: `(estimators, n)`.
        votes: `(estimators,)`, not negative and not all zero.

    Returns:
        `(n,)`
    """
    order = np.argsort(predictions, axis=0, kind="stable")
    held = np.cumsum(votes[order], axis=0)
    middle = (held >= (0.5 - 1e-12) * held[-1]).argmax(axis=0)
    columns = np.arange(predictions.shape[1])
    return predictions[order[middle, columns], columns]
