"""What the usual recipe for fine-tuning does to BatchNorm, and ours beside it.

    python -m benchmarks.batch_norm [--images 400] [--seeds 3]

The Keras guide on transfer learning builds the model with `base(x, training=False)`, trains the
head, sets `base.trainable = True` and goes on with Adam 1e-5. `fit` passes `training=True` to the
model, and the batch statistics of the new data run through layers that were trained with those of
ImageNet. Both ways start from the same head and see the same images, epochs and learning rate.
"""

import argparse
import time

import keras
import numpy as np

import tl_keras as tl
from benchmarks.cells import load_cells, split_cells

IMAGE_SIZE = 128
HEAD_EPOCHS = 10
EPOCHS = 5
LEARNING_RATE = 1e-5


def shifted(images: np.ndarray) -> np.ndarray:
    """Return the images as a camera with half the exposure and some haze would take them."""
    return (images * 0.5 + 25).astype(np.uint8)


def accuracies(model, x, y, test) -> list[float]:
    """Return the accuracy on test images as they are, and shifted."""
    return [
        float((model.predict(images, verbose=0).argmax(axis=1) == y[test]).mean())
        for images in (x[test], shifted(x[test]))
    ]


def statistics_change(before: list[np.ndarray], model: tl.TransferModel) -> float:
    """Return the largest relative change of a BatchNorm layer's moving mean."""
    moving = [w.numpy() for w in model.weights if w.path.endswith("moving_mean")]
    return max(
        float(np.linalg.norm(now - then) / np.linalg.norm(then))
        for then, now in zip(before, moving, strict=True)
    )


def guide(model: tl.TransferModel, x, y) -> float:
    """Fine-tune by the guide's recipe; return the seconds per epoch after the first."""
    base, head = model.backbone, model.head
    inputs = keras.Input(model.modality.shape)
    recipe = keras.Model(inputs, head(base(model.preprocessing(inputs), training=False)))
    # Keras ignores a flag that a model has already, and with it what its layers have.
    base.trainable = False
    base.trainable = True
    recipe.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    clock = _Clock()
    recipe.fit(x, y, batch_size=32, epochs=EPOCHS, verbose=0, callbacks=[clock])
    return clock.seconds_per_epoch()


def ours(model: tl.TransferModel, x, y, seed: int) -> float:
    """Fine-tune with frozen BatchNorm; return the seconds per epoch after the first."""
    stage = tl.Stage(
        EPOCHS,
        unfreeze="all",
        learning_rate=LEARNING_RATE,
        optimizer="adam",
        weight_decay=0.0,
        decay="constant",
    )
    run = tl.fine_tune(model, (x, y), schedule=stage, seed=seed, verbose=False)
    return float(np.median(run.history["seconds"][1:]))


class _Clock(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self._seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self._seconds.append(time.perf_counter() - self._started)

    def seconds_per_epoch(self) -> float:
        return float(np.median(self._seconds[1:]))


def measure(x, y, images: int, seed: int) -> dict[str, list[float]]:
    """Return way → accuracy, shifted accuracy, change of statistics, seconds per epoch."""
    train, test = split_cells(y, seed)
    train = np.random.default_rng(seed).choice(train, images, replace=False)
    rows = {}
    for way in ("head only", "Keras guide", "tl_keras"):
        keras.utils.set_random_seed(seed)
        model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:])
        head = tl.schedules.feature_extraction(HEAD_EPOCHS)
        tl.fine_tune(model, (x[train], y[train]), schedule=head, seed=seed, verbose=False)
        before = [w.numpy() for w in model.weights if w.path.endswith("moving_mean")]
        seconds = 0.0
        if way == "Keras guide":
            seconds = guide(model, x[train], y[train])
        elif way == "tl_keras":
            seconds = ours(model, x[train], y[train], seed)
        rows[way] = [*accuracies(model, x, y, test), statistics_change(before, model), seconds]
    return rows


def main() -> None:
    """Measure all seeds and print the table of means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    x, y = load_cells(IMAGE_SIZE)
    results = [measure(x, y, arguments.images, seed) for seed in range(arguments.seeds)]
    print(
        f"EfficientNetLite0 at {IMAGE_SIZE} px, {arguments.images} training images, "
        f"{HEAD_EPOCHS} epochs of the head, then {EPOCHS} of all layers at {LEARNING_RATE:g}; "
        f"means of {arguments.seeds} seeds"
    )
    print("| way | accuracy | shifted | statistics moved by | seconds per epoch |\n|-|-|-|-|-|")
    for way in results[0]:
        plain, shift, moved, seconds = np.mean([result[way] for result in results], axis=0)
        print(f"| {way} | {plain:.3f} | {shift:.3f} | {moved:.0%} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
