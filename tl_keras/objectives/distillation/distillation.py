"""Knowledge distillation: the model learns what teachers say, not only what the labels say."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.distillation.teachers import (
    check_images,
    logits_function,
    output_shape,
    resolve_models,
)
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


def softened_divergence(teacher_logits, student_logits, temperature):
    """Return `T² · KL(softmax(t/T) ‖ softmax(s/T))` per example `(b,)`.

    With `T²`, the gradient keeps its size whatever the temperature.

    Args:
        teacher_logits: `t`, `(b, classes)`.
        student_logits: `s`, `(b, classes)`.
        temperature: `T` > 0.
    """
    teacher = tf.nn.log_softmax(teacher_logits / temperature)
    student = tf.nn.log_softmax(student_logits / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)


def common_opinion(logits: Sequence[Any], weights: Sequence[float], temperature):
    """Return logits of the weighted mean of several teachers' softened probabilities.

    `T · log Σ wᵢ softmax(tᵢ/T) / Σ wᵢ`, so that dividing by `T` gives that mean.

    Args:
        logits: One `(b, classes)` per teacher.
        weights: One number ≥ 0 per teacher.
        temperature: `T` > 0.
    """
    if len(logits) == 1:
        return logits[0]
    logs = [tf.nn.log_softmax(one / temperature) for one in logits]
    shares = tf.constant([float(w) for w in weights]) / float(sum(weights))
    stacked = tf.stack(logs) + tf.math.log(shares)[:, None, None]
    return temperature * tf.reduce_logsumexp(stacked, axis=0)


class Distillation(Objective):
    """Fits the softened probabilities of one or several teachers, with or without labels.

    Compresses a large model into a small one, or joins several models into one. Stands beside
    `Supervised` where there are labels: `[Supervised(weight=0.1), Distillation(teacher)]`.

    `T² · KL(p_T(teacher) ‖ p_T(model))`, the mean over all examples of all domains, labelled or
    not; several teachers speak with the weighted mean of their softened probabilities. That is
    `keras.distillation.LogitsDistillation(T, keras.losses.KLDivergence())`, per example, so that
    any number of replicas gives what one device does. (With its default, `"kl_divergence"`, Keras
    3.15 takes logits for probabilities.)

    Teachers run as in inference, with their weights of the beginning. Where nothing random changes
    the images (no augmentation, no `tf.data.Dataset`), each says what it says once per image and
    the store keeps it; else they run in every step and see the same augmented image as the model.

    Strength: `T²` and the weight 1 are Hinton's and Keras'; Transfer-Learning-Library leaves `T²`
    out.

    Hinton, Vinyals, Dean: *Distilling the Knowledge in a Neural Network*, 2015. Beyer et al.:
    *Knowledge Distillation: A Good Teacher Is Patient and Consistent*, CVPR 2022, on many epochs
    and the same views for both.

    Args:
        teachers: A Keras model that takes the same images, 0–255 or in the `pixel_range` of the
            model that learns, or several. Of a `TransferModel` the logits are taken.
        temperature: `T` > 0, of teachers and model; 2 … 8 is usual.
        teacher_weights: Numbers ≥ 0, one per teacher; equal by default.
        outputs: What teachers of other kinds give, `"logits"` or `"probabilities"`.
        confidence: Examples of which the teachers' mean (at `T` = 1) is less sure than this are
            left out, from 0 to below 1.
        loss: A `keras.distillation` loss in place of the formula, such as
            `keras.distillation.LogitsDistillation(4.0, loss="categorical_crossentropy")`; it is the
            mean over one replica's share, and `temperature` is its own.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If an argument is out of range, or a teacher does not fit the model.
    """

    partly_labelled: ClassVar[bool] = True

    def __init__(
        self,
        teachers: keras.Model | Sequence[keras.Model],
        temperature: float = 4.0,
        *,
        teacher_weights: Sequence[float] | None = None,
        outputs: str = "logits",
        confidence: float = 0.0,
        loss: Any = None,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        self.teachers = resolve_models(teachers)
        self.temperature = number(temperature, "temperature", above=0.0)
        count = len(self.teachers)
        shares = [1.0] * count if teacher_weights is None else teacher_weights
        self.teacher_weights = [number(one, "teacher_weights", least=0.0) for one in shares]
        if len(self.teacher_weights) != count or sum(self.teacher_weights) == 0.0:
            raise InputError(
                f"teacher_weights: expected {count} numbers, one per teacher, not all of them 0, "
                f"got {teacher_weights!r}."
            )
        if outputs not in ("logits", "probabilities"):
            raise InputError(
                f"outputs: expected 'logits' or 'probabilities', which the teachers give, got "
                f"{outputs!r}."
            )
        self.outputs = outputs
        self.confidence = number(confidence, "confidence", least=0.0, below=1.0)
        if loss is not None and (not hasattr(loss, "compute_loss") or confidence):
            raise InputError(
                "loss: expected a keras.distillation loss without confidence=…, got "
                f"{type(loss).__name__} and confidence={confidence!r}."
            )
        self.loss = loss

    def begin(self, setup: Setup) -> None:
        """Check that the teachers fit."""
        setup.require_classes(self)
        for teacher, function in zip(self.teachers, self.teacher_functions().values(), strict=True):
            check_images(teacher, setup, "teachers")
            _check_classes(teacher, setup)
            shape = output_shape(function, setup)
            if shape != (setup.num_classes,):
                raise InputError(
                    f"teachers: {teacher.name!r} gives {shape} per image, and the model that "
                    f"learns has {setup.num_classes} classes. Teachers of other classes can give "
                    "hints: see FeatureHints."
                )

    def teacher_functions(self) -> dict[str, Callable[[Any], Any]]:
        """Return the logits of every teacher as a function of images."""
        return {
            f"{self.name}/{index}": logits_function(one, self.outputs)
            for index, one in enumerate(self.teachers)
        }

    def config(self) -> dict[str, Any]:
        """Return what describes the objective in the run's configuration."""
        loss = None if self.loss is None else type(self.loss).__name__
        return {**super().config(), "loss": loss}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean divergence, and how often model and teachers name the same class."""
        domain = pooled(list(batch.values()))
        said, student = self._said(domain), tf.cast(domain.logits, tf.float32)
        same = tf.argmax(said, axis=-1) == tf.argmax(student, axis=-1)
        parts = {"teacher_agreement": domain.mean(same)}
        if self.loss is not None:
            return {"loss": self._keras_loss(self.loss, batch), **parts}
        values = softened_divergence(said, student, self.temperature)
        if self.confidence:
            own = [domain.teacher_outputs[name] for name in self.teacher_functions()]
            sure = tf.nn.softmax(common_opinion(own, self.teacher_weights, 1.0))
            sure = tf.cast(tf.reduce_max(sure, axis=-1) >= self.confidence, tf.float32)
            values, parts["confident"] = values * sure, domain.mean(sure)
        return {"loss": domain.mean(values), **parts}

    def _said(self, domain):
        logits = [domain.teacher_outputs[name] for name in self.teacher_functions()]
        return common_opinion(logits, self.teacher_weights, self.temperature)

    def _keras_loss(self, loss: Any, batch: Batch):
        """Return the mean over domains, by their numbers of examples, of what Keras computes."""
        total = tf.add_n([one.counts.examples for one in batch.values()])
        parts = [
            one.share
            * one.counts.examples
            * loss.compute_loss(self._said(one), tf.cast(one.logits, tf.float32))
            for one in batch.values()
        ]
        return tf.add_n(parts) / tf.maximum(total, 1.0)


def _check_classes(teacher: keras.Model, setup: Setup) -> None:
    own = setup.model.class_names
    theirs = teacher.class_names if isinstance(teacher, TransferModel) else None
    if own and theirs and tuple(own) != tuple(theirs):
        raise InputError(
            f"teachers: {teacher.name!r} has the labels {list(theirs)[:10]}, and the model that "
            f"learns {list(own)[:10]}. Both need the same classes in the same order."
        )
