"""Damaged images: inspection, the training decoder and an exported model agree on each."""

import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

import tl_keras as tl
import tl_keras.export
from tl_keras.data.files.inspection import inspect_image
from tl_keras.inputs.decoding.images import decode_and_resize
from tools.torture import tiny_run
from tools.torture.children import GIB, fork_each
from tools.torture.figures import Figures
from tools.torture.mutated_images import cases, declared_sizes
from tools.torture.survey import drawn

RANGES = {"8 bits": None, "16 bits": (0.0, 65535.0)}
QUICK = 60
BATCH = 64
SECONDS = 900
MEMORY = 5 * GIB
SIZE = (8, 8)


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Give all damaged images, or some of every format, to the three."""
    figures, taken = Figures(), 0
    found = ((name, (name, seed, quick)) for name in RANGES)
    for name, ended in fork_each(_judged, found, seconds=SECONDS, memory=MEMORY):
        if ended.trouble:
            figures.add(name, ended.trouble)
            continue
        results, count = ended.value
        figures.extend((f"{name}, {case}", trouble) for case, trouble in results)
        taken += count
    figures.note = f"{taken} were taken for images by all three"
    return figures


def _judged(depth: str, seed: int, quick: bool) -> tuple[list[tuple[str, str | None]], int]:
    """Return for every file in what the three disagree, and how many files they took."""
    pixel_range = RANGES[depth]
    files = itertools.chain(cases(seed), declared_sizes().items())
    if pixel_range:  # Only PNGs are read in another way.
        files = ((name, content) for name, content in files if name.startswith("png"))
    chosen = drawn(files, QUICK if quick else None, random.Random(seed))
    with tempfile.TemporaryDirectory(prefix="images_") as folder:
        model = tiny_run.model(pixel_range)
        tl.export.saved_model(model, Path(folder, "exported"))
        serve = tf.saved_model.load(str(Path(folder, "exported"))).signatures["serve_bytes"]
        decode = tf.function(
            lambda encoded: decode_and_resize(encoded, SIZE, pixel_range),
            input_signature=[tf.TensorSpec([], tf.string)],
        )
        results, taken = [], 0
        for part in _batches(chosen):
            served = serve(image_bytes=tf.constant([content for _, content in part]))
            scores, valid = served["scores"].numpy(), served["valid"].numpy()
            pixels = [_trained(decode, content) for _, content in part]
            whole = np.stack([np.zeros((*SIZE, 3), np.float32) if p is None else p for p in pixels])
            expected = model(whole).numpy()
            for row, (name, content) in enumerate(part):
                path = Path(folder, "file")
                path.write_bytes(content)
                problem = inspect_image(path, name, pixel_range)
                took = {
                    "inspection": problem is None or problem.usable,
                    "training": pixels[row] is not None,
                    "serving": bool(valid[row]),
                }
                trouble = None
                if len(set(took.values())) > 1:
                    trouble = ", ".join(f"{who}: {what}" for who, what in took.items())
                elif valid[row] and not np.allclose(scores[row], expected[row], atol=1e-5):
                    trouble = "served other scores than training's pixels give"
                elif not valid[row] and scores[row].any():
                    trouble = "scores of a file that is not an image"
                results.append((name, trouble))
                taken += bool(valid[row])
    return results, taken


def _batches(files: list[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    for start in range(0, len(files), BATCH):
        yield files[start : start + BATCH]


def _trained(decode: tf.types.experimental.GenericFunction, content: bytes) -> np.ndarray | None:
    """Return the pixels that training sees, or None if it takes the file for no image."""
    try:
        return decode(content).numpy()
    except tf.errors.InvalidArgumentError:
        return None
