"""Feature hints: the model's feature map, through a learned layer, fits that of a teacher."""

from collections.abc import Callable
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.source_head import averaged
from tl_keras.objectives.teachers import (
    check_images,
    map_function,
    output_shape,
    resolve_models,
)


def brought_together(hint, guided):
    """Return two maps of the same number of channels in the same shape.

    Of two images of features, the second is resized to the first, bilinearly; where one is no image
    and their positions differ in number, both are averaged over positions.

    Args:
        hint: `(b, …, channels)`.
        guided: `(b, …, channels)`.
    """
    if hint.shape.rank == guided.shape.rank == 4:
        if hint.shape[1:3] == guided.shape[1:3] and None not in hint.shape[1:3]:
            return hint, guided
        return hint, tf.image.resize(guided, tf.shape(hint)[1:3])
    if hint.shape.rank == guided.shape.rank and hint.shape[1:] == guided.shape[1:]:
        return hint, guided
    return averaged(hint), averaged(guided)


def hint_distance(hint, guided):
    """Return the mean of the squared differences per example, `(b,)`."""
    squared = tf.square(hint - guided)
    return tf.reduce_mean(squared, axis=list(range(1, squared.shape.rank)))


class FeatureHints(Objective):
    """Fits the backbone's feature map to a teacher's: FitNets' hints.

    For a teacher whose classes are others than the model's, or before `Distillation`. A learned
    linear layer `r` (a 1×1 convolution) brings the model's channels to the teacher's:
    `mean of (h − r(F))²`, the mean over all examples of all domains, with or without labels. That
    is `keras.distillation.FeatureDistillation("mse")`, per example: any number of replicas gives
    what one device does.

    The guided layer is the backbone's output; the hint is any layer of the teacher. The teacher's
    outputs are stored or computed as for `Distillation`; feature maps take much more room. The
    layer `r` is saved with the run, not with the model.

    Romero, Ballas, Kahou, Chassang, Gatta, Bengio: *FitNets: Hints for Thin Deep Nets*, ICLR 2015.

    Args:
        teacher: A Keras model that takes the same images, 0–255, and gives the hint, such as
            `keras.Model(network.input, network.get_layer("block4").output)`. Of a `TransferModel`
            the backbone's output is taken.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If the teacher is no model, or takes other images.
    """

    partly_labelled: ClassVar[bool] = True
    reads_feature_map: ClassVar[str] = "whole"

    def __init__(self, teacher: keras.Model, *, weight: Any = 1.0):
        super().__init__(weight)
        (self.teacher,) = resolve_models([teacher], "teacher")

    def begin(self, setup: Setup) -> None:
        """Make the layer between the channels."""
        check_images(self.teacher, setup, "teacher")
        shape = output_shape(map_function(self.teacher), setup)
        self._regressor = keras.layers.Dense(
            shape[-1],
            kernel_initializer=keras.initializers.GlorotUniform(seed=setup.seed % 2**31),
            dtype="float32",
            name="hint_regressor",
        )
        self._regressor.build((None, setup.forward_shapes.feature_map[-1]))

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the layer between the channels."""
        return {"regressor": self._regressor}

    def teacher_functions(self) -> dict[str, Callable[[Any], Any]]:
        """Return the hint as a function of images."""
        return {f"{self.name}/0": map_function(self.teacher)}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean squared difference."""
        domain = pooled(list(batch.values()))
        guided = self._regressor(tf.cast(domain.feature_map, tf.float32))
        hint, guided = brought_together(domain.teacher_outputs[f"{self.name}/0"], guided)
        return {"loss": domain.mean(hint_distance(hint, guided))}
