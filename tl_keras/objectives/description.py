"""What objectives were made with, in words that are the same in every process."""

import hashlib
import types
from collections.abc import Callable, Mapping
from typing import Any

import keras

from tl_keras.data.augmentation.augment import describe
from tl_keras.data.fingerprint import weights_fingerprint
from tl_keras.utils.errors import counted


def described(value: Any) -> Any:
    """Return an argument of an objective as JSON knows it.

    Layers with weights and functions are named with a digest of what they hold or do.
    """
    if isinstance(value, keras.layers.Layer):
        shapes = [tuple(weight.shape) for weight in value.weights]
        if not shapes:
            return describe((value,))[0]
        # Teachers of other weights make another run.
        found = weights_fingerprint(value.get_weights())
        return f"{type(value).__name__} with {counted(len(shapes), 'weight')}, {found}"
    if isinstance(value, keras.losses.Loss):
        own = {key: one for key, one in vars(value).items() if not key.startswith("_")}
        return {type(value).__name__: described({**own, **value.get_config()})}
    if isinstance(value, types.FunctionType):
        return _function(value)
    if isinstance(value, Mapping):
        return {str(key): described(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(one) for one in value]
    if type(value).__repr__ is object.__repr__ and hasattr(value, "__dict__"):
        return {type(value).__qualname__: described(vars(value))}
    return value.tolist() if hasattr(value, "tolist") else value


def _function(function: Callable) -> str:
    """Return name and digest: an address in memory would be another one in the next process."""
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [function.__defaults__, function.__kwdefaults__]
    parts = (_code(function.__code__), described(held), described(defaults))
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return f"{function.__module__}.{function.__qualname__} {digest}"


def _code(code: types.CodeType) -> tuple:
    return code.co_code, code.co_names, [_constant(one) for one in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else value
