"""Co-tuning: target labels, translated into source classes, train the source classifier along."""

from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.regularization.source_head import averaged, check_source_head, copy_of_head
from tl_keras.tasks.losses import softmax_cross_entropy
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


def learn_relationship(
    source_logits: Any,
    y: Any,
    num_classes: int,
    *,
    reverse: bool = False,
    temperature: float = 1.25,
    inverse_strength: float = 1.0,
) -> np.ndarray:
    """Return `p(source class | target class)`, learned from what the source model says.

    The direct way averages the source model's probabilities over the examples of each target
    class. The reverse way fits `p(target class | source probabilities)` by logistic regression,
    reads it at each pure source class, and turns it round by Bayes' rule with the mean source
    probabilities as `p(source class)`; it takes more examples and separates classes better.

    Args:
        source_logits: Of the untouched pretrained model on target examples, `(n, source classes)`.
        y: Their target classes, integers `(n,)`.
        num_classes: Number of target classes; every one needs an example.
        reverse: Which of the two ways.
        temperature: What the logits are divided by, > 0; above 1 where the source model is too
            sure of itself, as networks are.
        inverse_strength: `C` of the logistic regression, > 0; larger fits closer.

    Returns:
        float32 `(num_classes, source classes)`; rows sum to 1.

    Raises:
        InputError: If shapes differ, probabilities come for logits, a label is out of range, or a
            class has no example.

    Example:
        >>> learn_relationship([[9.0, 0.0], [0.0, 9.0]], [1, 0], 2).round(2)
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    number(temperature, "temperature", above=0.0)
    number(inverse_strength, "inverse_strength", above=0.0)
    logits, y = np.asarray(source_logits, np.float64), np.asarray(y)
    if logits.ndim != 2 or y.shape != logits.shape[:1]:
        raise InputError(
            "source_logits: expected logits (n, source classes) and labels (n,), got the shapes "
            f"{logits.shape} and {y.shape}."
        )
    if logits.min(initial=0.0) >= 0 and np.allclose(logits.sum(axis=1), 1.0, atol=1e-3):
        raise InputError(
            "source_logits: expected logits, got rows that are ≥ 0 and sum to 1: probabilities. "
            "Compute them without the softmax, or pass their logarithms."
        )
    missing = sorted(set(range(num_classes)) - set(y.tolist()))
    strangers = sorted(set(y.tolist()) - set(range(num_classes)))
    if missing or strangers:
        raise InputError(
            f"y: expected every class from 0 to {num_classes - 1}; without an example are "
            f"{missing[:10]}, and no classes are {strangers[:10]}."
        )
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    probabilities = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    if not reverse:
        rows = [probabilities[y == index].mean(axis=0) for index in range(num_classes)]
        return np.asarray(rows, np.float32)
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(C=inverse_strength, max_iter=1000).fit(probabilities, y)
    target_given_source = regression.predict_proba(np.eye(logits.shape[1]))
    joint = target_given_source.T * probabilities.mean(axis=0)
    return (joint / joint.sum(axis=1, keepdims=True)).astype(np.float32)


class CoTuning(Objective):
    """Trains the pretrained classifier along, on source classes that the target's labels stand for.

    `−Σ_s p(s | y) log softmax(z)_s` with the source head's logits `z`, the mean over all labelled
    examples. So all of the pretrained network is used, its classifier too. Stands beside
    `Supervised`. The relationship comes first:

    ```python
    kernel, bias = source_head.get_weights()
    logits = model.features(x) @ kernel + bias  # before any training, and before the softmax
    relationship = tl.objectives.learn_relationship(logits, y, num_classes)
    ```

    The source head trains, and is saved with the run, not with the model. Any number of replicas
    gives what one device does.

    Strength: the weight 2.3 is that of Transfer-Learning-Library; the paper tries 0.25 … 4.

    You, Kou, Long, Wang: *Co-Tuning for Transfer Learning*, NeurIPS 2020.

    Args:
        source_head: Trained layer from the backbone's output, averaged over positions, to the
            source task's logits, as for `LwF`. It is copied.
        relationship: `p(source class | target class)`, `(target classes, source classes)`, rows
            that sum to 1; see `learn_relationship`.
        weight: Strength, ≥ 0, or a function of progress.

    Raises:
        InputError: If the source head or the relationship does not fit.
    """

    reads_feature_map: ClassVar[str] = "averaged"

    def __init__(self, source_head: keras.layers.Layer, relationship: Any, *, weight: Any = 2.3):
        super().__init__(weight)
        check_source_head(source_head)
        self.source_head = source_head
        self.relationship = np.asarray(relationship, np.float32)
        sums = self.relationship.sum(axis=-1)
        if self.relationship.ndim != 2 or not np.allclose(sums, 1.0, atol=1e-3):
            raise InputError(
                "relationship: expected probabilities (target classes, source classes) with rows "
                f"that sum to 1, got shape {self.relationship.shape}. See learn_relationship."
            )

    def begin(self, setup: Setup) -> None:
        """Copy the source head."""
        setup.require_classes(self)
        if not setup.labelled:
            raise InputError("data: CoTuning translates labels, and there are none. Add some.")
        channels = setup.forward_shapes.feature_map[-1]
        self._head = copy_of_head(self.source_head, channels, "co_tuning_source_head")
        outputs = int(self._head(tf.zeros((1, channels))).shape[-1])
        if self.relationship.shape != (setup.num_classes, outputs):
            raise InputError(
                f"relationship: expected shape {(setup.num_classes, outputs)} for the model's "
                f"{setup.num_classes} classes and the source head's {outputs}, got "
                f"{self.relationship.shape}."
            )

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the source head."""
        return {"source_head": self._head}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the cross-entropy of the source head against the translated labels."""
        domain = pooled(list(batch.labelled.values()))
        source_y = tf.matmul(domain.y, tf.constant(self.relationship))
        logits = tf.cast(self._head(averaged(domain.feature_map)), tf.float32)
        return {"loss": domain.labelled_mean(softmax_cross_entropy(source_y, logits))}
