"""Tiny pictures, a tiny trained run and a fake predictor for the tests of the command line."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tl_keras.cli.main import main

COLOURS = {"blue": (30, 40, 210), "green": (30, 200, 40), "red": (220, 30, 40)}
OF_TRAINED = (
    *("--schedule", "feature_extraction", "--epochs", "2", "--batch-size", "8"),
    *("--validation-split", "0.2", "--test-split", "0.3", "--augment", "horizontal_flip"),
)
"""Options of the run `trained`."""


def write_pictures(folder, classes=tuple(COLOURS), count=8, size=40, seed=0):
    """Write one subfolder per colour with noisy PNG files of that colour."""
    generator = np.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(count):
            noise = generator.integers(-25, 26, (size, size, 3))
            pixels = np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}{index}.png")
    return folder


@pytest.fixture(name="write_pictures")
def write_pictures_fixture():
    """The function `write_pictures`."""
    return write_pictures


@pytest.fixture(autouse=True)
def functions_kept(monkeypatch):
    """Let commands of one process share what TensorFlow has prepared, as the decoder of images.

    A new seed of TensorFlow's makes it forget all functions, which costs each command two seconds.
    Python, NumPy and Keras are seeded as ever.
    """
    monkeypatch.setattr(tf.random, "set_seed", lambda seed: None)


@pytest.fixture
def tl_keras_cli(capsys):
    """Run `tl-keras` in this process; gives (exit code, standard output, standard error)."""

    def run(*words):
        capsys.readouterr()
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of three colours, eight pictures each."""
    return write_pictures(tmp_path_factory.mktemp("pictures") / "colours")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory):
    """A `.keras` file with a backbone that is quick to build and to train."""
    import keras

    images = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(1 / 255)(images)
    convolved = keras.layers.Conv2D(8, 5, strides=4, activation="relu", name="one")(scaled)
    convolved = keras.layers.Conv2D(8, 3, activation="relu", name="two")(convolved)
    path = tmp_path_factory.mktemp("backbones") / "tiny.keras"
    keras.Model(images, convolved, name="tiny").save(path)
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, pictures, tiny_backbone):
    """A run directory that `tl-keras train` wrote, with its exit code."""
    run = tmp_path_factory.mktemp("runs") / "colours"
    code = main(
        [
            *("train", str(pictures), "--output", str(run), "--backbone", str(tiny_backbone)),
            *(*OF_TRAINED, "--export-saved-model"),
        ]
    )
    return run, code
