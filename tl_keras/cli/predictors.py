"""Models as functions from the contents of image files to scores by label."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tl_keras.cli.loading import is_saved_model, load_model, start_tensorflow
from tl_keras.errors import InputError

Scores = dict[str, np.ndarray]
"""Task → scores `(n, size)`; the one task of most models is called ""."""


@dataclasses.dataclass(frozen=True)
class Predictor:
    """A model of image files.

    Attributes:
        labels: Task → names of its outputs.
        regression: Tasks whose outputs are values instead of scores.
        run: Scores for the contents of files.
    """

    labels: dict[str, tuple[str, ...]]
    regression: frozenset[str]
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

        from tl_keras.data.inspection import inspect_image

        if not contents:
            return {}
        try:
            scores = self.run(list(contents.values()))
        except tf.errors.InvalidArgumentError:
            if len(contents) == 1:
                (file,) = contents
                problem = inspect_image(file, str(file))
                if problem is None:
                    raise
                errors[file] = f"{problem.kind}, {problem.detail}"
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
    import tensorflow as tf

    from tl_keras.export.serving import pixels, takes_photographs

    if not takes_photographs(model):
        raise InputError(
            "RUN_OR_SAVEDMODEL: expected a model of images of one size, got one with the input "
            f"shape {model.image_shape}. Use it from Python."
        )
    several = isinstance(model.targets, dict)
    targets = model.targets if several else {"": model.targets}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def outputs(contents):
        return model(pixels(contents, model.image_shape, model.pixel_range), training=False)

    def run(contents: list[bytes]) -> Scores:
        found = outputs(tf.constant(contents, tf.string))
        return {task: np.asarray(found[task] if several else found) for task in targets}

    return Predictor(
        {task: spec.class_names for task, spec in targets.items()},
        frozenset(task for task, spec in targets.items() if spec.kind == "regression"),
        run,
    )


def _exported(path: Path) -> Predictor:
    start_tensorflow()
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures.get("serve_bytes")
    keys = {} if serve is None else _outputs_by_task(serve.structured_outputs)
    if not keys:
        raise InputError(
            "RUN_OR_SAVEDMODEL: expected a SavedModel with the signature 'serve_bytes' that gives "
            f"scores, {str(path)!r} has {sorted(loaded.signatures)}. `tl-keras export` writes one."
        )
    labels = {task: _read_labels(path, task) for task in keys}

    def run(contents: list[bytes]) -> Scores:
        found = serve(image_bytes=tf.constant(contents, tf.string))
        return {task: found[key].numpy() for task, key in keys.items()}

    run.loaded = loaded  # A signature does not keep the variables of its model alive.
    regression = frozenset(task for task, key in keys.items() if key.endswith("values"))
    return Predictor(labels, regression, run)


def _outputs_by_task(outputs: Iterable[str]) -> dict[str, str]:
    """Return task → name of the output that holds its scores or values."""
    keys = {}
    for key in outputs:
        task, _, kind = key.rpartition("_")
        if kind in ("scores", "values"):
            keys[task] = key
    return keys


def _read_labels(path: Path, task: str) -> tuple[str, ...]:
    suffix = "_" + re.sub(r"[^\w.-]", "_", task) if task else ""
    file = path / "assets" / f"labels{suffix}.txt"
    if not file.is_file():
        raise InputError(f"RUN_OR_SAVEDMODEL: {str(file)!r} is missing. Export the run again.")
    return tuple(file.read_text(encoding="utf-8").split("\n")[:-1])
