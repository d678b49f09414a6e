"""`tl-keras demo`: the main job on real images, without network."""

import json
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from tl_keras import data, evaluation, export
from tl_keras.data.solar_cells import solar_cells, write_cells_csv
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.models.builder import build_transfer_model
from tl_keras.schedules import Stage
from tl_keras.training import fine_tune
from tl_keras.utils.errors import InputError
from tl_keras.utils.writing import write_for_user

IMAGE_SIZE = 160
BACKBONE = "EfficientNetLite0"
POSITIVE = "defective"
"""What is looked for: precision, recall and F1 are about this class."""


def demo(output: str, quick: bool = False) -> None:
    """Find defective solar cells: data, two stages, comparison, export, three images served.

    Args:
        output: New directory for the run, the pictures and the SavedModel.
        quick: Use 240 of the 2,624 cells and one epoch a stage.

    Raises:
        InputError: If the output exists, or the packages with weights and images are missing.
    """
    started = time.perf_counter()
    path = pathlib.Path(output)
    if path.exists() and any(path.iterdir()):
        raise InputError(
            f"output: {output!r} is not empty. Remove it, or name another with --output."
        )
    keras.utils.set_random_seed(0)
    cells = solar_cells()
    if quick:
        cells = [cells[i] for i in np.random.default_rng(0).choice(len(cells), 240, replace=False)]
    with tempfile.TemporaryDirectory() as folder:
        table = pathlib.Path(folder) / "cells.csv"
        write_cells_csv(cells, table)
        train, validation, test = data.image_folder(
            table, image_size=IMAGE_SIZE, split=(0.7, 0.1, 0.2), seed=0
        )
    _step(f"{len(cells)} electroluminescence images of solar cells: functional or defective?")
    model = build_transfer_model(
        BACKBONE,
        head="linear",
        class_names=train.class_names,
        input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3),
    )
    _step(f"1. The head alone, on frozen ImageNet features of {BACKBONE}")
    head_epochs, epochs = (1, 1) if quick else (15, 3)
    fine_tune(model, train, validation, schedule=Stage(head_epochs), output=path / "head")
    pretrained = _copy(model)
    _step("2. The upper 11 blocks, BatchNorm statistics frozen, flips and MixUp")
    run = fine_tune(
        model,
        train,
        validation,
        schedule=Stage(
            epochs,
            unfreeze=11,
            learning_rate=3e-4,
            warmup=0.1,
            global_clipnorm=1.0,
            ema_momentum=0.99,
        ),
        batch_size=16,
        label_smoothing=0.1,
        augmentation=[
            keras.layers.RandomFlip("horizontal_and_vertical", seed=0),
            keras.layers.MixUp(0.2, seed=0),
        ],
        cache=FeatureCache(views=2),
        output=path / "fine_tuned",
    )
    run.plot(path / "curves.png")
    _step("3. Before and after, on test images that neither has seen")
    comparison = evaluation.compare(
        {"pretrained features + head": pretrained, "fine-tuned": model},
        test,
        positive=POSITIVE,
        verbose=False,
    )
    print(comparison)
    report = evaluation.evaluate(model, test, positive=POSITIVE, verbose=False)
    report.plot(path / "confusion.png")
    report.to_json(path / "report.json")
    _step("4. Exported: image bytes in, labels and scores out")
    export.saved_model(model, path / "saved_model")
    _serve(path / "saved_model", [test.paths[i] for i in _one_of_each(test.labels)], test)
    minutes = (time.perf_counter() - started) / 60
    figures = {"minutes": minutes, "accuracy": report.metrics["accuracy"]}
    write_for_user(path / "demo.json", json.dumps(figures) + "\n", "output")
    _step(f"Done in {minutes:.1f} minutes. Pictures, report and SavedModel are in {path}/")


def _copy(model):
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def _one_of_each(labels: np.ndarray) -> list[int]:
    first = [int(np.flatnonzero(labels == value)[0]) for value in (0, 1)]
    return [*first, int(np.flatnonzero(labels == 1)[-1])]


def _serve(saved_model: pathlib.Path, files: list, test) -> None:
    """Load the SavedModel as a server would, with TensorFlow alone, and classify files."""
    serve = tf.saved_model.load(str(saved_model)).signatures["serve_bytes"]
    encoded = tf.constant([pathlib.Path(file).read_bytes() for file in files])
    answer = serve(image_bytes=encoded)
    truth = {
        str(path): test.class_names[label]
        for path, label in zip(test.paths, test.labels, strict=True)
    }
    for file, label, score in zip(
        files, answer["label"].numpy(), answer["score"].numpy(), strict=True
    ):
        name = pathlib.Path(file).name
        print(f"   {name}: {label.decode()} ({score:.2f}), truly {truth[str(file)]}")


def _step(line: str) -> None:
    print(f"\n{line}", flush=True)
