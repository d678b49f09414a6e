"""Feature hints: the model's feature map, through a learned layer, fits that of a teacher."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.distillation.teachers import (
    check_images,
    map_function,
    output_shape,
    resolve_models,
)
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.source_head import averaged


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

    For teachers whose classes are others than the model's, or before `Distillation`. A learned
    linear layer `r` (a 1×1 convolution) brings the model's channels to a teacher's:
    `mean of (h − r(F))²`, the mean over all examples of all domains, with or without labels, and
    over the teachers, each of which has its own `r`. With one teacher that is
    `keras.distillation.FeatureDistillation("mse")`, per example: any number of replicas gives what
    one device does.

    The guided layer is the backbone's output; the hint is any layer of a teacher. The teachers'
    outputs are stored or computed as for `Distillation`; feature maps take much more room. The
    layers `r` are saved with the run, not with the model.

    Strength: the weight 1 of a mean is that of Keras. The paper minimises half the sum of squares,
    alone and before all else.

    Romero, Ballas, Kahou, Chassang, Gatta, Bengio: *FitNets: Hints for Thin Deep Nets*, ICLR 2015.

    Args:
        teachers: A Keras model that takes the same images, 0–255 or in the `pixel_range` of the
            model that learns, and gives the hint, such as `keras.Model(network.input,
            network.get_layer("block4").output)`, or a list of them. Of a `TransferModel` the
            backbone's output is taken.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If a teacher is no model, or takes other images.
    """

    partly_labelled: ClassVar[bool] = True
    reads_feature_map: ClassVar[str] = "whole"

    def __init__(self, teachers: keras.Model | Sequence[keras.Model], *, weight: Any = 1.0):
        super().__init__(weight)
        self.teachers = resolve_models(teachers)

    def begin(self, setup: Setup) -> None:
        """Make the layers between the channels."""
        self._regressors = {}
        for index, (name, function) in enumerate(self.teacher_functions().items()):
            check_images(self.teachers[index], setup, "teachers")
            regressor = keras.layers.Dense(
                output_shape(function, setup)[-1],
                kernel_initializer=keras.initializers.GlorotUniform(
                    seed=(setup.seed + index) % 2**31
                ),
                dtype="float32",
                name=f"hint_regressor_{index}",
            )
            regressor.build((None, setup.forward_shapes.feature_map[-1]))
            self._regressors[name] = regressor

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the layers between the channels."""
        return dict(self._regressors)

    def teacher_functions(self) -> dict[str, Callable[[Any], Any]]:
        """Return the hints as functions of images."""
        return {f"{self.name}/{i}": map_function(one) for i, one in enumerate(self.teachers)}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean squared difference."""
        domain = pooled(list(batch.values()))
        feature_map = tf.cast(domain.feature_map, tf.float32)
        distances = [
            hint_distance(*brought_together(domain.teacher_outputs[name], regressor(feature_map)))
            for name, regressor in self._regressors.items()
        ]
        return {"loss": domain.mean(tf.add_n(distances) / len(distances))}
