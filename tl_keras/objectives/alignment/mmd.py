"""Maximum mean discrepancy between source and target, with several kernels on several layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.alignment.layer_outputs import (
    checked_outputs,
    layer_output,
    map_reading,
    require_outputs,
)
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""`2α` for the reference's `α = 2ᵏ`, k = −3 … 1."""
PROBABILITY_SIGMA = 0.92


def squared_distances(points):
    """Return `‖xᵢ − xⱼ‖²`, `(n, n)`, of points `(n, d)`."""
    # Distances do not depend on the origin, and near it they lose fewer digits.
    points = points - tf.stop_gradient(tf.reduce_mean(points, axis=0))
    norms = tf.reduce_sum(tf.square(points), axis=1)
    products = tf.matmul(points, points, transpose_b=True)
    distances = tf.nn.relu(norms[:, None] + norms[None] - 2.0 * products)
    return tf.linalg.set_diag(distances, tf.zeros_like(norms))


def gaussian_kernels(points, widths: Sequence[float] = WIDTHS):
    """Return the sum of Gaussian kernels, `k(x, y) = Σ_w exp(−‖x − y‖² / (w·m))`.

    `m` is the mean of `‖xᵢ − xⱼ‖²` over all i and j, taken as a constant.

    Args:
        points: `(n, d)`.
        widths: Factors `w` > 0.

    Returns:
        `(n, n)`, at most the number of widths.
    """
    distances = squared_distances(points)
    scale = tf.maximum(tf.stop_gradient(tf.reduce_mean(distances)), 1e-12)
    return tf.add_n([tf.exp(-distances / (w * scale)) for w in widths])


def probability_kernel(points):
    """Return `exp(−‖x − y‖² / 2σ²)` with `σ = 0.92`, `(n, n)`, of probabilities `(n, k)`.

    Predictions that are sure of one class lie in a point; a width in units of their own distances
    would be as small as their noise.
    """
    return tf.exp(-squared_distances(points) / (2.0 * PROBABILITY_SIGMA**2))


def layer_kernel(layer: str, points, widths: Sequence[float] = WIDTHS):
    """Return the kernel of a layer, by its name: of probabilities the one of a fixed width."""
    if layer == "probabilities":
        return probability_kernel(points)
    return gaussian_kernels(points, widths)


def mean_discrepancy(kernel, sources):
    """Return `mean k(s, s′) + mean k(t, t′) − 2 · mean k(s, t)`, never below 0.

    Args:
        kernel: `(m + n, m + n)`, the source's points first.
        sources: `m`, how many of the points are the source's.
    """
    targets = tf.shape(kernel)[0] - sources
    signs = tf.concat(
        [
            tf.fill([sources], 1.0 / tf.cast(sources, kernel.dtype)),
            tf.fill([targets], -1.0 / tf.cast(targets, kernel.dtype)),
        ],
        axis=0,
    )
    return tf.nn.relu(tf.reduce_sum(kernel * signs[:, None] * signs[None]))


def squared_mmd(source, target, widths: Sequence[float] = WIDTHS, *, layer: str = "features"):
    """Return the squared MMD of two samples (the V-statistic), a scalar ≥ 0.

    Args:
        source: `(m, d)`.
        target: `(n, d)`.
        widths: As for `gaussian_kernels`, on both samples together.
        layer: What the samples are, for `layer_kernel`.
    """
    kernel = layer_kernel(layer, tf.concat([source, target], axis=0), widths)
    return mean_discrepancy(kernel, tf.shape(source)[0])


def checked_widths(widths: Any) -> tuple[float, ...]:
    """Return kernel widths as a tuple, or raise `InputError`."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or not widths:
        raise InputError(f"widths: expected a list of numbers > 0, got {widths!r}.")
    return tuple(number(one, "widths", above=0) for one in widths)


class MMD(Objective):
    """Brings the distributions of source and target features together (DAN).

    The squared maximum mean discrepancy with a sum of Gaussian kernels, summed over layers. Robust
    and without a network of its own: a good first choice. Batches of 32 and more of each domain
    give usable statistics.

    Several sources are pooled, and so are several targets. Each replica compares what it has of
    the domains; the loss is the mean over replicas.

    Strength: kernels, widths and the weight 1 are those of Transfer-Learning-Library, whose weight
    is 1 from the first step on. Its estimate leaves out the pairs of an example with itself: at n
    examples of each domain, its attraction within a domain is n/(n − 1) times ours.

    Long, Cao, Wang, Jordan: *Learning Transferable Features with Deep Adaptation Networks*,
    ICML 2015.

    Args:
        layers: What is compared: some of `"feature_map"` (averaged over positions), `"features"`,
            `"logits"`, `"probabilities"`.
        widths: Widths of the kernels > 0, in units of the mean squared distance between the
            examples of a batch. Probabilities have one kernel of a fixed width, see
            `probability_kernel`.
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, or there is no source or no target.
    """

    ramps: ClassVar[bool] = True

    def __init__(
        self,
        layers: Sequence[str] = ("features", "logits"),
        widths: Sequence[float] = WIDTHS,
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        self.layers = checked_outputs(layers)
        self.reads_feature_map = map_reading(self.layers)
        self.widths = checked_widths(widths)

    def begin(self, setup: Setup) -> None:
        """Check domains and model."""
        setup.require_domains(self)
        require_outputs(self.layers, setup, self)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the sum over layers."""
        source, target = batch.source, batch.target
        parts = [
            squared_mmd(
                layer_output(source, one), layer_output(target, one), self.widths, layer=one
            )
            for one in self.layers
        ]
        return {"loss": batch.per_pair(tf.add_n(parts))}
