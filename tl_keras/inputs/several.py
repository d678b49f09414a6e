"""Several inputs at once: a dict of modalities, as models with named inputs take them."""

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.inputs.base import Modality
from tl_keras.utils.errors import InputError, describe


@keras.saving.register_keras_serializable("tl_keras")
class Several(Modality):
    """Named inputs, each of a modality of its own.

    Args:
        modalities: Name of an input of the network → its modality.
    """

    plural: ClassVar[str] = "examples with several inputs"

    def __init__(self, modalities: Mapping[str, Modality]):
        self.modalities = dict(sorted(modalities.items()))
        if not self.modalities:
            raise InputError("modalities: expected at least one, got an empty dict.")

    @property
    def spec(self) -> dict[str, Any]:
        """Name → shape and type of one example."""
        return {name: one.spec for name, one in self.modalities.items()}

    @property
    def batch_spec(self) -> dict[str, tf.TensorSpec]:
        """Name → shape with a batch axis, and type."""
        return {
            name: tf.TensorSpec([None, *one.shape], one.dtype, name=name)
            for name, one in self.spec.items()
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(self.modalities)

    def get_config(self) -> dict[str, Any]:
        """Return the modalities by name."""
        serialize = keras.saving.serialize_keras_object
        return {"modalities": {name: serialize(one) for name, one in self.modalities.items()}}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Several":
        """Build it from `get_config`'s answer."""
        read = keras.saving.deserialize_keras_object
        return cls({name: read(one) for name, one in config["modalities"].items()})

    def keras_inputs(self) -> dict[str, Any]:
        """Return name → symbolic input."""
        return {
            name: keras.Input(
                shape=tuple(one.shape),
                dtype=None if one.dtype.is_floating else one.dtype.name,
                name=name,
            )
            for name, one in self.spec.items()
        }

    def check_array(self, x: Any, argument: str) -> dict[str, Any]:
        """Return name → batch as an array or tensor; see `Modality.check_array`."""
        if not isinstance(x, Mapping) or set(x) != set(self.modalities):
            got = sorted(x) if isinstance(x, Mapping) else describe(x)
            raise InputError(
                f"{argument}: expected a dict of arrays with the names {sorted(self.modalities)}, "
                f"got {got}."
            )
        checked = {
            name: one.check_array(x[name], f"{argument}[{name!r}]")
            for name, one in self.modalities.items()
        }
        lengths = {name: one.shape[0] for name, one in checked.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(
                f"{argument}: all inputs need the same number of examples, got {lengths}."
            )
        return checked
