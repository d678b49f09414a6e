"""Resident memory while 200,000 image files stream through training, and while a store is read.

    python -m benchmarks.long_data [--images 200000]

The files are links to a few hundred small JPEG files: reading and decoding are those of as many
different ones, and the disk is spared.
"""

import argparse
import pathlib
import tempfile

import keras

import tl_keras as tl
from benchmarks.jpegs import CLASS_NAMES, write_cells
from benchmarks.resident_memory import resident_bytes

IMAGE_SIZE, DIFFERENT, LIMIT_MB = 32, 200, 300


class Watch(keras.callbacks.Callback):
    """Keeps the resident memory after the first steps and the most after that."""

    def __init__(self):
        super().__init__()
        self.steps, self.start, self.most = 0, 0.0, 0.0

    def on_train_batch_end(self, batch, logs=None):
        """Look every 100 steps."""
        self.steps += 1
        if self.steps == 50:
            self.start = resident_bytes() / 2**20
        if self.steps > 50 and self.steps % 100 == 0:
            self.most = max(self.most, resident_bytes() / 2**20)


def network() -> keras.Model:
    """Return a backbone so small that reading is the work, with a map of 16 KiB per image."""
    images = keras.Input((IMAGE_SIZE, IMAGE_SIZE, 3))
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", name="block1_conv")(images)
    x = keras.layers.ReLU(name="block1_relu")(x)
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="block2_conv")(x)
    return keras.Model(images, keras.layers.ReLU(name="block2_relu")(x), name="small")


def main() -> None:
    """Print one line for files and one for the store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        write_cells(root / "originals", DIFFERENT)
        for name in CLASS_NAMES:
            originals = sorted((root / "originals" / name).iterdir())
            (root / "cells" / name).mkdir(parents=True)
            for number in range(arguments.images // 2):
                target = originals[number % len(originals)]
                (root / "cells" / name / f"{number:06}.jpg").symlink_to(target)
        train = tl.data.image_folder(root / "cells", image_size=IMAGE_SIZE, progress=False)
        print("| way | images | resident memory grew by | must |\n|-|-|-|-|", flush=True)
        for way, unfreeze, cache in (
            ("files", "all", None),
            ("feature store", 1, tl.FeatureCache(folder=root / "cache")),
        ):
            keras.utils.set_random_seed(0)
            model = tl.build_transfer_model(network(), class_names=CLASS_NAMES)
            watch = Watch()
            stage = tl.Stage(1 if cache is None else 2, unfreeze=unfreeze, learning_rate=1e-4)
            tl.fine_tune(
                model, train, schedule=stage, cache=cache, callbacks=[watch], verbose=False
            )
            grown = watch.most - watch.start
            print(f"| {way} | {len(train)} | {grown:.0f} MB | < {LIMIT_MB} MB |", flush=True)


if __name__ == "__main__":
    main()
