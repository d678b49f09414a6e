"""Layers that turn a backbone's feature map into one vector per example."""

import keras
from keras import ops

from tl_keras.utils.errors import InputError


def flatten_positions(features):
    """Reshape `(batch, h, w, c)` or `(batch, tokens, c)` to `(batch, positions, c)`."""
    if len(features.shape) == 3:
        return features
    shape = ops.shape(features)
    return ops.reshape(features, (shape[0], -1, features.shape[-1]))


def masked_mean(values, mask):
    """Return the mean `(batch, channels)` over the positions that a mask leaves.

    Args:
        values: `(batch, positions, channels)`.
        mask: `(batch, positions)`; where all is masked, the mean is 0.
    """
    weights = ops.expand_dims(ops.cast(mask, values.dtype), axis=-1)
    return ops.sum(values * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)


def _masked(values, mask, low: float):
    """Return values `(batch, positions, channels)` with a low number where the mask is False."""
    return ops.where(ops.expand_dims(ops.cast(mask, "bool"), axis=-1), values, low)


@keras.saving.register_keras_serializable("tl_keras")
class GlobalPooling(keras.layers.Layer):
    """Average or maximum over all positions; vectors pass through.

    Args:
        mode: `"average"` or `"max"`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: `(batch, height, width, channels)`, `(batch, tokens, channels)` or
            `(batch, channels)`.
        mask: `(batch, tokens)`, False for padding, which does not count; None where there is none.

    Returns:
        `(batch, channels)`.
    """

    def __init__(self, mode: str = "average", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode
        self.supports_masking = True

    def call(self, features, mask=None):
        """Pool a batch of feature maps."""
        axes = tuple(range(1, len(features.shape) - 1))
        if not axes:
            return features
        if mask is not None and len(features.shape) == 3:
            if self.mode == "max":
                return ops.max(_masked(features, mask, -1e9), axis=1)
            return masked_mean(features, mask)
        return (ops.max if self.mode == "max" else ops.mean)(features, axis=axes)

    def compute_mask(self, inputs, previous_mask=None):
        """Return None: vectors have no positions."""
        del inputs, previous_mask

    def compute_output_shape(self, input_shape):
        """Return `(batch, channels)`."""
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "mode": self.mode}


@keras.saving.register_keras_serializable("tl_keras")
class GeneralizedMeanPooling(keras.layers.Layer):
    """GeM: `(mean over positions of max(x, ε)^p)^(1/p)` with a learned `p`.

    `p = 1` is the average, `p → ∞` the maximum; retrieval and fine-grained tasks gain from what
    lies between. Radenović, Tolias, Chum: *Fine-tuning CNN Image Retrieval with No Human
    Annotation*, TPAMI 2018.

    Args:
        power: Initial `p`, > 0.
        epsilon: Smallest feature value; keeps the power's gradient finite.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: `(batch, height, width, channels)` or `(batch, tokens, channels)`.

    Returns:
        `(batch, channels)`.
    """

    def __init__(self, power: float = 3.0, epsilon: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        self.initial_power = float(power)
        self.epsilon = float(epsilon)
        self.supports_masking = True

    def compute_mask(self, inputs, previous_mask=None):
        """Return None: vectors have no positions."""
        del inputs, previous_mask

    def build(self, input_shape):
        """Create the power."""
        _require_positions(input_shape, "GeM")
        self.power = self.add_weight(
            name="power",
            shape=(),
            initializer=keras.initializers.Constant(self.initial_power),
            constraint=keras.constraints.NonNeg(),
        )

    def call(self, features, mask=None):
        """Pool a batch of feature maps; padding does not count."""
        power = ops.maximum(self.power, 1e-2)
        positive = ops.power(ops.maximum(flatten_positions(features), self.epsilon), power)
        if mask is not None and len(features.shape) == 3:
            mean = masked_mean(positive, mask)
        else:
            mean = ops.mean(positive, axis=1)
        return ops.power(mean, 1.0 / power)

    def compute_output_shape(self, input_shape):
        """Return `(batch, channels)`."""
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {
            **super().get_config(),
            "power": self.initial_power,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable("tl_keras")
class AttentionPooling(keras.layers.Layer):
    """Average over positions, weighted by a small gated attention network.

    `a = softmax(wᵀ(tanh(Vx) ⊙ sigmoid(Ux)))` over positions, `y = Σ a x`. Suits images in which a
    small region decides. Ilse, Tomczak, Welling: *Attention-based Deep Multiple Instance
    Learning*, ICML 2018.

    Args:
        hidden_units: Width of the attention network.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        features: `(batch, height, width, channels)` or `(batch, tokens, channels)`.

    Returns:
        `(batch, channels)`.
    """

    def __init__(self, hidden_units: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.hidden_units = int(hidden_units)
        self.supports_masking = True
        self.value = keras.layers.Dense(
            self.hidden_units, activation="tanh", dtype=self.dtype_policy, name="value"
        )
        self.gate = keras.layers.Dense(
            self.hidden_units, activation="sigmoid", dtype=self.dtype_policy, name="gate"
        )
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")

    def build(self, input_shape):
        """Build the attention network."""
        _require_positions(input_shape, "attention")
        positions = (input_shape[0], None, input_shape[-1])
        self.value.build(positions)
        self.gate.build(positions)
        self.score.build((input_shape[0], None, self.hidden_units))

    def compute_mask(self, inputs, previous_mask=None):
        """Return None: vectors have no positions."""
        del inputs, previous_mask

    def attention(self, features, mask=None):
        """Return the weights `(batch, positions)`, which sum to 1 over positions that count."""
        x = flatten_positions(features)
        scores = self.score(self.value(x) * self.gate(x))
        if mask is not None and len(features.shape) == 3:
            scores = _masked(scores, mask, -1e9)
        return ops.softmax(ops.squeeze(scores, axis=-1), axis=-1)

    def call(self, features, mask=None):
        """Pool a batch of feature maps; padding gets no weight."""
        weights = ops.expand_dims(self.attention(features, mask), axis=-1)
        return ops.sum(weights * flatten_positions(features), axis=1)

    def compute_output_shape(self, input_shape):
        """Return `(batch, channels)`."""
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "hidden_units": self.hidden_units}


def _require_positions(input_shape, pooling: str):
    if len(input_shape) < 3:
        raise InputError(
            f"head: {pooling} pooling needs a feature map (batch, height, width, channels) or "
            f"tokens (batch, tokens, channels), but the backbone gives {tuple(input_shape)}, "
            "already pooled. Use head='linear' or 'mlp', or a backbone without its pooling."
        )
