"""What an objective is: named losses, read from one forward pass."""

import abc
import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.models.forward import Forward
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import Batch, is_target
from tl_keras.objectives.description import described
from tl_keras.objectives.regularization.pull import Pull
from tl_keras.objectives.weights import resolve_weight
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Setup:
    """What an objective knows before the first step.

    Attributes:
        model: What trains, with the weights that it starts from.
        domains: Names of the domains, in order.
        labelled: Names of those with labels.
        seed: Seed of the run: what an objective initialises starts from it.
    """

    model: TransferModel
    domains: tuple[str, ...]
    labelled: tuple[str, ...]
    seed: int

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the source domains."""
        return tuple(name for name in self.domains if not is_target(name))

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the target domains."""
        return tuple(name for name in self.domains if is_target(name))

    @functools.cached_property
    def forward_shapes(self) -> Forward:
        """Shapes of what a pass gives, less the batch: feature map, logits, features."""
        forward = tf.function(self.model.forward, autograph=False)
        traced = forward.get_concrete_function(self.model.modality.batch_spec)
        return Forward(
            *(
                tf.nest.map_structure(lambda one: tuple(one.shape[1:]), part)
                for part in traced.structured_outputs
            )
        )

    @property
    def num_features(self) -> int:
        """Length of a feature vector."""
        return self.forward_shapes.features[-1]

    @property
    def num_classes(self) -> int:
        """Number of outputs of a model with one task."""
        return self.model.targets.size

    def require_domains(self, objective: "Objective") -> None:
        """Raise `InputError` unless there is a source and a target domain."""
        self._require("source", self.sources, objective)
        self.require_targets(objective)

    def require_targets(self, objective: "Objective") -> None:
        """Raise `InputError` unless there is a target domain."""
        self._require("target", self.targets, objective)

    def _require(self, kind: str, names: tuple[str, ...], objective: "Objective") -> None:
        if not names:
            raise InputError(
                f"data: {type(objective).__name__} needs a {kind} domain, got the domains "
                f"{list(self.domains)}. Pass {{'source': …, 'target': …}}; names of target "
                "domains begin with 'target', all others are sources."
            )

    def require_classes(self, objective: "Objective") -> None:
        """Raise `InputError` unless the model is a classifier with one task."""
        spec = self.model.targets
        if isinstance(spec, Mapping) or spec is None or not spec.task.one_class:
            what = "several tasks" if isinstance(spec, Mapping) else spec and spec.task
            raise InputError(
                f"model: {type(objective).__name__} needs a head with one class per example, got "
                f"{what or 'no head'}. Build the model with num_classes=…."
            )


