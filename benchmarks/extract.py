"""Features of images per second, against `keras.Model.predict`.

    python -m benchmarks.extract [--images 256] [--image-size 224] [--runs 3]

In float32, and in bfloat16 where the processor has AMX.
"""

import argparse

import numpy as np
import tensorflow as tf

import tl_keras as tl
from benchmarks.ratios import HEADER, alternate, print_row
from tl_keras.frozen.folding import fold, has_amx

BATCH_SIZE = 32


def main() -> None:
    """Measure three backbones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    size = arguments.image_size
    x = np.random.default_rng(0).integers(0, 256, (arguments.images, size, size, 3), np.uint8)
    precisions = {"float32": "≥ 1.25×"} | ({"bfloat16": "aim 2.5×"} if has_amx() else {})
    print(HEADER, flush=True)
    for backbone in ("MobileNetV2", "ResNet50", "EfficientNetLite0"):
        weights = "imagenet" if backbone.startswith("EfficientNetLite") else None
        model = tl.build_transfer_model(backbone, weights=weights, input_shape=(size, size, 3))
        expected = model.predict(x[:BATCH_SIZE], verbose=0)
        for precision, must in precisions.items():
            spec = tf.TensorSpec([None, size, size, 3], tf.uint8)
            folded = fold(model.features, spec, precision=precision)

            def ours(folded=folded):
                for start in range(0, len(x), BATCH_SIZE):
                    folded(tf.constant(x[start : start + BATCH_SIZE])).numpy()

            error = np.abs(folded(tf.constant(x[:BATCH_SIZE])).numpy() - expected).max()
            measured = alternate(
                ours,
                lambda model=model: model.predict(x, batch_size=BATCH_SIZE, verbose=0),
                arguments.runs,
            )
            rate = arguments.images / measured.ours
            work = f"{backbone}, {precision}: {rate:.0f} images/s, largest difference {error:.1e}"
            print_row(work, measured, must)


if __name__ == "__main__":
    main()
