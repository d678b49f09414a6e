"""Transport plans between two sets of samples of equal weight, computed by POT."""

import contextlib
import os
import sys
import warnings
from types import ModuleType
from typing import NamedTuple

import numpy as np
import scipy.optimize
from scipy.special import xlogy
from sklearn.exceptions import ConvergenceWarning

from tl_keras.utils.errors import InputError

ITERATIONS = 2000
# Error of the target's margin at which iterations stop, relative to the margin.
TOLERANCE = 1e-7
# Share of the mass that may lie wrong before a warning.
MISPLACED = 1e-2
GROUP_ITERATIONS = 20
GROUP_TOLERANCE = 1e-7
PIVOTS = 10**7
INSTALL = 'pip install "tl_keras[transport]"'
_NO_TENSORFLOW = "POT_BACKEND_DISABLE_TENSORFLOW"


class Plan(NamedTuple):
    """How much of each source sample goes to each target sample.

    Attributes:
        mass: `(n, m)`, not negative, sum one.
    """

    mass: np.ndarray


class EntropicPlan(NamedTuple):
    """A plan of the entropic problem.

    Attributes:
        mass: As for `Plan`.
        log_target: `(m,)`, the logarithm of the target factors.
    """

    mass: np.ndarray
    log_target: np.ndarray


def import_pot() -> ModuleType:
    """Return POT, imported without its TensorFlow part unless TensorFlow is there already.

    Raises:
        InputError: If POT is not installed.
    """
    slim = not {"ot", "tensorflow"} & sys.modules.keys() and _NO_TENSORFLOW not in os.environ
    if slim:
        os.environ[_NO_TENSORFLOW] = "1"
    try:
        import ot
    except ImportError as error:
        raise InputError(
            f"OptimalTransportMapping needs POT, which is not installed: {INSTALL}"
        ) from error
    finally:
        if slim:
            del os.environ[_NO_TENSORFLOW]
    return ot


def exact_plan(cost: np.ndarray) -> Plan:
    """Return the plan of least cost, `argmin ⟨γ, C⟩`.

    Args:
        cost: `(n, m)`.
    """
    ot = import_pot()
    with _quiet():
        mass, log = ot.emd(*_weights(cost), cost, numItermax=PIVOTS, log=True)
    if log.get("warning"):
        warnings.warn(
            f"OptimalTransportMapping: the exact plan was not found ({log['warning']}). Use fewer "
            "samples (max_samples) or method='sinkhorn'.",
            ConvergenceWarning,
            stacklevel=2,
        )
    return Plan(mass)


def entropic_plan(cost: np.ndarray, entropy: float) -> EntropicPlan:
    """Return the smoothed plan `argmin ⟨γ, C⟩ + ε Σ γ log γ`, by Sinkhorn's iterations.

    Args:
        cost: `(n, m)`.
        entropy: `ε`, in units of the cost.
    """
    mass, log_target = _sinkhorn(cost, entropy)
    _check_margins(mass)
    return EntropicPlan(mass, log_target)


def group_lasso_plan(cost: np.ndarray, labels: np.ndarray, entropy: float, strength: float) -> Plan:
    """Return the plan under which a target sample receives from few classes.

    `argmin ⟨γ, C⟩ + ε Σ γ log γ + η Σ_j Σ_c ‖γ(class c, j)‖₂`, by generalised conditional gradients
    (Rakotomamonjy, Flamary, Courty 2015): the group lasso is linearised, Sinkhorn's iterations
    give the direction, and a search along it the step.

    Args:
        cost: `(n, m)`.
        labels: Classes of the source samples `(n,)`.
        entropy: `ε`.
        strength: `η`.
    """
    _, index = np.unique(labels, return_inverse=True)
    members = np.eye(index.max() + 1)[index]

    def group_norms(mass: np.ndarray) -> np.ndarray:
        return np.sqrt(members.T @ np.square(mass))

    def objective(mass: np.ndarray) -> float:
        smooth = entropy * xlogy(mass, mass).sum() + strength * group_norms(mass).sum()
        return float((cost * mass).sum() + smooth)

    mass = np.full(cost.shape, 1.0 / cost.size)
    value = objective(mass)
    for _ in range(GROUP_ITERATIONS):
        slope = mass / np.maximum(group_norms(mass), 1e-300)[index]
        step = _sinkhorn(cost + strength * slope, entropy)[0] - mass
        found = scipy.optimize.minimize_scalar(
            lambda size, start=mass, step=step: objective(np.maximum(start + size * step, 0.0)),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-3, "maxiter": 20},
        )
        if found.fun >= value:
            break
        mass = np.maximum(mass + found.x * step, 0.0)
        value, previous = found.fun, value
        if previous - value <= GROUP_TOLERANCE * abs(value):
            break
    _check_margins(mass)
    return Plan(mass)


def _sinkhorn(cost: np.ndarray, entropy: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the plan `(n, m)` and the logarithm of its target factors `(m,)`."""
    ot = import_pot()
    # Constants taken from rows and columns change the factors only, not the plan, and leave each
    # row and column an entry of the kernel exp(−cost / ε) that is one.
    cost = cost - cost.min(axis=1, keepdims=True)
    least = cost.min(axis=0)
    cost -= least
    settings = {"numItermax": ITERATIONS, "stopThr": TOLERANCE / np.sqrt(cost.shape[1])}
    with _quiet():
        mass, log = ot.sinkhorn(*_weights(cost), cost, entropy, log=True, **settings)
        log_target = np.log(log["v"])
        stopped_early = log["niter"] < ITERATIONS - 1 and not _misplaced(mass) < MISPLACED
        if stopped_early or not np.isfinite(log_target).all():  # The factors left float64's range.
            mass, log = ot.sinkhorn(
                *_weights(cost), cost, entropy, method="sinkhorn_log", log=True, **settings
            )
            log_target = log["log_v"]
    if not (np.isfinite(mass).all() and np.isfinite(log_target).all()):
        raise InputError(
            f"entropy: the transport plan is not finite with entropy={entropy:g}. Give a larger "
            "one, or use method='exact'."
        )
    return mass, log_target + least / entropy


def _weights(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sources, targets = (np.full(count, 1.0 / count) for count in cost.shape)
    return sources, targets


def _misplaced(mass: np.ndarray) -> float:
    """Return the share of the mass, 0 … 1, that lies in the wrong row or column; NaN if any is."""
    return float(
        max(np.abs(mass.sum(axis=axis) - 1 / mass.shape[1 - axis]).sum() / 2 for axis in (0, 1))
    )


def _check_margins(mass: np.ndarray) -> None:
    if _misplaced(mass) > MISPLACED:
        warnings.warn(
            f"OptimalTransportMapping: after {ITERATIONS} iterations {_misplaced(mass):.1%} of "
            "the mass lies in the wrong place. Give a larger entropy, or use method='exact'.",
            ConvergenceWarning,
            stacklevel=3,
        )


@contextlib.contextmanager
def _quiet():
    """Silence POT's warnings; results are checked instead."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
