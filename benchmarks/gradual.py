"""Two epochs of the head, then four of the last third of the blocks, against `fit` recompiled.

python -m benchmarks.gradual [--images 640] [--image-size 160] [--runs 3]
"""

import argparse
import tempfile

import keras
import numpy as np

import tl_keras as tl
from benchmarks.ratios import HEADER, alternate, print_row
from tl_keras.schedules import apply_freezing

STAGES = (
    tl.Stage(2, unfreeze=0, learning_rate=1e-3, optimizer="adam"),
    tl.Stage(4, unfreeze=1 / 3, learning_rate=1e-4, optimizer="adam"),
)


def build(backbone: str, image_size: int) -> tl.TransferModel:
    """Return the model that both train; random weights cost as much time as trained ones."""
    keras.utils.set_random_seed(0)
    weights = "imagenet" if backbone.startswith("EfficientNetLite") else None
    return tl.build_transfer_model(
        backbone, 2, weights=weights, input_shape=(image_size, image_size, 3)
    )


def ours(model: tl.TransferModel, x, y) -> None:
    """Train with `fine_tune`, with an empty feature store."""
    with tempfile.TemporaryDirectory() as cache:
        tl.fine_tune(
            model, (x, y), schedule=STAGES, cache=tl.FeatureCache(folder=cache), verbose=False
        )


def plain_keras(model: tl.TransferModel, x, y) -> None:
    """Train the same two stages with `fit`; the flags are ours, BatchNorm included."""
    for stage in STAGES:
        apply_freezing(model, stage)
        model.compile(keras.optimizers.Adam(stage.learning_rate), "sparse_categorical_crossentropy")
        model.fit(x, y, batch_size=32, epochs=stage.epochs, verbose=0)


def main() -> None:
    """Measure both backbones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    size = arguments.image_size
    x = random.integers(0, 256, (arguments.images, size, size, 3), dtype=np.uint8)
    y = random.integers(0, 2, arguments.images)
    print(HEADER, flush=True)
    for backbone in ("EfficientNetLite0", "ResNet50"):
        models = [build(backbone, size) for _ in range(2)]
        measured = alternate(
            lambda own=models[0]: ours(own, x, y),
            lambda other=models[1]: plain_keras(other, x, y),
            arguments.runs,
        )
        print_row(f"{backbone}, {arguments.images} images", measured, "≥ 1.6×, aim 2.5×")


if __name__ == "__main__":
    main()
