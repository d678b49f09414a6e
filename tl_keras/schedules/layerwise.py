"""Layer-wise learning rates: a factor per variable on top of any Keras optimizer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tl_keras.utils.compat import (
    hook_into,
    own_weights,
    plain_learning_rate,
    plain_sum_and_clip,
    plain_weight_decay,
    share_iterations,
    shows_moving_averages,
    uses_weight_decay,
    variable_index,
)
from tl_keras.utils.errors import InputError


@keras.saving.register_keras_serializable("tl_keras")
@shows_moving_averages
class LayerwiseLearningRate(keras.optimizers.Optimizer):
    """Gives every variable its own learning rate under one Keras optimizer.

    A variable with factor f is updated, and decayed, as the inner optimizer would with the learning
    rate f · η. (Scaling gradients instead does nothing to Adam, whose steps do not depend on the
    gradient's size.) There is one set of slots, one step counter and one learning rate η, which
    schedules and callbacks change as usual. Everything else is the inner optimizer's: momenta,
    clipping, weight decay and what is excluded from it, the moving average of the weights.

    Under `tf.distribute`, gradients are summed over the replicas before they are clipped, so that
    any number of devices gives the update of one; Keras by itself clips each replica's share.

    The inner optimizer belongs to the wrapper once that is built. For float16, put
    `keras.optimizers.LossScaleOptimizer` around the wrapper, as `compile` does by itself.

    Args:
        inner: Any Keras optimizer that is not built yet and wraps no other.
        factors: `variable.path` → factor > 0; 1 for variables that are not named. `factors_of`
            gives those of a stage.
        name: Name of the optimizer.

    Raises:
        InputError: If the arguments cannot be used, or, when the optimizer is built for its
            variables, if `factors` names a path that none of them has.

    Example:
        >>> dense = keras.layers.Dense(2, name="dense")
        >>> model = keras.Sequential([keras.Input((3,)), dense])
        >>> optimizer = LayerwiseLearningRate(keras.optimizers.AdamW(1e-3), {"dense/kernel": 0.1})
        >>> model.compile(optimizer, "mse")
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        factors: Mapping[str, float],
        name: str = "layerwise_learning_rate",
    ):
        super().__init__(learning_rate=0.0, name=name)
        self.inner_optimizer = _checked_inner(inner)
        self._factors = _checked_factors(factors)
        share_iterations(self, inner)
        self._undecayed: Mapping[str, Sequence[str]] = {"paths": (), "names": ()}
        self._saved_variables: Sequence[tuple[str, Sequence[int]]] = ()
        self._factor_at: Sequence[float] = ()
        self._decay_factor = 1.0

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Find the variables' factors, hook them into the inner optimizer and create its slots."""
        if self.built:
            return
        variables, inner = list(variables), _checked_inner(self.inner_optimizer)
        paths, names = [variable.path for variable in variables], self._names_of(variables)
        self._factor_at = tuple(self._factors.get(name, 1.0) for name in names)
        self._factors = dict(zip(paths, self._factor_at, strict=True))
        undecayed = [
            variable
            for variable, name in zip(variables, names, strict=True)
            if name in self._undecayed["paths"] or not uses_weight_decay(inner, variable)
        ]
        self.exclude_from_weight_decay(undecayed, self._undecayed["names"])
        hook_into(
            inner,
            update_step=self._inner_update_step,
            apply_weight_decay=self._inner_weight_decay,
            learning_rate=self._inner_learning_rate,
            clip_gradients=self._inner_clipping,
        )
        inner.build(variables)
        super().build(variables)

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the variables; arguments as for every Keras optimizer."""
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            self.build(trainable_variables)
        self.inner_optimizer.apply(grads, trainable_variables)

    @property
    def factors(self) -> dict[str, float]:
        """Path → factor; once built, of every variable."""
        return dict(self._factors)

    @property
    def variables(self) -> list[keras.Variable]:
        """The inner optimizer's step counter, learning rate and slots; there are no others."""
        return self.inner_optimizer.variables

    @property
    def iterations(self) -> Any:
        """The inner optimizer's step counter."""
        return self.inner_optimizer.iterations

    @property
    def learning_rate(self) -> Any:
        """The learning rate of variables with factor 1, which callbacks may set."""
        return self.inner_optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        self.inner_optimizer.learning_rate = value

    @property
    def loss_scale_factor(self) -> float | None:
        """The inner optimizer's constant loss scale."""
        inner = getattr(self, "inner_optimizer", None)
        return None if inner is None else inner.loss_scale_factor

    @loss_scale_factor.setter
    def loss_scale_factor(self, value: Any) -> None:
        if hasattr(self, "inner_optimizer"):
            self.inner_optimizer.loss_scale_factor = value

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Leave variables out of weight decay, also after the model was saved and loaded."""
        self.inner_optimizer.exclude_from_weight_decay(var_list, var_names)
        paths = [variable.path for variable in var_list or ()]
        self._undecayed = {"paths": paths, "names": list(var_names or ())}

    def finalize_variable_values(self, var_list: Any) -> None:
        """Give the variables their moving averages if the inner optimizer keeps them."""
        self.inner_optimizer.finalize_variable_values(var_list)

    def set_weights(self, weights: Any) -> None:
        """Set step counter, learning rate and slots from arrays."""
        self.inner_optimizer.set_weights(weights)

    def save_own_variables(self, store: Any) -> None:
        """Save nothing: Keras saves the inner optimizer as a part of this one."""

    def load_own_variables(self, store: Any) -> None:
        """Load nothing, see `save_own_variables`."""

    def get_config(self) -> dict:
        """Return what `from_config` needs to build the same optimizer, less its slots."""
        return {
            "inner": keras.saving.serialize_keras_object(self.inner_optimizer),
            "factors": self.factors,
            "name": self.name,
            "variables": [(v.path, list(v.shape)) for v in own_weights(self)],
            "undecayed": {key: list(values) for key, values in self._undecayed.items()},
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "LayerwiseLearningRate":
        """Build the optimizer from `get_config`'s answer."""
        inner = keras.saving.deserialize_keras_object(config["inner"], custom_objects)
        inner.exclude_from_weight_decay(var_names=config["undecayed"]["names"])
        optimizer = cls(inner, config["factors"], config["name"])
        optimizer._undecayed = config["undecayed"]
        optimizer._saved_variables = config["variables"]
        return optimizer

    def _names_of(self, variables: list[keras.Variable]) -> list[str]:
        """Return the path under which each variable was known when the factors were given.

        Keras changes some paths when it loads a model (name scopes and numbers of unnamed weights),
        but keeps the order of the variables, by which it also restores slots.
        """
        paths = [variable.path for variable in variables]
        unknown = sorted(set(self._factors) - set(paths))
        if not unknown:
            return paths
        shapes = [list(variable.shape) for variable in variables]
        if shapes == [list(shape) for _, shape in self._saved_variables]:
            return [path for path, _ in self._saved_variables]
        raise InputError(
            f"factors: none of the {len(paths)} variables that train has the path "
            f"{_some(unknown)}; there are {_some(paths)}. Name variables by variable.path, after "
            "trainable was set. A file that fails here loads with compile=False."
        )

    def _inner_update_step(self, gradient, variable, learning_rate):
        inner = self.inner_optimizer
        factor = self._factor_at[variable_index(inner, variable)]
        type(inner).update_step(inner, gradient, variable, _times(learning_rate, factor))

    def _inner_weight_decay(self, variables):
        inner = self.inner_optimizer
        groups: dict[float, list] = {}
        for variable in variables:
            factor = self._factor_at[variable_index(inner, variable)]
            groups.setdefault(factor, []).append(variable)
        for factor, members in groups.items():
            self._decay_factor = factor
            try:
                plain_weight_decay(inner, members)
            finally:
                self._decay_factor = 1.0

    def _inner_learning_rate(self):
        return _times(plain_learning_rate(self.inner_optimizer), self._decay_factor)

    def _inner_clipping(self, gradients):
        return plain_sum_and_clip(self.inner_optimizer, gradients)


