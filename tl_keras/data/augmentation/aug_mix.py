"""AugMix with all of its choices drawn from a seed."""

import keras
import tensorflow as tf

from tl_keras.data.augmentation.random_states import folded, random_states, reseeded
from tl_keras.utils.compat import flatten_layers

_CHOICES, _CHAINS, _ORIGINAL, _PLACES = range(4)


def aug_mix(layer: keras.layers.AugMix, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Apply a `keras.layers.AugMix` to a batch, as a function of images and seed.

    Keras chooses the operations of each chain with Python's `random`: no seed reaches it, and in
    a `tf.data` pipeline it is asked once, so that all batches get the same operations. Here the
    operations are chosen anew for every batch, with Keras' probabilities: in each of
    `num_chains · chain_depth` places, any of the layer's operations or none, all equally likely.
    Then, with `w ~ Dirichlet(α)` and `m ~ Beta(α, α)`,
    `m · images + (1 − m) · Σ w_i · chain_i(images)`.

    Hendrycks et al.: *AugMix: A Simple Data Processing Method to Improve Robustness and
    Uncertainty*, ICLR 2020.

    Args:
        layer: Its `num_chains`, `chain_depth`, `alpha`, strength and operations are used.
        images: float32 `(b, h, w, c)` in the layer's value range.
        seed: int64 `(2,)`.

    Returns:
        float32 `(b, h, w, c)`, clipped to the value range.
    """
    operations = list(flatten_layers(layer, include_self=False, recursive=False))
    places = layer.num_chains * layer.chain_depth
    if not places:
        return images
    choices = tf.random.stateless_uniform(
        (places,), folded(seed, _CHOICES), 0, len(operations) + 1, dtype=tf.int32
    )
    alpha = tf.constant(float(layer.alpha))
    shares = tf.random.stateless_gamma((layer.num_chains,), folded(seed, _CHAINS), alpha)
    pair = tf.random.stateless_gamma((2,), folded(seed, _ORIGINAL), alpha)
    weights = tf.math.divide_no_nan(shares, tf.reduce_sum(shares))
    original = tf.math.divide_no_nan(pair[0], tf.reduce_sum(pair))

    def apply_one(place, pictures, mixture):
        chain, depth = place // layer.chain_depth, place % layer.chain_depth
        pictures = tf.where(depth == 0, images, pictures)
        place_seed = folded(seed, _PLACES + place)
        branches = [lambda one=one: _run(one, pictures, place_seed) for one in operations]
        pictures = tf.switch_case(choices[place], [*branches, lambda: tf.identity(pictures)])
        weight = tf.where(depth == layer.chain_depth - 1, weights[chain], 0.0)
        return place + 1, pictures, mixture + weight * pictures

    # A loop, so that the graph holds the operations once and not for every place.
    _, _, mixture = tf.while_loop(
        lambda place, *_: place < places, apply_one, (0, images, tf.zeros_like(images))
    )
    mixed = original * images + (1.0 - original) * mixture
    low, high = map(float, layer.value_range)
    return tf.clip_by_value(mixed, low, high)


def _run(operation: keras.layers.Layer, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    with reseeded(operation, random_states(operation, seed)):
        changed = operation(images, training=True)
    return tf.ensure_shape(tf.cast(changed, tf.float32), images.shape)
