"""A SavedModel or TF Hub module as a Keras 3 layer that trains, saves and loads."""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.module_endpoint import Endpoint, load_module
from tl_keras.backbones.module_source import (
    ModuleFiles,
    find_live_files,
    is_module_source,
    module_in_file,
    resolve_module,
)
from tl_keras.backbones.module_spec import ModuleSpec
from tl_keras.backbones.module_trust import note_errors
from tl_keras.utils.compat import (
    build_at_init,
    in_safe_mode,
    own_statistics,
    own_weights,
    put_in_place,
    track_variable,
)
from tl_keras.utils.errors import InputError
from tl_keras.utils.legacy_hdf5 import check_not_written_as_hdf5

__all__ = ["SavedModelBackbone", "is_module_source"]

_ASSET = "module"


@keras.saving.register_keras_serializable("tl_keras")
class SavedModelBackbone(keras.layers.Layer):
    """A SavedModel as a layer from one tensor to features.

    Its variables are the layer's weights: they freeze, train, save and load as those of any
    other layer. Where the module takes `training`, it's passed on while the layer is trainable.
    A saved `.keras` file carries the SavedModel inside, so the model loads where the source
    isn't there.

    A SavedModel is a program by its author, which TensorFlow runs with the rights of the
    process. One with other operations than those of `allowed_operations` (arithmetic, layers,
    variables, …) is refused unless it is trusted: by `trust=True`, and inside a `.keras` file by
    `safe_mode=False`.

    Args:
        source: A directory with `saved_model.pb`, a `.tar.gz` of one, or a TF Hub handle or URL
            (`https://tfhub.dev/...`, `https://www.kaggle.com/models/...`; needs tensorflow_hub).
        signature: The name of a signature or function in the module. By default the module
            itself, if it can be called, else `serving_default`, `default` or the only one.
        output_key: The name, or for a list the index, of the output to take. By default the
            only one, or the one named `default`.
        inference_only: Run the module with `training=False` also while its weights train. This
            keeps the statistics of its batch normalisation as they are.
        trainable: Whether the weights train. By default if there are any that can; signatures
            and modules of TensorFlow 1 can too, though they don't update batch statistics.
        trust: Load it whatever its operations are; they may reach files, the network and Python.
        module_spec: What `get_config` stores for loading; leave it out.
        **kwargs: `name` and `dtype` of the layer. Features come in the compute dtype.

    Raises:
        InputError: If there's no SavedModel at the source, it can't be downloaded or loaded, it
            needs `trust`, or signature or output aren't clear (the message lists what there is).

    Example:
        >>> backbone = SavedModelBackbone("modules/mobilenet_v2")  # doctest: +SKIP
        >>> features = backbone(keras.Input((224, 224, 3)))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        signature: str | None = None,
        output_key: str | int | None = None,
        inference_only: bool = False,
        trainable: bool | None = None,
        trust: bool = False,
        module_spec: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(trainable=trainable is not False, autocast=False, **kwargs)
        self.source = os.fspath(source)
        self.signature = signature
        self.output_key = output_key
        self.inference_only = bool(inference_only)
        self.supports_jit = False
        self._endpoint: Endpoint | None = None
        self._files: ModuleFiles | None = None
        self._safe = self._named_by_file = in_safe_mode()
        if module_spec is not None:
            self._spec = ModuleSpec.from_config(module_spec)
            self._track(self._spec.placeholders())
        else:
            self._load(resolve_module(self.source, bool(trust)), first=True)
            trainable_count = sum(variable.trainable for variable in self._spec.variables)
            if trainable and not trainable_count:
                raise InputError(
                    f"trainable: expected None or False, got True: {self.source!r} has no "
                    "variables that can be trained."
                )
            self.trainable = trainable_count > 0 if trainable is None else trainable
        build_at_init(self)

    @property
    def module_input_shape(self) -> tuple[int | None, ...] | None:
        """Shape of one input without the batch; None for free sides, or as a whole."""
        shape = self._spec.input_shape
        return None if shape is None else tuple(shape[1:])

    @property
    def module_input_dtype(self) -> str:
        """Dtype that the module takes; inputs of other dtypes are cast to it."""
        return self._spec.input_dtype

    @property
    def module_output_name(self) -> str | int | None:
        """Name of the output that is taken, where the module names its outputs."""
        return None if self._endpoint is None else self._endpoint.output_name

    def call(self, inputs: Any, training: bool | None = None) -> tf.Tensor:
        """Map inputs `(batch, ...)` to the module's features."""
        endpoint, _ = self._ensure_loaded()
        self._spec.check_input(self.source, inputs.shape)
        inputs = tf.cast(inputs, self._spec.input_dtype)
        training = bool(training) and self.trainable and not self.inference_only
        features = endpoint(inputs, training)
        if features.dtype.is_floating:
            features = tf.cast(features, self.compute_dtype)
        return features

    def compute_output_spec(self, inputs: Any, training: bool | None = None) -> keras.KerasTensor:
        """Return shape and dtype of the features, without the module where they are known."""
        self._spec.check_input(self.source, inputs.shape)
        known = self._spec.output_for(inputs.shape)
        if self._endpoint is None and known is not None:
            return keras.KerasTensor(known[0], known[1])
        self._ensure_loaded()
        output = keras.Operation.compute_output_spec(self, inputs, training=training)
        self._spec.remember(inputs.shape, output.shape, output.dtype)
        return output

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Return the shape of the features of inputs of this shape."""
        dtype = self._spec.input_dtype
        return tuple(self.compute_output_spec(keras.KerasTensor(input_shape, dtype)).shape)

    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` builds the layer from; the SavedModel itself is an asset.

        Raises:
            InputError: If Keras asks in order to write HDF5, which has no assets.
        """
        check_not_written_as_hdf5()
        if self._files is not None:
            self._spec.fingerprint = self._files.fingerprint
        config = super().get_config() | {
            "source": self.source,
            "signature": self.signature,
            "output_key": self.output_key,
            "inference_only": self.inference_only,
            "module_spec": self._spec.to_config(),
        }
        return config | {"named_by_file": True} if self._named_by_file else config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SavedModelBackbone":
        """Build the layer from `get_config`'s answer, with weights without values.

        The source in a config is the choice of whoever wrote the config, so it isn't loaded here:
        the SavedModel comes with the assets of a file, or from a live layer that has the same.

        Raises:
            InputError: If the config doesn't describe a SavedModel, or one beyond the memory.
        """
        config = {key: value for key, value in config.items() if key != "trust"}
        named_by_file = config.pop("named_by_file", False)
        # Checked here, since Keras makes a TypeError of what the constructor raises.
        ModuleSpec.from_config(config.get("module_spec"))
        layer = super().from_config(config)
        layer._named_by_file |= bool(named_by_file)
        return layer

    def save_assets(self, dir_path: str) -> None:
        """Store the SavedModel inside the `.keras` file."""
        _, files = self._ensure_loaded()
        files.copy_to(os.path.join(dir_path, _ASSET))

    def load_assets(self, dir_path: str | None) -> None:
        """Take the SavedModel out of the `.keras` file.

        Raises:
            InputError: If it isn't there, or needs trust while `safe_mode` is on.
        """
        with note_errors():
            folder = None if dir_path is None else os.path.join(dir_path, _ASSET)
            self._load(module_in_file(folder, self.source, self.name, self._safe))

    def _ensure_loaded(self) -> tuple[Endpoint, ModuleFiles]:
        """Load the module of a layer built from its config; a source in a file isn't followed."""
        if self._endpoint is not None and self._files is not None:
            return self._endpoint, self._files
        files = find_live_files(self._spec.fingerprint)
        if files is None and self._named_by_file:
            raise InputError(
                f"source: the layer {self.name!r} was built from a config, which doesn't hold its "
                f"SavedModel. Load the whole model with `keras.models.load_model`, or build the "
                f"layer with SavedModelBackbone({self.source!r})."
            )
        return self._load(files or resolve_module(self.source))

    def _load(self, files: ModuleFiles, *, first: bool = False) -> tuple[Endpoint, ModuleFiles]:
        """Load the module; its variables take the values that the weights have got already."""
        with tf.init_scope():
            module = load_module(files)
            endpoint = Endpoint(module, self.source, self.signature, self.output_key)
            spec = ModuleSpec.of(endpoint)
            variables = [variable for variable, _ in endpoint.variables]
            if first:
                self._spec = spec
                self._track(variables)
            else:
                self._spec.check_same(spec, self.source)
                for weight, variable in zip(self._module_weights(), variables, strict=True):
                    value = weight.numpy()
                    if not np.array_equal(value, ModuleSpec.unset(value), equal_nan=True):
                        variable.assign(value)
                    put_in_place(weight, variable)
        self._module, self._endpoint, self._files = module, endpoint, files
        return endpoint, files

    def _track(self, variables: Sequence[tf.Variable]) -> None:
        """Make the module's variables the layer's weights."""
        names = set()
        with keras.name_scope(self.name):
            for spec, variable in zip(self._spec.variables, variables, strict=True):
                name, number = spec.name, 0
                while name in names:
                    number += 1
                    name = f"{spec.name}_{number}"
                names.add(name)
                weight = keras.Variable(
                    variable,
                    shape=spec.shape,
                    dtype=spec.dtype,
                    trainable=spec.trainable,
                    autocast=False,
                    name=name,
                )
                track_variable(self, weight)

    def _module_weights(self) -> list[keras.Variable]:
        """Return the weights in the order of the module's variables."""
        trainable, fixed = iter(own_weights(self)), iter(own_statistics(self))
        return [next(trainable if spec.trainable else fixed) for spec in self._spec.variables]
