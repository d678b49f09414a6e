"""What an objective is: losses per example, read from one forward pass."""

import abc
from collections.abc import Mapping
from typing import Any

from tl_keras.targets import TargetSpec
from tl_keras.transfer_model import Forward


class Objective(abc.ABC):
    """Turns one forward pass into named losses; the training step sums and averages them."""

    @abc.abstractmethod
    def losses(
        self, forward: Forward, y: Any, targets: TargetSpec | Mapping[str, TargetSpec]
    ) -> dict[str, Any]:
        """Return losses per example.

        Args:
            forward: The pass over a batch.
            y: float32 targets `(batch, size)`, or task name → that.
            targets: What the model's outputs mean.

        Returns:
            `{"loss": (batch,), part: (batch,), …}`, float32; `"loss"` is what training
            minimises, the parts are logged.
        """
