"""Models as functions from the contents of image files to scores by label."""

import re
from collections.abc import Iterable
from pathlib import Path

from tl_keras.cli.loading import is_saved_model, load_model, start_tensorflow
from tl_keras.predictions.predictor import Predictor, Scores, predictor_of
from tl_keras.utils.errors import InputError


def load_predictor(path: Path, trust: bool = False) -> Predictor:
    """Load a run, a `.keras` file or an exported SavedModel.

    Args:
        path: Where it is.
        trust: Whether the user trusts its author.

    Raises:
        InputError: If there is none of these, or it needs trust.
    """
    if is_saved_model(path):
        return _exported(path, trust)
    return predictor_of(load_model(path, "RUN_OR_SAVEDMODEL", trust), "RUN_OR_SAVEDMODEL")


def _exported(path: Path, trust: bool) -> Predictor:
    start_tensorflow()
    import tensorflow as tf

    from tl_keras.backbones.module_source import resolve_module

    resolve_module(path, trust).check()
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures.get("serve_bytes")
    keys = {} if serve is None else _outputs_by_task(serve.structured_outputs)
    if serve is None or not keys:
        raise InputError(
            "RUN_OR_SAVEDMODEL: expected a SavedModel with the signature 'serve_bytes' that gives "
            f"scores, {str(path)!r} has {sorted(loaded.signatures)}. `tl-keras export` writes one."
        )
    if "error" not in serve.structured_outputs:
        raise InputError(
            f"RUN_OR_SAVEDMODEL: {str(path)!r} does not say which files are not images: an older "
            "version of tl_keras wrote it. Export the model again with `tl-keras export`."
        )
    labels = {task: _read_labels(path, task) for task in keys}

    def run(contents: list[bytes]) -> tuple[Scores, list[str]]:
        found = serve(image_bytes=tf.constant(contents, tf.string))
        scores = {task: found[key].numpy() for task, key in keys.items()}
        return scores, [text.decode() for text in found["error"].numpy()]

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
