"""Layers of a regression head: it learns in standard units and predicts in the user's."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("tl_keras")
class CenteredDense(keras.layers.Layer):
    """A dense layer on features that are centred and divided by one number.

    `((x − center) / spread) · kernel + bias`. With the training data's mean and total standard
    deviation, the features have mean 0 and mean square length 1, so that a step of an optimizer
    changes the outputs by about as much whatever the backbone's scale. Both are weights that no
    gradient trains, 0 and 1 until training data has been seen.

    Args:
        units: Number of outputs.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: `(batch, channels)`.

    Returns:
        `(batch, units)`.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = int(units)

    def build(self, input_shape):
        """Create the weights."""
        channels = input_shape[-1]
        self.kernel = self.add_weight(
            name="kernel", shape=(channels, self.units), initializer="glorot_uniform"
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.center = self.add_weight(
            name="center", shape=(channels,), initializer="zeros", trainable=False
        )
        self.spread = self.add_weight(name="spread", shape=(), initializer="ones", trainable=False)

    def call(self, features):
        """Compute the outputs."""
        return ops.matmul((features - self.center) / self.spread, self.kernel) + self.bias

    def compute_output_shape(self, input_shape):
        """Return `(batch, units)`."""
        return (input_shape[0], self.units)

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "units": self.units}

    @property
    def is_new(self) -> bool:
        """Whether nothing has trained it: biases begin at 0, and the centre with them."""
        return not (self.bias.numpy().any() or self.center.numpy().any())

    def assign_affine(self, kernel, bias, center, spread: float) -> None:
        """Set all weights: `((x − center) / spread) · kernel + bias`.

        Args:
            kernel: `(channels, units)`.
            bias: `(units,)`.
            center: `(channels,)`.
            spread: Number > 0.
        """
        for variable, value in zip(
            (self.kernel, self.bias, self.center, self.spread),
            (kernel, bias, center, spread),
            strict=True,
        ):
            variable.assign(np.asarray(value, np.float32))


@keras.saving.register_keras_serializable("tl_keras")
class TargetScale(keras.layers.Layer):
    """From standard units, in which a regression head learns, to the user's: `z · scale + mean`.

    Mean and scale are weights that no gradient trains, so that files, exports, copies and
    checkpoints carry them. They are those of the first training data, or given.

    Args:
        units: Number of values.
        mean: Value that 0 stands for, one number per value or one for all; None to take it, and
            the scale, from training data.
        scale: Size > 0 of one standard unit; same form.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        values: `(batch, units)` in standard units.

    Returns:
        `(batch, units)` in the user's units.
    """

    def __init__(self, units: int, mean=None, scale=None, **kwargs):
        super().__init__(**kwargs)
        self.units = int(units)
        self.given = None if mean is None else (_numbers(mean, units), _numbers(scale, units))

    def build(self, input_shape):
        """Create the weights."""
        mean, scale = self.given or ([0.0] * self.units, [1.0] * self.units)
        for name, value, shape in (
            ("mean", mean, (self.units,)),
            ("scale", scale, (self.units,)),
            ("known", 0.0 if self.given is None else 1.0, ()),
        ):
            weight = self.add_weight(
                name=name,
                shape=shape,
                trainable=False,
                initializer=lambda shape, dtype, value=value: ops.convert_to_tensor(value, dtype),
            )
            setattr(self, name, weight)

    def call(self, values):
        """Return values in the user's units."""
        return values * self.scale + self.mean

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    @property
    def is_known(self) -> bool:
        """Whether mean and scale are given or come from training data."""
        return bool(self.known.numpy())

    def assign_scale(self, mean, scale) -> None:
        """Set mean and scale `(units,)`."""
        self.mean.assign(np.asarray(mean, np.float32))
        self.scale.assign(np.asarray(scale, np.float32))
        self.known.assign(1.0)

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        mean, scale = self.given or (None, None)
        return {**super().get_config(), "units": self.units, "mean": mean, "scale": scale}


def change_units(
    last: CenteredDense, units: TargetScale, mean, scale, center=None, spread=None
) -> None:
    """Set units of targets and features, and the dense layer such that predictions stay.

    Args:
        last: The last layer of a head.
        units: The layer after it.
        mean: New mean of the targets `(units,)`.
        scale: New scale of the targets `(units,)`.
        center: New centre of the features `(channels,)`; None leaves it.
        spread: New spread of the features; None leaves it.
    """
    kernel, bias, old_center, old_spread = (
        one.numpy().astype(np.float64) for one in (last.kernel, last.bias, last.center, last.spread)
    )
    old_mean, old_scale = (one.numpy().astype(np.float64) for one in (units.mean, units.scale))
    center = old_center if center is None else np.asarray(center, np.float64)
    spread = old_spread if spread is None else float(spread)
    bias = bias + (center - old_center) / old_spread @ kernel
    kernel = kernel * (spread / old_spread)
    last.assign_affine(
        kernel * (old_scale / scale), (bias * old_scale + old_mean - mean) / scale, center, spread
    )
    units.assign_scale(mean, scale)


def _numbers(value, units: int) -> list[float]:
    return [float(one) for one in np.broadcast_to(value, (units,))]
