"""The layers inside a fusion of several models."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from tl_keras.inputs.preprocessing import pixel_range_of
from tl_keras.models.pooling import GlobalPooling
from tl_keras.utils.by_task import ONLY_TASK
from tl_keras.utils.errors import InputError

LEAST = 1e-7
STANDARD = "standard units"


@keras.saving.register_keras_serializable("tl_keras")
class FusedFeatures(keras.layers.Layer):
    """Pooled features of several networks, side by side.

    Each network's features are averaged over positions and brought to unit length, so that none
    drowns the others by its scale.

    Args:
        networks: From preprocessed images to features; built.
        preprocessings: One per network.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        images: `(batch, height, width, channels)`, 0–255.

    Returns:
        float32 `(batch, channels of all networks together)`.
    """

    def __init__(
        self,
        networks: Sequence[keras.layers.Layer],
        preprocessings: Sequence[keras.layers.Layer],
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.networks = list(networks)
        self.preprocessings = list(preprocessings)
        self.pooling = GlobalPooling(dtype="float32", name="pooling")

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """Darkest and brightest value of the images that all networks take; None for 8 bits."""
        return pixel_range_of(self.preprocessings[0], self.networks[0])

    def build(self, input_shape):
        """Build what is not built yet."""
        for network, layer in zip(self.networks, self.preprocessings, strict=True):
            layer.build(input_shape)
            if not network.built:
                network.build(input_shape)

    def call(self, images, training=None):
        """Compute the features of a batch of images."""
        parts = []
        for network, layer in zip(self.networks, self.preprocessings, strict=True):
            pooled = self.pooling(ops.cast(network(layer(images), training=training), "float32"))
            parts.append(ops.normalize(pooled, axis=-1, epsilon=LEAST))
        return ops.concatenate(parts, axis=-1)

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {
            **super().get_config(),
            "networks": [keras.saving.serialize_keras_object(one) for one in self.networks],
            "preprocessings": [
                keras.saving.serialize_keras_object(one) for one in self.preprocessings
            ],
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the layer from `get_config`'s answer, with fresh weights."""
        config = {key: value for key, value in config.items() if key != "autocast"}
        return cls(
            **{
                key: _deserialised(value, custom_objects)
                if key in ("networks", "preprocessings")
                else value
                for key, value in config.items()
            }
        )


@keras.saving.register_keras_serializable("tl_keras")
class FusedPredictions(keras.layers.Layer):
    """Predictions of several models, averaged or side by side.

    Averaged, `logits = log Σ w p / Σ w` for classes, so that their softmax is the mean of the
    members' probabilities; the logit of the mean for several labels. The mean of values is in
    standard units, `(Σ w v / Σ w − mean) / scale`, as a head learns them; it is computed from the
    members' standard values, which have digits that values far from 0 have not. Both numbers are
    weights that no gradient trains. Side by side, values are in each member's standard units.

    Args:
        members: Transfer models with a head and the same single task.
        shares: Weight ≥ 0 of each member in the average; None puts them side by side.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        images: `(batch, height, width, channels)`, 0–255.

    Returns:
        float32 logits `(batch, size)`, or the members' probabilities or standard values
        `(batch, members · size)`.
    """

    def __init__(
        self,
        members: Sequence[keras.Model],
        shares: Sequence[float] | None = None,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        self.members = list(members)
        self.shares = None if shares is None else [float(share) for share in shares]

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """Darkest and brightest value of the images that all members take; None for 8 bits."""
        return self.members[0].pixel_range

    @property
    def averages_values(self) -> bool:
        """Whether the outputs are a regression's, in standard units that can be set."""
        return self.shares is not None and self.members[0].targets.task.standardized

    def build(self, input_shape):
        """Create the units of averaged values; the members are built."""
        if not self.averages_values:
            return
        size = (self.members[0].targets.size,)
        self.mean = self.add_weight(name="mean", shape=size, initializer="zeros", trainable=False)
        self.scale = self.add_weight(name="scale", shape=size, initializer="ones", trainable=False)

    def common_units(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return mean and standard deviation of all members' training data, None if not known.

        That of a mixture, `M = Σ w mᵢ` and `S² = Σ w (sᵢ² + (mᵢ − M)²)` with `Σ w = 1`.
        """
        scales = [member.target_scales[ONLY_TASK] for member in self.members]
        if self.shares is None or not all(one.is_known for one in scales):
            return None
        share = np.array(self.shares)[:, None] / sum(self.shares)
        means, widths = (
            np.array([one.numpy() for one in column], np.float64)
            for column in zip(*((one.mean, one.scale) for one in scales), strict=True)
        )
        mean = (share * means).sum(axis=0)
        return mean, np.sqrt((share * (widths**2 + (means - mean) ** 2)).sum(axis=0))

    def assign_scale(self, mean, scale) -> None:
        """Set the units `(size,)` of averaged values."""
        self.mean.assign(np.asarray(mean, np.float32))
        self.scale.assign(np.asarray(scale, np.float32))

    def call(self, images, training=None):
        """Compute the predictions for a batch of images."""
        task = self.members[0].targets.task
        parts = [_predictions(member, images, task, training) for member in self.members]
        if self.shares is None:
            return ops.concatenate(parts, axis=-1)
        if task.standardized:
            parts = list(map(self._in_own_units, self.members, parts))
        total = sum(self.shares)
        return task.open(
            sum(part * (share / total) for part, share in zip(parts, self.shares, strict=True))
        )

    def _in_own_units(self, member, values):
        """Return a member's standard values in this layer's units."""
        units = member.target_scales[ONLY_TASK]
        return (values * units.scale + (units.mean - self.mean)) / self.scale

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {
            **super().get_config(),
            "members": [keras.saving.serialize_keras_object(one) for one in self.members],
            "shares": self.shares,
            "side_by_side": STANDARD,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Build the layer from `get_config`'s answer, with fresh weights.

        Raises:
            InputError: If a head was trained on members' values in the users' units.
        """
        config = {key: value for key, value in config.items() if key != "autocast"}
        is_read = config.pop("side_by_side", None) == STANDARD
        layer = cls(**{**config, "members": _deserialised(config["members"], custom_objects)})
        if layer.shares is None and layer.members[0].targets.task.standardized and not is_read:
            raise InputError(
                "path: the file holds regressions side by side in their users' units, and these "
                "are standard units now. Build the fusion again from its members, and train it."
            )
        return layer

    def load_own_variables(self, store):
        """Load the units; averages that were saved without are in the user's, 0 and 1."""
        if store.keys():
            super().load_own_variables(store)


def _predictions(member, images, task, training):
    logits = member.forward(images, bool(training)).logits
    return logits if task.standardized else task.close(logits)


def _deserialised(configs, custom_objects):
    return [keras.saving.deserialize_keras_object(one, custom_objects) for one in configs]
