"""A head on a frozen backbone, from JPEG files to the trained model, against plain Keras.

    python -m benchmarks.head_only [--images 2624] [--image-size 224] [--epochs 10] [--runs 3]
        [--growth]

Plain Keras is what its guide shows: `image_dataset_from_directory`, the same backbone with the
same weights and `trainable = False`, pooling, a dense layer, `fit`. Ours starts with an empty
feature store in every run. `--growth` measures ours at one, two and four times the images.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np

import tl_keras as tl
from benchmarks.jpegs import write_cells
from benchmarks.ratios import HEADER, medians, print_row, seconds

BATCH_SIZE = 32


def ours(folder: pathlib.Path, epochs: int, size: int) -> tl.TransferModel:
    """Train with this library."""
    keras.utils.set_random_seed(0)
    train = tl.data.image_folder(folder, image_size=size, progress=False)
    model = tl.build_transfer_model(
        "EfficientNetLite0", 2, input_shape=(size, size, 3), class_names=train.class_names
    )
    with tempfile.TemporaryDirectory() as cache:
        tl.fine_tune(
            model,
            train,
            schedule=tl.Stage(epochs, learning_rate=1e-3, optimizer="adam", decay="constant"),
            cache=tl.FeatureCache(folder=cache),
            verbose=False,
        )
    return model


def plain_keras(folder: pathlib.Path, epochs: int, size: int) -> keras.Model:
    """Train as the Keras guide does."""
    keras.utils.set_random_seed(0)
    train = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), batch_size=BATCH_SIZE, seed=0, verbose=False
    )
    source = tl.build_transfer_model("EfficientNetLite0", input_shape=(size, size, 3))
    source.backbone.trainable = False
    images = keras.Input((size, size, 3))
    x = source.backbone(source.preprocessing(images), training=False)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(2, activation="softmax")(x))
    model.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(train.prefetch(2), epochs=epochs, verbose=0)
    return model


def forward_pass(folder: pathlib.Path, size: int) -> None:
    """Run the bare backbone once over all images."""
    dataset = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), labels=None, shuffle=False, verbose=False
    )
    source = tl.build_transfer_model("EfficientNetLite0", input_shape=(size, size, 3))
    source.predict(dataset, verbose=0)


def accuracy(model: keras.Model, folder: pathlib.Path, size: int) -> float:
    """Return the accuracy on the images of a folder; the classes are in alphabetical order."""
    test = keras.utils.image_dataset_from_directory(
        folder, image_size=(size, size), shuffle=False, verbose=False
    )
    y = np.concatenate([labels for _, labels in test])
    return float((model.predict(test, verbose=0).argmax(axis=1) == y).mean())


def main() -> None:
    """Measure time and training accuracy, or growth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2624)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        root = pathlib.Path(root)
        if arguments.growth:
            print_growth(root, arguments)
            return
        write_cells(root / "cells", arguments.images)
        models, size = {}, arguments.image_size

        def run(name, function):
            models[name] = function(root / "cells", arguments.epochs, size)

        rounds = [
            (
                seconds(lambda: run("ours", ours)),
                seconds(lambda: run("peer", plain_keras)),
                seconds(lambda: forward_pass(root / "cells", size)),
            )
            for _ in range(arguments.runs)
        ]
        print(HEADER)
        work = f"{arguments.images} JPEG files at {size} px, {arguments.epochs} epochs of the head"
        print_row(work, medians([(own, peer) for own, peer, _ in rounds]), "≥ 6×, aim 9×")
        once = medians([(own, bare) for own, _, bare in rounds])
        print_row("the same against one bare forward pass", once, "aim ≥ 0.83×")
        for name, model in models.items():
            found = accuracy(model, root / "cells", size)
            print(f"accuracy on the training images, {name}: {found:.4f}")


def print_growth(root: pathlib.Path, arguments: argparse.Namespace) -> None:
    """Print seconds at one, two and four times the data, and what each image adds.

    A run of one batch tells what comes once: building, tracing and folding. Processor seconds do
    not count what a run waits for, which on a shared machine changes by half.
    """
    copies = (1, 2, 4)
    counts = [BATCH_SIZE, *(arguments.images * one for one in copies)]
    write_cells(root / "0", BATCH_SIZE)
    for place, one in enumerate(copies, 1):
        write_cells(root / str(place), arguments.images, one)
    ours(root / "0", 1, arguments.image_size)

    def run(place: int) -> tuple[float, float]:
        wall, processor = time.perf_counter(), time.process_time()
        ours(root / str(place), arguments.epochs, arguments.image_size)
        return time.perf_counter() - wall, time.process_time() - processor

    times = np.median([[run(place) for place in range(4)] for _ in range(arguments.runs)], axis=0)
    added = 1e3 * (times[1:] - times[0]) / (np.array(counts[1:]) - counts[0])[:, None]
    print("| images | seconds | processor seconds | an image adds, ms | relative |\n|-|-|-|-|-|")
    print(f"| {counts[0]} | {times[0][0]:.1f} | {times[0][1]:.1f} | | |")
    for count, (wall, processor), each in zip(counts[1:], times[1:], added, strict=True):
        both = " and ".join(f"{one:.1f}" for one in each)
        relative = " and ".join(f"{one:.2f}" for one in each / added[0])
        print(f"| {count} | {wall:.1f} | {processor:.1f} | {both} | {relative} |")


if __name__ == "__main__":
    main()
