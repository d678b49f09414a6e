"""What teachers say about images: computed once and read from disk, or in every step."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tl_keras.data.base import Examples
from tl_keras.data.domains import DomainExamples
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.folding import fold
from tl_keras.frozen.frozen_features import stored_features
from tl_keras.frozen.function_digest import trace
from tl_keras.objectives import Objective
from tl_keras.utils.errors import InputError


class Teacher:
    """A network that never changes, as a feature store sees frozen layers.

    It runs with its variables as constants, wherever they were made: on every device of a
    strategy, too.

    Args:
        name: What stores and batches call it.
        function: From images, 0–255, to a tensor `(b, …)`.

    Attributes:
        random_layer: None: teachers run as in inference.
    """

    random_layer: str | None = None

    def __init__(self, name: str, function: Callable[[Any], Any]):
        self.name = name
        self._function = function
        self._traced: dict[str, Any] = {}

    def __str__(self) -> str:
        """Return what this is, in words."""
        return f"teacher {self.name}"

    def traced(self, images: tf.TensorSpec) -> Any:
        """Return the concrete function for such images, traced once."""
        key = str(images)
        if key not in self._traced:
            self._traced[key] = trace(self._function, images)
        return self._traced[key]

    def folded(
        self, images: tf.TensorSpec, precision: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """Return the function with the weights of now as constants, as `fold` gives it."""
        return fold(
            self._function, images, traced=self.traced(images), precision=precision, say=say
        )

    def in_step(self, spec: Any) -> Callable[[Any], Any]:
        """Return the function for examples of any dtype inside of a training step.

        Args:
            spec: What the function takes, with a batch axis.
        """
        folded = self.folded(spec, "float32", _say_nothing)
        return lambda x: folded(
            tf.nest.map_structure(lambda one, own: tf.cast(one, own.dtype), x, spec)
        )


def teachers_of(objectives: Sequence[Objective]) -> dict[str, Teacher]:
    """Return the teachers of all objectives by name.

    Raises:
        InputError: If two have the same name.
    """
    teachers: dict[str, Teacher] = {}
    for objective in objectives:
        for name, function in objective.teacher_functions().items():
            if name in teachers:
                raise InputError(
                    f"objectives: two teachers have the name {name!r}. teacher_functions() of "
                    f"{type(objective).__name__} has to give names of its own."
                )
            teachers[name] = Teacher(name, function)
    return teachers


def stored_outputs(
    teachers: Mapping[str, Teacher],
    domains: DomainExamples,
    cache: FeatureCache,
    stores: contextlib.ExitStack,
    verbose: bool,
) -> dict[str, dict[str, Examples]] | None:
    """Return domain → teacher → its outputs for all examples, computed once and read from disk.

    Args:
        teachers: Name → teacher.
        domains: Images as they are, without augmentation.
        cache: Where and how much.
        stores: Closes the stores.
        verbose: Whether to print what happens.

    Returns:
        None if something cannot be stored: then the teachers have to run in every step. So it is
        with a `tf.data.Dataset`, whose shuffled batches are not made of row numbers.
    """
    if not domains.has_rows:
        return None
    with contextlib.ExitStack() as own:
        found: dict[str, dict[str, Examples]] = {}
        for domain, examples in domains.items():
            found[domain] = {}
            for name, teacher in teachers.items():
                outputs = stored_features(teacher, examples, None, cache, verbose=verbose)
                if outputs is None:
                    return None
                own.callback(outputs.close)
                found[domain][name] = outputs
        stores.push(own.pop_all())
    return found


def _say_nothing(line: str) -> None:
    del line
