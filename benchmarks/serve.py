"""Image bytes to label: the exported SavedModel against decoding in Python and `model.predict`.

python -m benchmarks.serve [--requests 20] [--runs 3]
"""

import argparse
import io
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from benchmarks.jpegs import CLASS_NAMES, write_cells
from benchmarks.ratios import HEADER, alternate, print_row

IMAGE_SIZE = 224


def main() -> None:
    """Measure batches of 1 and of 32."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_cells(pathlib.Path(folder) / "cells", 64)
        files = sorted((pathlib.Path(folder) / "cells").rglob("*.jpg"))
        images = [file.read_bytes() for file in files]
        model = tl.build_transfer_model(
            "EfficientNetLite0",
            2,
            input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3),
            class_names=CLASS_NAMES,
        )
        tl.export.saved_model(model, f"{folder}/exported")
        served = tf.saved_model.load(f"{folder}/exported").signatures["serve_bytes"]

        def ours(batch):
            return served(image_bytes=tf.constant(batch))["label"].numpy()

        def peer(batch):
            x = np.stack([decode(data) for data in batch])
            return np.array(CLASS_NAMES)[model.predict(x, verbose=0).argmax(axis=1)]

        print(HEADER, flush=True)
        for size in (1, 32):
            batches = [images[i : i + size] for i in range(0, len(images), size)]
            batches = (batches * arguments.requests)[: max(8, arguments.requests * 4 // size)]
            agree = np.mean([label.decode() for label in ours(batches[0])] == peer(batches[0]))
            measured = alternate(
                lambda batches=batches: [ours(batch) for batch in batches],
                lambda batches=batches: [peer(batch) for batch in batches],
                arguments.runs,
            )
            work = f"{len(batches)} requests of {size} (labels agree: {agree:.0%})"
            print_row(work, measured, "≥ 1.3×")


def decode(data: bytes) -> np.ndarray:
    """Decode as a Python service does."""
    with Image.open(io.BytesIO(data)) as image:
        rgb = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR)
    return np.asarray(rgb)


if __name__ == "__main__":
    main()
