"""Joint maximum mean discrepancy: the joint distribution of several layers is brought together."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tl_keras.objectives.alignment.layer_outputs import (
    checked_outputs,
    layer_output,
    map_reading,
    require_outputs,
)
from tl_keras.objectives.alignment.mmd import WIDTHS, checked_widths, layer_kernel, mean_discrepancy
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup


def squared_joint_mmd(
    source: Mapping[str, Any], target: Mapping[str, Any], widths: Sequence[float] = WIDTHS
):
    """Return the squared MMD under the product over layers of their kernels, a scalar ≥ 0.

    `k((x¹, x², …), (y¹, y², …)) = k₁(x¹, y¹) · k₂(x², y²) · …`, each of them a `layer_kernel`.

    Args:
        source: Layer → its outputs `(m, d)`.
        target: Layer → its outputs `(n, d)`.
        widths: As for `gaussian_kernels`.
    """
    kernel = 1.0
    for layer, points in source.items():
        kernel *= layer_kernel(layer, tf.concat([points, target[layer]], axis=0), widths)
    return mean_discrepancy(kernel, tf.shape(next(iter(source.values())))[0])


class JAN(Objective):
    """Brings the joint distributions of features and predictions together.

    Where `MMD` matches each layer by itself, this also matches which features go with which
    prediction, so that classes are less likely to be matched crosswise.

    Several sources are pooled, and so are several targets. Each replica compares what it has of
    the domains; the loss is the mean over replicas.

    Strength: as for `MMD`, the kernels, widths and the weight 1 are those of
    Transfer-Learning-Library: five kernels of features, times one of probabilities with σ = 0.92.

    Long, Zhu, Wang, Jordan: *Deep Transfer Learning with Joint Adaptation Networks*, ICML 2017.

    Args:
        layers: Whose joint distribution: some of `"feature_map"` (averaged over positions),
            `"features"`, `"logits"`, `"probabilities"`.
        widths: Widths of the kernels > 0, in units of the mean squared distance between the
            examples of a batch. Probabilities have one kernel of a fixed width.
        weight: What the loss is multiplied by; a number is the end of a `Ramp`.

    Raises:
        InputError: If an argument is out of range, or there is no source or no target.
    """

    ramps: ClassVar[bool] = True

    def __init__(
        self,
        layers: Sequence[str] = ("features", "probabilities"),
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
        """Return the squared joint MMD."""
        source, target = (
            {one: layer_output(domain, one) for one in self.layers}
            for domain in (batch.source, batch.target)
        )
        return {"loss": batch.per_pair(squared_joint_mmd(source, target, self.widths))}