class Objective(abc.ABC):
    """Turns one forward pass into named losses; the training step sums them and updates once.

    Arguments of a constructor are kept as attributes of the same names: they describe the
    objective in the run's configuration.

    Attributes:
        ramps: Whether a plain number as `weight` rises from 0 over the stage (`Ramp`).
        validates: Whether validation data is measured by it, with its weight at the end of the
            stage; where the weights of all such objectives are 0 there, each counts once.
        partly_labelled: Whether it is made for data in which some labels are −1 or NaN.
        unlabelled_only: Whether its loss is of examples without a label only.
        reads_images: Whether it needs the images, so that no feature store can stand in for them.
        reads_views_only: Whether it reads its own views and nothing of the pass over the images
            themselves; where all objectives do, that pass is left out.
        reads_feature_map: `"averaged"` over positions, `"whole"`, or `""` if it does not read it.
            A frozen backbone's outputs are stored such that it can.
        domains_apart: Whether each domain goes through the network by itself, so that BatchNorm
            layers that update their statistics normalise it by itself.
    """

    ramps: ClassVar[bool] = False
    validates: ClassVar[bool] = False
    partly_labelled: ClassVar[bool] = False
    unlabelled_only: ClassVar[bool] = False
    reads_images: ClassVar[bool] = False
    reads_views_only: bool = False
    reads_feature_map: str = ""
    domains_apart: ClassVar[bool] = False

    def __init__(self, weight: Any = 1.0):
        """Keep the weight.

        Args:
            weight: What the loss is multiplied by: a number ≥ 0, or a function of the progress
                of the stage, 0 … 1, such as `tl.objectives.Ramp(1.0)`.

        Raises:
            InputError: If it is neither.
        """
        self.weight = weight
        self._weight = resolve_weight(weight, "weight", ramp=self.ramps)

    @abc.abstractmethod
    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return this replica's parts of the losses of a batch, float32 scalars.

        `DomainBatch.mean`, `.labelled_mean`, `Batch.per_batch` and `.per_pair` make them: what
        they return adds up over the replicas.

        Returns:
            `{"loss": …, part: …}`; `"loss"`, times the weight, is minimised, the parts are logged.
        """

    def examples_of(self, batch: Batch) -> dict[str, Any]:
        """Return name in `losses` → how many examples of the whole batch its mean is over.

        The mean over an epoch weighs batches by these. Losses that are not named are over all
        examples.
        """
        del batch
        return {}

    def begin(self, setup: Setup) -> None:
        """Make what the objective itself trains or remembers; called once per run.

        Raises:
            InputError: If the model or the domains are not such as the objective needs.
        """
        del setup

    def begin_stage(self, model: TransferModel) -> None:
        """Look at the model with the weights that a stage, or the rest of it, starts from."""
        del model

    def rerun_weights(self, model: TransferModel) -> list[tuple[Any, Any]]:
        """Return the pairs (variable, value) that `Batch.rerun` is called with, if it is."""
        del model
        return []

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the objective's own layers by name; they train with the head's learning rate."""
        return {}

    def memory(self) -> list[keras.Variable]:
        """Return variables that are kept in checkpoints and not trained by gradients."""
        return []

    def views(self) -> dict[str, tuple[tuple[keras.layers.Layer, ...], tuple[str, ...] | None]]:
        """Return view name → (augmentation layers, domains or None for all).

        Every view goes through the same forward pass as the images themselves.
        """
        return {}

    def teacher_functions(self) -> dict[str, Callable[[Any], Any]]:
        """Return name → function of images, 0–255, to a tensor `(b, …)`: what never changes.

        `DomainBatch.teacher_outputs` has what they say. Where nothing random changes the images, it
        is computed once per image and stored; else it is computed in every step. No two objectives
        may use the same name.
        """
        return {}

    def pulls(self, model: TransferModel) -> list[Pull]:
        """Return what draws weights beside the optimizer; read once per stage.

        What a pull stands for belongs into `losses` without a gradient, to be logged.
        """
        del model
        return []

    def after_update(self, model: TransferModel) -> None:
        """Change the memory after an update of the weights, on every replica alike."""
        del model

    def finish(self, model: TransferModel, domains: Mapping[str, Any]) -> None:
        """Change the trained model at the end of the run, once the best weights are back.

        Args:
            model: The user's model, outside any strategy, with the flags of the stage that its
                weights come from.
            domains: Name → training examples of the domain.
        """
        del model, domains

    def weight_at(self, progress: Any) -> Any:
        """Return the weight at a progress of 0 … 1."""
        return self._weight(progress)

    @property
    def name(self) -> str:
        """Name in logs: the class in snake case."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(self).__name__)
        return words.lower()

    def trainable_variables(self) -> list[keras.Variable]:
        """Return the variables of its own layers that gradients train."""
        return [v for layer in self.networks().values() for v in layer.trainable_variables]

    def network_variables(self) -> list[keras.Variable]:
        """Return the variables of its own layers."""
        return [v for layer in self.networks().values() for v in layer.variables]

    def variables(self) -> list[keras.Variable]:
        """Return all variables of its own."""
        return self.network_variables() + self.memory()

    def config(self) -> dict[str, Any]:
        """Return class and constructor arguments, for the run's configuration."""
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        values = {name: described(getattr(self, name)) for name in names if hasattr(self, name)}
        return {"objective": type(self).__name__, **values}