def _some(paths: list[str]) -> str:
    return ", ".join(map(repr, paths[:5])) + (" …" if len(paths) > 5 else "")


def _times(rate, factor: float):
    return rate if factor == 1.0 else keras.ops.multiply(rate, factor)


def _checked_inner(inner):
    if not isinstance(inner, keras.optimizers.Optimizer):
        raise InputError(f"inner: expected a keras.optimizers.Optimizer, got {inner!r}.")
    if hasattr(inner, "inner_optimizer") or hasattr(inner, "optimizers"):
        raise InputError(
            f"inner: expected an optimizer that wraps no other, got a {type(inner).__name__}. Give "
            "the optimizer inside; keras.optimizers.LossScaleOptimizer goes around this one."
        )
    if inner.built:
        raise InputError(
            f"inner: expected an optimizer that is not built yet, got a {type(inner).__name__} "
            f"with {len(inner.variables)} variables. Make a new one."
        )
    return inner


def _checked_factors(factors) -> dict[str, float]:
    if not isinstance(factors, Mapping):
        raise InputError(f"factors: expected variable.path → factor, got {factors!r}.")
    for path, factor in factors.items():
        number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
        if not isinstance(path, str) or not number or not 0 < factor < math.inf:
            raise InputError(
                f"factors: expected variable.path → number > 0, got {path!r}: {factor!r}. A "
                "variable that must not change has trainable=False."
            )
    return {path: float(factor) for path, factor in factors.items()}
