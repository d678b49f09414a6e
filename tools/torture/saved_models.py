"""Hostile SavedModels and `.keras` files: refused in one line, and nothing is done meanwhile."""

import contextlib
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tl_keras as tl
from tl_keras.backbones.module_source import ModuleFiles
from tl_keras.backbones.saved_model import SavedModelBackbone
from tools.torture import hostile_keras, tiny_run
from tools.torture.children import GIB, fork_each
from tools.torture.figures import Figures
from tools.torture.hostile_saved_models import Case, cases
from tools.torture.survey import Survey, drawn, figures_of, survey

KERAS_FILES = 100
"""Of the hostile SavedModels, so many are loaded from inside a `.keras` file too."""

QUICK = {"SavedModels": 30, "SavedModels in .keras": 8, ".keras": 24}
SECONDS = 900
GROWTH = 2 * GIB
_MAY_LOAD = (
    *("flip/", "value/", "metadata/", "compiled/", "activation/", "config/spaces"),
    *(f"archive/{what} metadata.json" for what in ("without", "encrypted", "method 99", "2 GB")),
    *(f"archive/{what} metadata.json" for what in ("checksum", "version 99")),
)
"""Beginnings of names of files that may load, as long as they do nothing, even if they are used."""

IMAGES = tf.TensorSpec((None, 8, 8, 3), tf.float32, name="images")


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Load all hostile files, or some of every family, in processes with limits."""
    surveys = {
        "SavedModels": _of_directories,
        "SavedModels in .keras": _of_embedded,
        ".keras": _of_keras_files,
    }
    figures, notes = Figures(), []
    cases = [
        (name, (function, seed, QUICK[name] if quick else None))
        for name, function in surveys.items()
    ]
    for name, ended in fork_each(_in_folder, cases, seconds=SECONDS):
        part = figures_of(ended, GROWTH)
        figures.tried += part.tried
        figures.lost += [f"{name}, {one}" for one in part.lost]
        notes.append(f"{name}: {part.tried}, {part.note}")
    figures.note = ". ".join(notes)
    return figures


def _in_folder(function: Callable, seed: int, count: int | None) -> Survey:
    with tempfile.TemporaryDirectory(prefix="saved_models_") as folder:
        os.environ["TL_KERAS_CACHE"] = folder
        tf.config.run_functions_eagerly(True)
        return function(Path(folder), seed, count)


def _of_directories(folder: Path, seed: int, count: int | None) -> Survey:
    """Look into SavedModels that would act outside, one for every operation that could."""

    def read(path: str) -> None:
        refusal = ModuleFiles(path, "case").refusal
        if refusal is None:
            raise AssertionError("was not refused")
        raise tl.InputError(refusal)

    found = drawn(_named(cases(seed)), count, random.Random(seed))
    return survey(
        ((case.name, case) for _, case in found),
        read,
        lambda name, value: False,
        lambda: None,
        "",
        write=lambda case, path: case.write(Path(path)),
    )


def _of_embedded(folder: Path, seed: int, count: int | None) -> Survey:
    """Load them out of `.keras` files."""
    tf.saved_model.save(_Network(), str(folder / "module"))
    template = folder / "template.keras"
    layer = SavedModelBackbone(folder / "module")
    keras.Sequential([keras.Input((8, 8, 3)), layer]).save(template)
    found = drawn(_named(cases(seed)), count or KERAS_FILES, random.Random(seed))
    return survey(
        ((case.name, case) for _, case in found),
        tl.load_run_model,
        lambda name, value: False,
        _safe_mode,
        ".keras",
        write=lambda case, path: case.write_keras(Path(path), template),
    )


def _of_keras_files(folder: Path, seed: int, count: int | None) -> Survey:
    """Load files whose configs, weights and members mean harm, as a run and as a backbone."""
    honest, written = folder / "honest.keras", folder / "written"
    tiny_run.model().save(honest)
    images = tiny_run.data()[0].astype(np.float32)
    expected = tl.load_run_model(honest).predict(images, verbose=0)
    calls = iter(range(10**6))

    def read(path: str) -> Any:
        if next(calls) % 2:
            return tl.build_transfer_model(path, 2)
        return tl.load_run_model(path)

    def after() -> str | None:
        if written.exists():
            return "it wrote a file"
        if next(calls) % 50 < 2:
            again = tl.load_run_model(honest).predict(images, verbose=0)
            if not np.array_equal(again, expected):
                return "an honest file reads differently"
        return _safe_mode()

    corpus = hostile_keras.cases(honest, written, seed)

    def harmless(name: str, model: keras.Model) -> bool:
        with contextlib.suppress(Exception):
            model(images)
        return name.startswith(_MAY_LOAD)

    return survey(
        drawn(corpus, count, random.Random(seed)),
        read,
        harmless,
        after,
        ".keras",
    )


class _Network(tf.Module):
    """An honest SavedModel."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = tf.Variable(np.ones((3, 2), "float32"))

    @tf.function(input_signature=[IMAGES])
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        return images @ self.kernel


def _named(found: Iterator[Case]) -> Iterator[tuple[str, Case]]:
    """Name cases by the place of the operation first, which is their family."""
    for case in found:
        operation, _, place = case.name.partition(" in ")
        yield f"{place}/{operation}", case


def _safe_mode() -> str | None:
    """Say so if a file has switched the safe mode of Keras off."""
    from keras.src.saving import serialization_lib

    return "safe mode is off" if serialization_lib.in_safe_mode() is False else None
