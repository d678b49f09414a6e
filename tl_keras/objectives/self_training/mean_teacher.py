"""Mean teacher: the model agrees with the moving average of itself."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.augmented_views import checked_view, resolve_view
from tl_keras.objectives.batch import Batch, DomainBatch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.starting_point import require_replaceable
from tl_keras.objectives.self_training.unlabelled import adapted, adapted_names
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import number
from tl_keras.utils.by_task import by_task
from tl_keras.utils.errors import InputError

VIEW = "mean_teacher"


def average_momentum(updates, momentum: float):
    """Return the share of the old average after a number of updates: `min((1 + n)/(10 + n), m)`.

    So the average is at first of about the last tenth of the updates, and forgets where it began:
    after 100 updates, 1 · 2 ⋯ 100 / (10 · 11 ⋯ 109) = 2·10⁻¹³ of it are left. The rule is that
    of `tf.train.ExponentialMovingAverage`.

    Args:
        updates: Number of updates before this one, n ≥ 0.
        momentum: m, 0 … 1.
    """
    updates = tf.cast(updates, tf.float32)
    return tf.minimum((1.0 + updates) / (10.0 + updates), momentum)


def consistency(logits, teacher_logits, spec: TargetSpec):
    """Return the squared distance `(b,)` of two predictions, summed over the outputs.

    Predictions are softmax or sigmoid of the logits, or the values of a regression head. No
    gradient goes through the teacher's.
    """
    own = spec.task.close(tf.cast(logits, tf.float32))
    teacher = tf.stop_gradient(spec.task.close(tf.cast(teacher_logits, tf.float32)))
    return tf.reduce_sum(tf.square(own - teacher), axis=-1)


class MeanTeacher(Objective):
    """Draws predictions to those of a teacher whose weights are the average of the model's.

    `loss = mean ‖f(x'; θ) − f(x; θ̄)‖²`, `θ̄ ← m·θ̄ + (1 − m)·θ` after every update, over all
    examples of the target domains, or of all domains where there is no target. For many unlabelled
    examples; heads of every kind, also several tasks. The teacher sees the image as training does
    (after `fine_tune`'s `augmentation`) and without dropout; the model sees a view of its own of
    it, or the same image with its dropout. With neither, both differ by their weights only and
    little is learned.

    All weights are averaged, BatchNorm statistics included, so the run needs memory for a second
    set of weights. The teacher is kept in checkpoints and not in the trained model;
    `Stage(ema_momentum=m)` gives the model such an average in the end.

    Args:
        momentum: m, from 0 to below 1: how slowly the teacher follows. In the first updates it
            follows faster, see `average_momentum`.
        augmentation: Keras layer or layers that make the model's view out of the teacher's image.
        weight: What the loss is multiplied by; a number rises from 0 over the stage (`Ramp`).

    Raises:
        InputError: If an argument is out of range, the model has no head, or the backbone is a
            SavedModel.

    Strength: 10 times the sum over classes is the authors' 100 times their mean, for ten classes.
    Transfer-Learning-Library has 3 times the sum, where the teacher is sure by 0.8.

    Tarvainen, Valpola: *Mean teachers are better role models*, NeurIPS 2017.
    """

    ramps: ClassVar[bool] = True
    partly_labelled: ClassVar[bool] = True

    def __init__(self, momentum: float = 0.999, augmentation: Any = None, *, weight: Any = 10.0):
        super().__init__(weight)
        self.momentum = number(momentum, "momentum", least=0.0, below=1.0)
        self.augmentation = resolve_view(augmentation, "augmentation")

    def begin(self, setup: Setup) -> None:
        """Let the teacher start from the model."""
        if setup.model.targets is None:
            raise InputError(
                "model: MeanTeacher compares predictions, and the model has no head. Build it with "
                "num_classes=…."
            )
        require_replaceable(setup, self)
        self._layers = () if not self.augmentation else checked_view(self.augmentation, setup)
        self._names = adapted_names(setup.domains)
        self._teacher = [
            keras.Variable(
                weight.numpy(),
                trainable=False,
                dtype=weight.dtype,
                aggregation="only_first_replica",
                name=f"teacher_{index:05}",
            )
            for index, weight in enumerate(averaged_weights(setup.model))
        ]
        self._updates = keras.Variable(
            0.0, trainable=False, aggregation="only_first_replica", name="teacher_updates"
        )

    def memory(self) -> list[keras.Variable]:
        """Return the teacher's weights and the number of updates."""
        return [*self._teacher, self._updates]

    def rerun_weights(self, model: TransferModel) -> list[tuple[Any, Any]]:
        """Return the teacher's weights."""
        return list(zip(averaged_weights(model), self._teacher, strict=True))

    def views(self) -> dict[str, Any]:
        """Return the model's view, if it has one."""
        return {VIEW: (self._layers, self._names)} if self._layers else {}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean squared distance; with several tasks, its sum and each."""
        student = adapted(batch.views[VIEW] if self._layers else batch, self._names)
        pairs = self.rerun_weights(batch.model)
        passes = [batch.rerun(name, pairs).logits for name in self._names]
        guide = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *passes)
        return consistency_losses(student, guide, batch.targets)

    def after_update(self, model: TransferModel) -> None:
        """Let the teacher follow the model."""
        momentum = average_momentum(self._updates.value, self.momentum)
        for weight, teacher in zip(averaged_weights(model), self._teacher, strict=True):
            share = tf.cast(momentum, teacher.dtype)
            # In this form a weight that does not move leaves the teacher where it is, to the bit.
            teacher.assign(teacher.value + (1 - share) * (weight.value - teacher.value))
        self._updates.assign_add(1.0)


def averaged_weights(model: TransferModel) -> list[keras.Variable]:
    """Return the weights that a teacher averages: all that are no whole numbers."""
    return [weight for weight in model.weights if tf.as_dtype(weight.dtype).is_floating]


def consistency_losses(
    student: DomainBatch, guide: Any, targets: TargetSpec | Mapping[str, TargetSpec] | None
) -> dict[str, Any]:
    """Return the mean consistency of one task, or of several by name and their sum."""
    logits, guide = by_task(student.logits), by_task(guide)
    parts = {
        task: student.mean(consistency(logits[task], guide[task], spec))
        for task, spec in by_task(targets).items()
    }
    named_parts = {f"{task}_consistency": one for task, one in parts.items() if task}
    return {"loss": sum(parts.values()), **named_parts}
