"""What a modality is: one kind of input of a model, and all that depends on it."""

import abc
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.inputs import batches
from tl_keras.utils.errors import InputError


class Modality(abc.ABC):
    """One kind of input of a model, such as images, or numbers of any shape.

    `TransferModel.modality` holds one; data, training, objectives and exports ask it instead of
    knowing what an example is. One from outside the package is registered with
    `keras.saving.register_keras_serializable`, has `spec` and `get_config`, and goes to
    `build_transfer_model(…, modality=…)`.

    Attributes:
        name: Of the input in the model and its exports.
        singular: What errors call one example.
        plural: What errors call several.
        values: Which values they have, in words that follow the plural.
        one_shape: What to do where examples differ in shape.
        as_numbers: What to do where examples are no numbers.
        raw_name: Of the raw form that servers take; None where they take examples as they are.
        raw_signature: Of the signature that takes the raw form.
        are_images: Whether an example is one image of a known size, so that the layers of
            augmentation, decoders and turns are made for it.
        pixel_range: Darkest and brightest value that the model takes where it is images of other
            than 8 bits, else None.
    """

    name: ClassVar[str] = "inputs"
    singular: ClassVar[str] = "example"
    plural: ClassVar[str] = "examples"
    values: ClassVar[str] = ""
    one_shape: ClassVar[str] = "Bring them to one shape first."
    as_numbers: ClassVar[str] = "Turn them into numbers first."
    raw_name: str | None = None
    raw_signature: ClassVar[str] = "serve_raw"
    are_images: bool = False
    pixel_range: tuple[float, float] | None = None

    @property
    @abc.abstractmethod
    def spec(self) -> Any:
        """Shape, without the batch axis, and type of what the network reads of one example."""

    @abc.abstractmethod
    def get_config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build the same modality, as JSON."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Modality":
        """Build the modality from `get_config`'s answer."""
        return cls(**config)

    @property
    def batch_spec(self) -> Any:
        """Shapes with a batch axis of any length, types, and the names that exports use."""
        return tf.TensorSpec([None, *self.spec.shape], self.spec.dtype, name=self.name)

    @property
    def shape(self) -> tuple[int | None, ...] | None:
        """Shape of an example that is one tensor, else None."""
        return tuple(self.spec.shape) if isinstance(self.spec, tf.TensorSpec) else None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the model's input layers."""
        return (self.name,)

    def keras_inputs(self) -> Any:
        """Return symbolic inputs of a functional model."""
        dtype = None if self.spec.dtype.is_floating else self.spec.dtype.name
        return keras.Input(shape=tuple(self.spec.shape), dtype=dtype, name=self.name)

    def preprocessing(self) -> keras.layers.Layer:
        """Return the layer in front of a network that takes examples as they are."""
        return keras.layers.Identity(name="preprocessing")

    def reading(self, preprocessing: Any, network: Any) -> "Modality":
        """Return the modality of a model of these layers, which may say what values it takes."""
        del preprocessing, network
        return self

    def described(self) -> dict[str, Any]:
        """Return what the configuration of a run says of the input."""
        return {"inputs": [type(self).__name__, self.get_config()]}

    def check_spec(self, spec: Any, argument: str, *, files: bool = False) -> None:
        """Raise `InputError` unless examples have the shape that the model takes.

        Args:
            spec: Shapes and types of one example.
            argument: Name that errors use.
            files: Whether they are read from files, so that their shape can be chosen.
        """
        if not compatible(self.spec, spec):
            raise InputError(
                f"{argument}: the model takes inputs of shape {shapes(self.spec)}, got "
                f"{shapes(spec)}. {self.remedy(spec, files=files)}"
            )

    def remedy(self, spec: Any, *, files: bool = False) -> str:
        """Say how examples of another shape become those that the model takes."""
        del files
        return f"Build the model with inputs of shape {shapes(spec)}, or pass what it takes."

    def check_reading(self, examples: Any, argument: str) -> None:
        """Raise `InputError` where files were read in another way than the model asks for."""
        del examples, argument

    def check_array(self, x: Any, argument: str) -> Any:
        """Return a batch as an array or tensor with a batch axis.

        Raises:
            InputError: If it is something else, of another shape, or has no example.
        """
        return batches.check_array(x, self, argument)

    def check_predicted(self, x: Any) -> None:
        """Check what `model.predict` gets: arrays, or data in batches.

        Raises:
            InputError: If it cannot be predicted.
        """
        batches.check_predicted(x, self)

    def doubt(self, examples: Any, layers: Callable[[], Sequence[Any]]) -> str | None:
        """Say why the values of examples seem not to be what the model takes, or None.

        Args:
            examples: With `value_range`, `spec` and `paths`, as `data.base.Examples` have.
            layers: Gives the layers of preprocessing and network.
        """
        del examples, layers

    def from_raw(self, raw: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Return examples from their raw form.

        Args:
            raw: string `(n,)`.

        Returns:
            As `batch_spec`, zeros where the raw form cannot be read; and why not, string `(n,)`,
            empty where it can.
        """
        raise NotImplementedError(f"{type(self).__name__} has no raw form.")


def compatible(wanted: Any, spec: Any) -> bool:
    """Return whether examples with a spec are of the structure and shapes of another."""
    try:
        tf.nest.assert_same_structure(wanted, spec)
    except (TypeError, ValueError):
        return False
    pairs = zip(tf.nest.flatten(wanted), tf.nest.flatten(spec), strict=True)
    return all(one.shape.is_compatible_with(other.shape) for one, other in pairs)


def shapes(spec: Any) -> Any:
    """Return the shapes of a spec for a message: a tuple, or name → tuple."""
    if isinstance(spec, dict):
        return {name: shapes(one) for name, one in spec.items()}
    return tuple(spec.shape)
