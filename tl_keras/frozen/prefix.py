"""The part of a model that a stage leaves as it is, and the part that trains on top of it."""

from collections.abc import Callable, Iterable
from typing import Any

import keras
import tensorflow as tf

from tl_keras.backbones.cuts import Block
from tl_keras.backbones.split import Split, split_network
from tl_keras.frozen.folding import fold
from tl_keras.frozen.function_digest import trace
from tl_keras.models.forward import Forward
from tl_keras.models.heads import Head
from tl_keras.models.pooling import GlobalPooling
from tl_keras.models.transfer_model import TransferModel
from tl_keras.schedules.freezing import is_batch_norm
from tl_keras.utils.compat import flatten_layers, is_random_preprocessing


class Prefix:
    """Preprocessing and the frozen lower blocks of a model; what stands on them is the rest.

    A frozen prefix is a fixed function: it runs in inference mode in training too, without
    dropout or dropped paths and with BatchNorm's stored statistics. So `images_forward(images)` is
    `forward(lower(images))` whether the values in between come from the images or from a store.

    The exception is random augmentation inside the backbone, such as a `RandomFlip` that the user
    put before the first block: then the prefix is no fixed function and trains with
    `training=True`, and its values must not be stored.

    Args:
        model: The model, with the flags of the running stage.
        boundary: Number of frozen blocks, counted from the input.
        split: The backbone split there; None if all of it is frozen.
        pools: Whether the vectors that the head makes of the frozen backbone's output stand for it.

    Attributes:
        random_layer: Name of the augmentation layer among the frozen blocks, or None.
    """

    def __init__(
        self, model: TransferModel, boundary: int, split: Split | None, *, pools: bool = False
    ):
        self.model = model
        self.boundary = boundary
        self._split = split
        self._pools = pools
        self.random_layer = _random_layer(self.layers)
        self._traced: dict[str, Any] = {}
        self._folded: dict[tuple[str, str], Callable[[Any], Any]] = {}

    def __str__(self) -> str:
        """Return which blocks these are, in words."""
        name, count = self.model.backbone.name, len(self.model.blocks)
        which = "all" if self.boundary == count else f"{self.boundary} of {count}"
        return f"{name}, {which} blocks" + (", pooled" if self._pools else "")

    @property
    def name(self) -> str:
        """Name of the backbone."""
        return self.model.backbone.name

    @property
    def layers(self) -> list[keras.layers.Layer]:
        """The layers of the frozen blocks, in the order of computation."""
        return [layer for block in self.model.blocks[: self.boundary] for layer in block.layers]

    def lower(self, images: Any, training: bool = False) -> Any:
        """Run preprocessing and the frozen blocks.

        Args:
            images: `(batch, height, width, channels)`, 0–255.
            training: Whether augmentation layers among the frozen blocks are at work; nothing
                else listens to it.

        Returns:
            The tensor `(batch, …)` at the cut, or a tuple of two. Where the whole backbone is
            frozen and the head only averages or takes the maximum, the pooled float32 vectors
            `(batch, channels)`.
        """
        values = self._frozen_values(images, training)
        return self.model.head.pool(values) if self._pools else values

    def _frozen_values(self, images: Any, training: bool) -> Any:
        training = bool(training) and self.random_layer is not None
        images = self.model.preprocessing(images)
        if self._split is None:
            return self.model.backbone(images, training=training)
        values = self._split.lower(images, training=training)
        return tuple(values) if isinstance(values, (list, tuple)) else values

    def traced(self, images: tf.TensorSpec) -> Any:
        """Return the concrete function of `lower` for such images, traced once."""
        key = str(images)
        if key not in self._traced:
            self._traced[key] = trace(self.lower, images)
        return self._traced[key]

    def folded(
        self, images: tf.TensorSpec, precision: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """Return `lower` with the weights of the first call as constants, as `fold` gives it."""
        key = (str(images), precision)
        if key not in self._folded:
            self._folded[key] = fold(
                self.lower,
                images,
                traced=self.traced(images),
                precision=precision,
                layers=self.layers,
                say=say,
            )
        return self._folded[key]

    def forward(self, values: Any, training: bool = False) -> Forward:
        """Run the rest of the backbone and the head.

        Args:
            values: What `lower` gave.
            training: Whether dropout and the like are at work there.

        Returns:
            As `TransferModel.forward`; the feature map is the pooled vectors where `lower` pools.
        """
        if self._split is not None:
            values = list(values) if isinstance(values, tuple) else values
            values = self._split.upper(values, training=training)
        return self.model.forward_from_feature_map(values, training)

    def images_forward(self, images: Any, training: bool = False) -> Forward:
        """Run everything: `forward(lower(images))`, with no gradient into the frozen blocks.

        The feature map is the backbone's whole output, also where `lower` pools it.
        """
        values = self._frozen_values(images, training)
        if not carries_mask(self.model):  # A tensor made from another one has no mask.
            values = tf.nest.map_structure(tf.stop_gradient, values)
        return self.forward(values, training)


def frozen_prefix(model: TransferModel, map_readers: Iterable[str] = ()) -> Prefix | None:
    """Return the blocks below the lowest one that changes in training under the present flags.

    A block changes if one of its weights is trained, there or by another layer that shares it,
    or if one of its BatchNorm layers updates its statistics.

    Args:
        model: The model.
        map_readers: How what is trained besides the head reads the backbone's output: `"averaged"`,
            `"whole"`.

    Returns:
        The prefix. None if the lowest block changes, or if the backbone cannot be split.
    """
    trained = {id(variable) for variable in model.trainable_variables}
    blocks = model.blocks
    frozen = 0
    while frozen < len(blocks) and not _changes(blocks[frozen], trained):
        frozen += 1
    if frozen == len(blocks):
        pools = _vectors_do(model, set(map_readers))
        # Whole maps come out of a store without the mask that belongs to them.
        whole = Prefix(model, frozen, None, pools=pools)
        return whole if pools or not carries_mask(model) else None
    split = split_network(model.backbone, blocks, frozen) if frozen else None
    return None if split is None else Prefix(model, split.boundary, split)


def carries_mask(model: TransferModel) -> bool:
    """Return whether a layer of the backbone masks padding."""
    return any(
        isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False)
        for layer in flatten_layers(model.backbone)
    )


def pools_without_weights(model: TransferModel) -> bool:
    """Return whether the head sees only averages or maxima, the same for every task."""
    heads = [model.head] if isinstance(model.head, Head) else list(model.head.heads.values())
    modes = {
        head.pooling.mode if isinstance(head.pooling, GlobalPooling) else None for head in heads
    }
    own = model.head.pooling
    return modes == {own.mode} if isinstance(own, GlobalPooling) else False


def _vectors_do(model: TransferModel, map_readers: set[str]) -> bool:
    """Return whether all readers of the backbone's output make the same vectors of it."""
    if not pools_without_weights(model):
        return False
    return not map_readers or (map_readers == {"averaged"} and model.head.pooling.mode == "average")


def _changes(block: Block, trained: set[int]) -> bool:
    if any(id(weight) in trained for weight in block.weights):
        return True
    inner = (layer for outer in block.layers for layer in flatten_layers(outer))
    return any(is_batch_norm(layer) and layer.trainable for layer in inner)


def _random_layer(layers: Iterable[keras.layers.Layer]) -> str | None:
    """Return the name of the first of Keras' random preprocessing layers, or of one made of it."""
    for outer in layers:
        for layer in flatten_layers(outer):
            if is_random_preprocessing(layer):
                return layer.name
    return None
