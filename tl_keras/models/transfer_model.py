"""The model that everything else works on: preprocessing, backbone and head in one."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.cuts import Blocks, find_blocks
from tl_keras.backbones.weights import finalize_normalization
from tl_keras.inputs.base import Modality
from tl_keras.inputs.batches import batches_of_examples, check_end, in_batches
from tl_keras.inputs.modalities import modality_of_config
from tl_keras.models.closing import closed, closing_functions, closing_layers, layer_name
from tl_keras.models.forward import Forward, pass_of_head
from tl_keras.models.regression_layers import TargetScale
from tl_keras.tasks.targets import TargetSpec, targets_config, targets_of_config
from tl_keras.utils.arguments import whole
from tl_keras.utils.by_task import by_task, in_form_of
from tl_keras.utils.errors import InputError, Renamed
from tl_keras.utils.legacy_hdf5 import check_not_hdf5, check_not_written_as_hdf5
from tl_keras.utils.tracing import forget_traced, traced_once

_PARTS = ("preprocessing", "backbone", "head", "modality")


@keras.saving.register_keras_serializable("tl_keras")
class TransferModel(keras.Model):
    """Examples in, predictions out: `preprocessing → backbone → head → activation`.

    In place of an activation, a regression head's values get the targets' unit (`TargetScale`).

    An ordinary `keras.Model`: `compile`, `fit`, `save`, `export`, callbacks and metrics work.
    Built by `build_transfer_model`, which is the way to get one.

    Args:
        preprocessing: Layer from examples, such as images of 0–255, to the backbone's input.
        backbone: Model or layer from there to features.
        head: Layer from features to logits (`tl_keras.models.heads.Head` or `TaskHeads`).
        modality: What goes in; `model.modality` has the range of values, too, that the layers say.
        activation: Name of the activation on the logits (None: logits come out), or task name →
            that.
        targets: What the outputs mean: a `TargetSpec`, task name → `TargetSpec`, or None for a
            model that only gives features.
        name: Name of the model.

    Call:
        inputs: A batch of examples as the modality says, such as images `(batch, height, width,
            channels)`, uint8 or float, 0–255.

    Returns:
        float32 predictions `(batch, size)`, or task name → that.
    """

    def __init__(
        self,
        preprocessing: keras.layers.Layer,
        backbone: keras.layers.Layer,
        head: keras.layers.Layer,
        *,
        modality: Modality,
        activation: str | Mapping[str, str | None] | None,
        targets: TargetSpec | Mapping[str, TargetSpec] | None,
        name: str = "transfer_model",
    ):
        inputs = modality.keras_inputs()
        logits = head(backbone(preprocessing(inputs)))
        closing = closing_layers(activation, targets, head)
        super().__init__(inputs=inputs, outputs=closed(closing, logits), name=name)
        self.preprocessing = preprocessing
        self.backbone = backbone
        self.head = head
        self.modality = modality.reading(preprocessing, backbone)
        self._activation = activation
        self._targets = dict(targets) if isinstance(targets, Mapping) else targets
        self._scaled = tuple(k for k, one in closing.items() if isinstance(one, TargetScale))

    @property
    def targets(self) -> TargetSpec | dict[str, TargetSpec] | None:
        """What the outputs mean; None for a model that only gives features."""
        return dict(self._targets) if isinstance(self._targets, Mapping) else self._targets

    @property
    def activation(self) -> str | dict[str, str | None] | None:
        """Name of the activation on the logits, per task where there are several."""
        return dict(self._activation) if isinstance(self._activation, Mapping) else self._activation

    @property
    def class_names(self) -> tuple[str, ...] | dict[str, tuple[str, ...] | None] | None:
        """Names of the classes in the order of the outputs, per task where there are several."""
        names = {task: spec and spec.class_names for task, spec in by_task(self._targets).items()}
        return in_form_of(self._targets, names)

    @property
    def labels(self) -> Any:
        """Not there any more: `class_names` is."""
        raise Renamed("model.labels: names of classes are called model.class_names.")

    @property
    def target_scales(self) -> dict[str, TargetScale]:
        """Task name → the layer that brings a regression's values to the user's unit.

        The one task of a model without named ones is called `""`.
        """
        return {task: self.get_layer(layer_name(task)) for task in self._scaled}

    @property
    def pixel_range(self) -> tuple[float, float] | None:
        """Darkest and brightest value of images that are not of 8 bits, else None."""
        return self.modality.pixel_range

    @functools.cached_property
    def blocks(self) -> Blocks:
        """The backbone's blocks from input to output; prints as a table."""
        return find_blocks(self.backbone)

    def forward(self, images: Any, training: bool = False) -> Forward:
        """Run one pass and keep what objectives need; a backbone that is frozen as in inference."""
        return self.forward_from_feature_map(self.feature_map(images, training), training)

    def feature_map(self, images: Any, training: bool = False) -> Any:
        """Return the backbone's output `(batch, …, channels)` for a batch of images."""
        training = bool(training) and bool(self.backbone.trainable_variables)
        return self.backbone(self.preprocessing(images), training=training)

    def forward_from_feature_map(self, feature_map: Any, training: bool = False) -> Forward:
        """Run the head on the backbone's output."""
        return pass_of_head(self.head, feature_map, training)

    def activate(self, logits: Any) -> Any:
        """Return predictions from logits."""
        return closed(closing_functions(self._activation, self.target_scales), logits)

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return predictions for a batch of images."""
        return self.activate(self.forward(inputs, bool(training)).logits)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Predict as `keras.Model.predict` does; also image folders and other examples.

        Args:
            x: What Keras takes, or an image folder, whose labels are left out.
            batch_size: Examples at a time; 32 if it is None.
            verbose: As in Keras.
            steps: Batches to predict; None for all.
            callbacks: As in Keras.

        Returns:
            float32 `(n, size)`, or task name → that.

        Raises:
            InputError: If `x` names files, has images of another shape than the model takes, none,
                infinite values or text beside them, or is a dataset without an end and `steps` is
                None.
        """
        x, batch_size = batches_of_examples(self.modality, x, batch_size)
        if steps is None:
            check_end(x)
        self.modality.check_predicted(x)
        return super().predict(
            x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks
        )

    def features(self, images: Any, batch_size: int = 32) -> Any:
        """Return one pooled feature vector per image.

        Args:
            images: `(batch, height, width, channels)`, 0–255. A NumPy array of any length, or a
                list of images, is run in batches; a tensor is run at once.
            batch_size: Images at a time for NumPy arrays, ≥ 1.

        Returns:
            float32 `(batch, channels)`, NumPy for NumPy.

        Raises:
            InputError: If the images are none, or have another shape than the model takes.
        """
        return self._in_batches(
            "features", lambda x: self.head.pool(self.feature_map(x)), images, batch_size
        )

    def logits(self, images: Any, batch_size: int = 32) -> Any:
        """Return the head's outputs before the activation; arguments as for `features`.

        The values of a regression head are in standard units.
        """
        if self._targets is None:
            raise InputError(
                "model: it gives features and has no logits. Build it with num_classes=… first."
            )
        return self._in_batches("logits", lambda x: self.forward(x).logits, images, batch_size)

    def _in_batches(self, name: str, function: Callable, images: Any, batch_size: int) -> Any:
        batch_size = whole(batch_size, "batch_size")
        images = self.modality.check_array(images, self.modality.name)
        if not all(isinstance(one, np.ndarray) for one in tf.nest.flatten(images)):
            return function(images)
        compiled = traced_once(self, name, function, self.modality.batch_spec)
        return in_batches(compiled, images, batch_size)

    def save(self, filepath: str | os.PathLike, overwrite: bool = True, **kwargs: Any) -> None:
        """Save the model as a `.keras` file; arguments as for `keras.Model.save`.

        Raises:
            InputError: If the path names HDF5, which does not keep the parts of this model.
        """
        check_not_hdf5(str(filepath))
        return super().save(filepath, overwrite=overwrite, **kwargs)

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all weights from a list of arrays, normalisation constants included."""
        super().set_weights(weights)
        finalize_normalization(self)
        self._forget_graphs()

    def load_weights(self, filepath: str | os.PathLike, **kwargs: Any) -> None:
        """Load weights from a file; arguments as for `keras.Model.load_weights`."""
        super().load_weights(filepath, **kwargs)
        self._forget_graphs()

    def _forget_graphs(self) -> None:
        """Let `features` and the like be traced again: graphs hold constants of normalisation."""
        forget_traced(self)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same model; refused for HDF5."""
        check_not_written_as_hdf5()
        return {
            **{part: keras.saving.serialize_keras_object(getattr(self, part)) for part in _PARTS},
            "activation": self.activation,
            "targets": targets_config(self._targets),
            "several_tasks": isinstance(self._targets, Mapping),
            "name": self.name,
        }

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> "TransferModel":
        """Build the model from `get_config`'s answer, with fresh weights."""
        config = dict(config)
        layers = {
            key: keras.saving.deserialize_keras_object(config.pop(key), custom_objects)
            for key in ("preprocessing", "backbone", "head")
        }
        targets = targets_of_config(config.pop("targets"), config.pop("several_tasks"))
        modality = modality_of_config(config, custom_objects)
        return cls(**layers, modality=modality, targets=targets, **config)
