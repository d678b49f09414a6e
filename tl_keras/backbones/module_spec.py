"""What has to be known of a SavedModel before its files are at hand."""

import dataclasses
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.backbones.module_endpoint import Endpoint
from tl_keras.utils.errors import InputError
from tl_keras.utils.memory import check_memory

__all__ = ["ModuleSpec", "VariableSpec"]

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class VariableSpec:
    """Name, shape and dtype of one variable, and whether the module means it to be trained."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    trainable: bool

    @property
    def size(self) -> int:
        """Bytes of its value.

        Raises:
            TypeError: If shape or dtype are none.
        """
        dtype = tf.as_dtype(self.dtype)
        sides = [operator.index(side) for side in self.shape]
        if min(sides, default=0) < 0 or not (dtype.is_bool or dtype.size) or dtype.is_quantized:
            raise TypeError(f"expected numbers, got {self}")
        return math.prod(sides) * max(dtype.size, 1)


@dataclasses.dataclass
class ModuleSpec:
    """Input, variables and outputs of a module.

    Keras builds a saved model's layers first and hands out their assets last. This stands in for
    the module in between.

    Attributes:
        input_shape: Shape of the input with the batch, or None if any rank will do.
        input_dtype: Dtype of the input.
        variables: The variables in order.
        outputs: Input shape, output shape and output dtype of the calls so far, all without
            the batch.
        fingerprint: The checksum of the module's files, or None before it was asked for.
    """

    input_shape: Shape | None
    input_dtype: str
    variables: tuple[VariableSpec, ...]
    outputs: tuple[tuple[Shape, Shape, str], ...] = ()
    fingerprint: str | None = None

    @classmethod
    def of(cls, endpoint: Endpoint) -> "ModuleSpec":
        """Describe a loaded module."""
        shape = endpoint.input_spec.shape
        variables = tuple(
            VariableSpec(
                variable.name.split(":")[0].replace("/", "_"),
                tuple(variable.shape.as_list()),
                variable.dtype.name,
                trainable,
            )
            for variable, trainable in endpoint.variables
        )
        return cls(
            None if shape.rank is None else tuple(shape.as_list()),
            endpoint.input_spec.dtype.name,
            variables,
        )

    def to_config(self) -> dict[str, Any]:
        """Return the spec in the types of JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: Any) -> "ModuleSpec":
        """Build a spec from `to_config`, before or after JSON made lists of tuples.

        Raises:
            InputError: If it is not one, or its variables don't fit into memory.
        """
        try:
            shape = config["input_shape"]
            spec = cls(
                None if shape is None else tuple(shape),
                tf.as_dtype(config["input_dtype"]).name,
                tuple(
                    VariableSpec(**(entry | {"shape": tuple(entry["shape"])}))
                    for entry in config["variables"]
                ),
                tuple((tuple(start), tuple(end), dtype) for start, end, dtype in config["outputs"]),
                config["fingerprint"],
            )
            needed = 2 * sum(variable.size for variable in spec.variables)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                "config: the description of a SavedModel in it (module_spec) is missing or "
                "damaged. Save the model again."
            ) from error
        check_memory(needed, "config", "The SavedModel in it declares variables of this size.")
        return spec

    def check_input(self, source: str, shape: Sequence[int | None]) -> None:
        """Raise `InputError` if the module can't take inputs of this shape."""
        if self.input_shape is None:
            return
        if not tf.TensorShape(shape).is_compatible_with(tf.TensorShape(self.input_shape)):
            raise InputError(
                f"inputs: the SavedModel {source!r} takes inputs of shape {self.input_shape}, got "
                f"{tuple(shape)}. Resize or reshape the data (None stands for any size)."
            )

    def remember(self, start: Sequence[int | None], end: Sequence[int | None], dtype: str) -> None:
        """Note the output of a call, so that a model that is being loaded has its shapes."""
        if self.output_for(start) is None:
            self.outputs += ((tuple(start[1:]), tuple(end[1:]), dtype),)

    def output_for(self, start: Sequence[int | None]) -> tuple[Shape, str] | None:
        """Return shape, with the batch of the input, and dtype of the output, where known."""
        for known, end, dtype in self.outputs:
            if known == tuple(start[1:]):
                return (start[0], *end), dtype
        return None

    def check_same(self, other: "ModuleSpec", source: str) -> None:
        """Raise `InputError` if another module comes in place of the one described."""
        ours, theirs = (
            [(v.shape, v.dtype, v.trainable) for v in spec.variables] for spec in (self, other)
        )
        if ours != theirs:
            raise InputError(
                f"source: the SavedModel {source!r} has other variables ({len(theirs)}) than when "
                f"the layer was configured ({len(ours)}). Use the module it was saved with."
            )

    def placeholders(self) -> list[tf.Variable]:
        """Return variables that hold no value yet, for weights to be loaded into."""
        with tf.init_scope():
            return [
                tf.Variable(self.unset(np.zeros(v.shape, tf.as_dtype(v.dtype).as_numpy_dtype)))
                for v in self.variables
            ]

    @staticmethod
    def unset(like: Any) -> Any:
        """Return the array that stands for "no value yet": NaN, the lowest integer, or False."""
        kind = np.asarray(like).dtype
        if kind.kind in "iu":
            return np.full_like(like, np.iinfo(kind).min)
        return np.full_like(like, False if kind.kind == "b" else np.nan)
