"""Hostile arrays in every estimator, score, split and divergence on arrays.

Each ends in finite results of the right shape or in an error that a user can read, leaves its
inputs as they are, and lets no warning of NumPy through.
"""

import random
import time
import traceback
import warnings
from typing import Any

import numpy as np
import scipy.sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import _num_samples

from tl_keras.utils.errors import InputError, printable
from tools.torture.array_methods import METHODS, Method
from tools.torture.children import fork_each
from tools.torture.figures import Figures
from tools.torture.hostile_arrays import Samples, cases

QUICK = 2
SECONDS = 900
CPU_SECONDS = 20.0
"""What one case may take."""


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Fit every method with all hostile arrays, or with two of them."""
    figures = Figures()
    forks = ((name, (name, seed, quick)) for name in METHODS)
    slowest = (0.0, "")
    for name, ended in fork_each(_cases_of, forks, seconds=SECONDS):
        if ended.trouble:
            figures.add(name, ended.trouble)
            continue
        results, spent = ended.value
        figures.extend((f"{name}, {case}", trouble) for case, trouble in results)
        slowest = max(slowest, (spent[0], f"{name}, {spent[1]}"))
    figures.note = f"{len(METHODS)} methods; slowest {slowest[0]:.1f} s ({slowest[1]})"
    return figures


def _cases_of(name: str, seed: int, quick: bool) -> tuple[list, tuple[float, str]]:
    method = METHODS[name]
    found = list(cases(seed, method.regression))
    if quick:
        found = random.Random(f"{seed} {name}").sample(found, QUICK)
    results, slowest = [], (0.0, "")
    for case, samples in found:
        start = time.process_time()
        trouble = tried(method, samples)
        spent = time.process_time() - start
        slowest = max(slowest, (spent, case))
        if spent > CPU_SECONDS:
            trouble = trouble or f"took {spent:.0f} seconds"
        results.append((case, trouble))
    return results, slowest


def tried(method: Method, samples: Samples) -> str | None:
    """Return what is wrong with what a method makes of samples; None if nothing is."""
    before = _frozen(samples)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = method.apply(samples.X, samples.y, samples.domain)
        except Exception as error:
            trouble = wrong_with_error(error, method.delegates)
        else:
            trouble = wrong_with_result(method, samples, result)
    if trouble:
        return trouble
    if _frozen(samples) != before:
        return "the input has changed"
    raw = [one for one in caught if issubclass(one.category, RuntimeWarning)]
    if method.delegates:
        raw = [one for one in raw if "/tl_keras/" in one.filename]
    return f"warned: {raw[0].message} ({raw[0].filename}:{raw[0].lineno})" if raw else None


def wrong_with_error(error: Exception, delegated: bool) -> str | None:
    """Return what is wrong with an error: it is not for users, or not readable.

    What scikit-learn says of arrays that its own checks refuse is as good as in its own estimators.

    Args:
        error: The error.
        delegated: Whether estimators of the user may have raised it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = frames[-1]
    described = f"{type(error).__name__}: {str(error)[:200]!r} ({place.filename}:{place.lineno})"
    if isinstance(error, InputError):
        message = str(error)
        fine = "\n" not in message and message == printable(message) and len(message) < 700
        return None if fine else f"not one readable line: {described}"
    if isinstance(error, NotFittedError) or not isinstance(error, (ValueError, TypeError)):
        return described
    later = [frame.filename for frame in frames[_last_own(frames) + 1 :]]
    theirs = "/sklearn/" if delegated else "/sklearn/utils/"
    return None if any(theirs in name for name in later) else described


def _last_own(frames: list[Any]) -> int:
    """Return the number of the last call inside the package."""
    return max(n for n, frame in enumerate(frames) if "/tl_keras/" in frame.filename or not n)


def wrong_with_result(method: Method, samples: Samples, result: Any) -> str | None:
    """Return what is wrong with a result: NaN, infinity, or another number of rows."""
    values = result.toarray() if scipy.sparse.issparse(result) else np.asarray(result)
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return "a result that is not finite"
    if method.per_sample and values.shape[:1] != (_num_samples(samples.X),):
        return f"a result of shape {values.shape} for {_num_samples(samples.X)} samples"
    return None


def _frozen(samples: Samples) -> list[Any]:
    return [_bytes_of(values) for values in (samples.X, samples.y, samples.domain)]


def _bytes_of(values: Any) -> Any:
    if scipy.sparse.issparse(values):
        return values.format, values.toarray().tobytes(), values.data.tobytes()
    if isinstance(values, np.ndarray):
        return str(values.dtype), values.shape, values.tobytes()
    if hasattr(values, "to_numpy"):
        return values.to_numpy().tolist().__repr__()
    return repr(values)
