"""Models as functions from the contents of image files to scores by label."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tl_keras.cli.loading import image_size_of, is_saved_model, load_model, start_tensorflow
from tl_keras.errors import InputError

Scores = dict[str, np.ndarray]
"""Task → scores `(n, size)`; the one task of most models is called ""."""


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model of image files.

    Attributes:
        labels: Task → names of its outputs.
        run: Scores for the contents of files.
    """

    labels: dict[str, tuple[str, ...]]
    run: Callable[[list[bytes]], Scores]

    def each(
        self, files: Sequence[Path], batch_size: int
    ) -> Iterator[tuple[Path, Scores | None, str]]:
        """Predict files in batches, and go on after those that cannot be read.

        Args:
            files: The image files.
            batch_size: Files at a time.

        Yields:
            The file, task → its scores `(size,)` or None, and what is wrong or "".
        """
        for start in range(0, len(files), batch_size):
            batch = files[start : start + batch_size]
            contents, errors = {}, {}
            for file in batch:
                try:
                    contents[file] = file.read_bytes()
                except OSError as error:
                    errors[file] = error.strerror or str(error)
            rows = self._scores(contents, errors)
            for file in batch:
                yield file, rows.get(file), errors.get(file, "")

    def _scores(self, contents: dict[Path, bytes], errors: dict[Path, str]) -> dict[Path, Scores]:
        """Run a batch, or its files one by one if one of them spoils it."""
        import tensorflow as tf

        if not contents:
            return {}
        try:
            scores = self.run(list(contents.values()))
        except tf.errors.InvalidArgumentError as error:
            if len(contents) == 1:
                errors[next(iter(contents))] = reason(error)
                return {}
            rows = {}
            for file, content in contents.items():
                rows |= self._scores({file: content}, errors)
            return rows
        return {
            file: {task: values[row] for task, values in scores.items()}
            for row, file in enumerate(contents)
        }


def load_predictor(path: Path) -> Predictor:
    """Load a run, a `.keras` file or an exported SavedModel.

    Raises:
        InputError: If there is none of these.
    """
    return _exported(path) if is_saved_model(path) else _transfer_model(path)


def _transfer_model(path: Path) -> Predictor:
    model = load_model(path, "RUN_OR_SAVEDMODEL")
    size = image_size_of(model, "RUN_OR_SAVEDMODEL")
    import tensorflow as tf

    from tl_keras.data import decode_batch

    several = isinstance(model.targets, dict)
    targets = model.targets if several else {"": model.targets}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def outputs(contents):
        return model(decode_batch(contents, size), training=False)

    def run(contents: list[bytes]) -> Scores:
        found = outputs(tf.constant(contents, tf.string))
        return {task: np.asarray(found[task] if several else found) for task in targets}

    return Predictor({task: spec.class_names for task, spec in targets.items()}, run)


def _exported(path: Path) -> Predictor:
    start_tensorflow()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures.get("serve_bytes")
    if serve is None:
        raise InputError(
            f"RUN_OR_SAVEDMODEL: expected a SavedModel with the signature 'serve_bytes', "
            f"{str(path)!r} has {sorted(loaded.signatures)}. `tl-keras export` writes one that has."
        )
    raise NotImplementedError


def reason(error: Exception) -> str:
    """Return the one sentence of an error of TensorFlow that says what is wrong with a file."""
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
