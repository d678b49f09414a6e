"""Examples together with what teachers say about them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tl_keras.data.base import Examples, Specs, Targets
from tl_keras.data.rows import WHOLE, Order, Part


class Taught(NamedTuple):
    """The `x` of a batch with the teachers' outputs for it.

    Attributes:
        x: What the network reads.
        outputs: Name of the teacher → `(b, …)`.
    """

    x: Any
    outputs: dict[str, Any]


def without_outputs(x: Any) -> tuple[Any, dict[str, Any]]:
    """Return what the network reads, and the teachers' outputs that came with it, if any."""
    return (x.x, dict(x.outputs)) if isinstance(x, Taught) else (x, {})


class TaughtExamples(Examples):
    """Examples whose `x` comes with the stored outputs of teachers, as `Taught`.

    Args:
        examples: Images, or stored features of them; their batches are made of row numbers.
        outputs: Name of the teacher → its outputs for the same examples, in the same order.
    """

    def __init__(self, examples: Examples, outputs: Mapping[str, Examples]):
        self.class_names = examples.class_names
        self._examples = examples
        self._outputs = dict(outputs)

    @property
    def spec(self) -> Taught:
        """Shapes and types of one example's `x` and of the teachers' outputs."""
        return Taught(self._examples.spec, {name: one.spec for name, one in self._outputs.items()})

    @property
    def has_labels(self) -> bool:
        """Whether the examples have labels."""
        return self._examples.has_labels

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self._examples)

    def encoded_targets(self, spec: Specs) -> Targets:
        """Return all targets; see `Examples.encoded_targets`."""
        return self._examples.encoded_targets(spec)

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the examples and outputs in batches; see `Examples.batches`."""
        own = self._examples.batches(spec, batch_size, epochs=epochs, part=part)
        outputs = {
            name: one.batches(None, batch_size, epochs=epochs, part=part)
            for name, one in self._outputs.items()
        }
        labelled = self.has_labels and spec is not None

        @tf.autograph.experimental.do_not_convert
        def together(element: Any, said: dict[str, Any]) -> Any:
            if labelled:
                return Taught(element[0], said), element[1]
            return Taught(element, said)

        return tf.data.Dataset.zip((own, outputs)).map(together)
