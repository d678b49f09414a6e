"""Optimal transport between the joint distributions of features and labels."""

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError


def transport_cost(source, target, y, logits, feature_cost: float, label_cost: float):
    """Return `α ‖sᵢ − tⱼ‖² + β · (−Σ yᵢ log softmax(logitsⱼ))`, `(m, n)`.

    Args:
        source: Source features `(m, d)`.
        target: Target features `(n, d)`.
        y: One-hot labels of the source `(m, k)`; rows of zeros have no label and no label cost.
        logits: Of the target `(n, k)`.
        feature_cost: `α`.
        label_cost: `β`.
    """
    norms = tf.reduce_sum(tf.square(source), 1)[:, None] + tf.reduce_sum(tf.square(target), 1)[None]
    distances = tf.nn.relu(norms - 2.0 * tf.matmul(source, target, transpose_b=True))
    entropies = -tf.matmul(y, tf.nn.log_softmax(logits), transpose_b=True)
    return feature_cost * distances + label_cost * entropies


def exact_plan(cost: np.ndarray) -> np.ndarray:
    """Return the cheapest plan `(m, n)` between uniform masses, by POT's network simplex."""
    from ot.lp import emd

    m, n = cost.shape
    rows, columns = np.full(m, 1.0 / m), np.full(n, 1.0 / n)
    if not np.isfinite(cost).all():
        return np.outer(rows, columns).astype(np.float32)
    return emd(rows, columns, cost.astype(np.float64)).astype(np.float32)


def transport_plan(cost):
    """Return `exact_plan` of a tensor `(m, n)`, as a constant."""
    plan = tf.numpy_function(exact_plan, [tf.stop_gradient(cost)], tf.float32, stateful=False)
    plan.set_shape(cost.shape)
    return tf.stop_gradient(plan)


class DeepJDOT(Objective):
    """Moves target examples to source examples that are near in features and in label.

    The cost `C_ij = α ‖f_i − f_j‖² + β · CE(y_i, p_j)` pairs source with target; the cheapest plan
    `γ` between the examples of a batch is found exactly, and `Σ γ_ij C_ij` is minimised. Pairs
    keep to classes, where `MMD` and `DeepCORAL` see clouds only. Batches hold several examples
    per class, if possible, in proportions that are alike in both domains. The plan is found on
    the processor: little for batches of up to a few hundred.

    Several sources are pooled, and so are several targets. Each replica pairs what it has of the
    domains; the loss is the mean over replicas.

    Strength: costs of 0.001 and 0.0001 at the weight 1 are the paper's, and those of the authors'
    script for digits. The defaults of their class, 0.01 and 1, destroyed a pretrained network:
    squared distances of 1,280 features outweigh the labels' loss, and the features collapse.

    Damodaran, Kellenberger, Flamary, Tuia, Courty: *DeepJDOT: Deep Joint Distribution Optimal
    Transport for Unsupervised Domain Adaptation*, ECCV 2018.

    Args:
        feature_cost: `α` ≥ 0. Features of large networks need smaller ones.
        label_cost: `β` ≥ 0.
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, the model is not a classifier, there is no
            source with labels or no target, or POT is not installed.
    """

    ramps: ClassVar[bool] = True

    def __init__(
        self, feature_cost: float = 0.001, label_cost: float = 0.0001, *, weight: Any = 1.0
    ):
        super().__init__(weight)
        self.feature_cost = number(feature_cost, "feature_cost", least=0)
        self.label_cost = number(label_cost, "label_cost", least=0)

    def begin(self, setup: Setup) -> None:
        """Check domains, model and packages."""
        setup.require_domains(self)
        setup.require_classes(self)
        if not set(setup.sources) & set(setup.labelled):
            raise InputError(
                "data: DeepJDOT needs a source domain with labels, got labels for "
                f"{list(setup.labelled)}. Pass (x, y) for a source."
            )
        try:
            import ot  # noqa: F401
        except ImportError as error:
            raise InputError(
                "objectives: DeepJDOT needs the package POT, which is not installed. Run "
                '`pip install "tl_keras[transport]"`.'
            ) from error

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the cost of the cheapest plan."""
        source, target = batch.source, batch.target
        cost = transport_cost(
            source.features,
            target.features,
            source.y,
            tf.cast(target.logits, tf.float32),
            self.feature_cost,
            self.label_cost,
        )
        return {"loss": batch.per_pair(tf.reduce_sum(transport_plan(cost) * cost))}
