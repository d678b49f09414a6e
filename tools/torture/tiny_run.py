"""A training of a moment: two stages, a feature store, checkpoints after every other step."""

import os
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

import tl_keras as tl
import tl_keras.training
from tl_keras.plots.figure import Picture

__all__ = ["STAGES", "data", "ended_with", "is_close", "leftovers", "model", "same_end", "train"]

STAGES = (
    tl.Stage(2, unfreeze=0, learning_rate=1e-2, optimizer="sgd"),
    tl.Stage(1, unfreeze=1, learning_rate=1e-2, optimizer="adam"),
)


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return 12 images of 8 × 8 pixels and their classes."""
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 8, 8, 3))
    return pixels.astype(np.uint8), np.arange(12) % 3


def model(pixel_range: tuple[float, float] | None = None) -> tl.TransferModel:
    """Return a classifier of three classes on two convolutions.

    Args:
        pixel_range: Darkest and brightest value of its images; None for 0–255.
    """
    keras.utils.set_random_seed(3)
    images = keras.Input((8, 8, 3))
    white = 255.0 if pixel_range is None else pixel_range[1]
    x = keras.layers.Rescaling(2 / white, offset=-1.0)(images)
    x = keras.layers.Conv2D(4, 3, strides=2, name="first")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Conv2D(4, 2, name="second")(x)
    return tl.build_transfer_model(keras.Model(images, x, name="tiny"), 3, pixel_range=pixel_range)


def train(folder: Path, seed: int = 0, **arguments: Any) -> dict[str, Any]:
    """Train in `folder/run` with the feature cache `folder/cache`, and return what it ended with.

    Functions run eagerly, which takes a tenth of the time that tracing does, and the picture of the
    curves is zeros: drawing it takes a quarter of the rest.

    Args:
        folder: Of the run and of the cache.
        seed: Of the run.
        arguments: Of `fine_tune` too.
    """
    os.environ["TL_KERAS_CACHE"] = str(folder / "cache")
    tf.config.run_functions_eagerly(True)
    x, y = data()
    with mock.patch.object(Picture, "savefig", _zeros):
        trained = tl.fine_tune(
            model(),
            (x, y),
            (x[::3], y[::3]),
            schedule=STAGES,
            batch_size=4,
            output=folder / "run",
            seed=seed,
            deterministic=True,
            checkpoints=tl.Checkpoints(steps=2),
            **{"verbose": False, **arguments},
        )
    return ended_with(trained.model, trained.history)


def _zeros(picture: Picture, file: Any, **options: Any) -> None:
    """Write as many bytes as a picture of curves has, about."""
    file.write(bytes(40_000))


def ended_with(trained: tl.TransferModel, history: dict[str, Any]) -> dict[str, Any]:
    """Return weights and history, without times."""
    history = {name: values for name, values in history.items() if name != "seconds"}
    return {"weights": trained.get_weights(), "history": history}


def same_end(one: dict[str, Any], two: dict[str, Any]) -> str | None:
    """Return in what two runs differ by a bit; None if in nothing."""
    if one["history"] != two["history"]:
        return "another history than an undisturbed run's"
    pairs = zip(one["weights"], two["weights"], strict=True)
    if not all(a.tobytes() == b.tobytes() for a, b in pairs):
        return "other weights than an undisturbed run's"
    return None


def is_close(one: dict[str, Any], two: dict[str, Any]) -> bool:
    """Return whether the weights of two runs are the same but for rounding."""
    pairs = zip(one["weights"], two["weights"], strict=True)
    return all(np.allclose(a, b, rtol=1e-3, atol=1e-5) for a, b in pairs)


def leftovers(folder: Path, *, finished: bool = True) -> list[str]:
    """Return what a run must not leave: partial files, locks, and checkpoints if it is finished."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith((".partial-", ".removed-"))
        or path.suffix == ".lock"
        or (finished and path.name == "checkpoints")
    )
