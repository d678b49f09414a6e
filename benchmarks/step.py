"""A full fine-tuning step against a minimal hand-written loop and against Keras' `fit`.

python -m benchmarks.step [--image-size 96] [--batch-size 16] [--steps 12] [--runs 3]
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tl_keras as tl
from benchmarks.ratios import HEADER, medians, print_row
from tl_keras.schedules import apply_freezing

CLASSES = 5


class Work:
    """One model and one set of images, trained in three ways.

    Each way trains for one epoch first and for several more after it; the time is that of the
    epochs after the first, so that tracing does not count for or against anybody.
    """

    def __init__(self, backbone: str, image_size: int, batch_size: int, steps: int, epochs: int):
        count = batch_size * steps
        random = np.random.default_rng(0)
        self.x = random.integers(0, 256, (count, image_size, image_size, 3), dtype=np.uint8)
        self.y = random.integers(0, CLASSES, count)
        self.batch_size = batch_size
        self.epochs = epochs
        self.model = tl.build_transfer_model(
            backbone, CLASSES, weights=None, input_shape=(image_size, image_size, 3)
        )

    def ours(self) -> float:
        """Train with `fine_tune`."""
        clock = Clock()
        tl.fine_tune(
            self.model,
            (self.x, self.y),
            schedule=self._stage(),
            batch_size=self.batch_size,
            callbacks=[clock],
            verbose=False,
        )
        return clock.after_the_first()

    def loop(self) -> float:
        """Train with the least that a user could write by hand."""
        apply_freezing(self.model, self._stage())
        variables = self.model.trainable_variables
        values = [variable.value for variable in variables]
        optimizer = keras.optimizers.Adam(1e-5)
        optimizer.build(variables)
        loss = keras.losses.CategoricalCrossentropy()

        @tf.function
        def step(x, y):
            with tf.GradientTape() as tape:
                error = loss(y, self.model(x, training=True))
            optimizer.apply(tape.gradient(error, values), variables)
            return error

        clock = Clock()
        for epoch in range(1 + self.epochs):
            for x, y in self._batches():
                last = step(x, y)
            last.numpy()
            clock.on_epoch_end(epoch)
        return clock.after_the_first()

    def fit(self) -> float:
        """Train with `fit`."""
        apply_freezing(self.model, self._stage())
        self.model.compile(keras.optimizers.Adam(1e-5), "categorical_crossentropy")
        clock = Clock()
        self.model.fit(self._batches(), epochs=1 + self.epochs, callbacks=[clock], verbose=0)
        return clock.after_the_first()

    def _stage(self) -> tl.Stage:
        return tl.Stage(
            1 + self.epochs,
            unfreeze="all",
            learning_rate=1e-5,
            optimizer="adam",
            weight_decay=0.0,
            decay="constant",
        )

    def _batches(self) -> tf.data.Dataset:
        y = np.eye(CLASSES, dtype=np.float32)[self.y]
        pairs = tf.data.Dataset.from_tensor_slices((self.x, y)).shuffle(len(self.x), seed=0)
        return pairs.batch(self.batch_size).prefetch(tf.data.AUTOTUNE)


class Clock(keras.callbacks.Callback):
    """Notes when epochs end."""

    def __init__(self):
        super().__init__()
        self.ends: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        """Note the time."""
        self.ends.append(time.perf_counter())

    def after_the_first(self) -> float:
        """Return the seconds from the end of the first epoch to the end of the last."""
        return self.ends[-1] - self.ends[0]


def main() -> None:
    """Measure both backbones against both peers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    print(HEADER, flush=True)
    for backbone in ("MobileNetV2", "ResNet50"):
        work = Work(
            backbone,
            arguments.image_size,
            arguments.batch_size,
            arguments.steps,
            arguments.epochs,
        )
        rounds = [(work.ours(), work.loop(), work.fit()) for _ in range(arguments.runs)]
        for index, (name, must) in enumerate((("a loop by hand", "≥ 0.97×"), ("fit", "–")), 1):
            pairs = [(row[0], row[index]) for row in rounds]
            print_row(f"{backbone}, {arguments.epochs} epochs, {name}", medians(pairs), must)


if __name__ == "__main__":
    main()
