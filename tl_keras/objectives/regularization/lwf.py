"""Learning without forgetting: the network still answers the source task as it did."""

from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.distillation.distillation import softened_divergence
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.source_head import averaged, check_source_head, copy_of_head
from tl_keras.objectives.regularization.starting_point import StartingPoint, require_replaceable
from tl_keras.utils.arguments import number


class LwF(Objective):
    """Keeps the source task without its data: on the new images, its answers stay what they were.

    `T² · KL(softmax(z⁰/T) ‖ softmax(z/T))`, the mean over all examples of all domains, where `z`
    are the source head's logits on the features of now and `z⁰` those of the starting point. The
    source head trains along, as in the paper, and is saved with the run (`objectives.zip`), not
    with the model; `source_logits` gives its answers. Use it where the old task still counts, or
    where its classes say something about the new ones. Every step runs the backbone twice. Any
    number of replicas gives what one device does.

    Strength: 4/9 of `T² · KL` at `T` = 3 is 4 times `KL`, as Transfer-Learning-Library has it,
    which leaves `T²` out. The paper's is once that at `T` = 2.

    Li, Hoiem: *Learning without Forgetting*, ECCV 2016.

    Args:
        source_head: Trained layer or model from the backbone's output, averaged over positions,
            `(b, channels)`, to the source task's logits. It is copied. The activation of a Dense
            layer, such as `keras.applications.ResNet50().get_layer("predictions")`, is left out.
        temperature: `T` > 0; above 1, small probabilities count more.
        weight: Strength, ≥ 0, or a function of progress.

    Raises:
        InputError: If the source head does not fit, or the backbone is a SavedModel.
    """

    reads_feature_map: ClassVar[str] = "averaged"

    def __init__(
        self, source_head: keras.layers.Layer, temperature: float = 3.0, *, weight: Any = 4 / 9
    ):
        super().__init__(weight)
        check_source_head(source_head)
        self.source_head = source_head
        self.temperature = number(temperature, "temperature", above=0.0)

    def begin(self, setup: Setup) -> None:
        """Copy the source head twice, once to train and once to stay, and remember the backbone."""
        require_replaceable(setup, self)
        channels = setup.forward_shapes.feature_map[-1]
        self._head = copy_of_head(self.source_head, channels, "lwf_source_head")
        self._old_head = copy_of_head(self.source_head, channels, "lwf_source_head_at_the_start")
        self._old_head.trainable = False
        self._start = StartingPoint(setup.model, statistics=True)
        self._differs = True

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the source head, and the one that it started from."""
        return {"source_head": self._head, "source_head_at_the_start": self._old_head}

    def memory(self) -> list[keras.Variable]:
        """Return the starting values of the backbone."""
        return self._start.values

    def begin_stage(self, model: TransferModel) -> None:
        """Note whether the backbone gives, throughout the stage, what it gave at the start."""
        trains = bool(model.backbone.trainable_variables)
        self._differs = trains or self._start.has_moved()

    def rerun_weights(self, model: TransferModel) -> list[tuple[Any, Any]]:
        """Return the starting values."""
        return self._start.pairs()

    def source_logits(self, feature_map: Any) -> Any:
        """Return the trained source head's logits of what the backbone gave."""
        return tf.cast(self._head(averaged(feature_map)), tf.float32)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return how far the answers to the source task have moved."""
        values = []
        for name, domain in batch.items():
            start = domain.feature_map
            if self._differs:
                start = self._start.forward(batch, name).feature_map
            before = tf.stop_gradient(tf.cast(self._old_head(averaged(start)), tf.float32))
            now = self.source_logits(domain.feature_map)
            values.append(softened_divergence(before, now, self.temperature))
        return {"loss": pooled(list(batch.values())).mean(tf.concat(values, axis=0))}
