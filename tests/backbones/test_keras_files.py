"""Keras' older formats, and files that do not fit, end in two lines that say what to do."""

import json
import zipfile

import h5py
import keras
import pytest

import tl_keras as tl

LONGEST = 600
"""Characters of an error that still reads as two or three lines."""


@pytest.fixture(scope="module")
def small():
    """A network that no test changes."""
    layers = keras.layers
    images = keras.Input((8, 8, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(images))
    return keras.Model(images, layers.Conv2D(2, 3)(x))


def said(call, *expected):
    with pytest.raises(tl.InputError) as error:
        call()
    text = str(error.value)
    assert len(text) <= LONGEST
    for words in expected:
        assert words in text
    return text


def as_keras_2(path, source):
    """Write the file as Keras 2 would have: its classes have another module and version."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "metadata.json":
                content = json.dumps({**json.loads(content), "keras_version": "2.15.0"}).encode()
            if name == "config.json":
                content = content.replace(b"keras.src.models", b"keras.src.engine")
            new.writestr(name, content)


@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "MODEL.H5"])
def test_a_transfer_model_is_not_saved_as_hdf5(small, tmp_path, name):
    model = tl.build_transfer_model(small, 2)
    said(lambda: model.save(tmp_path / name), "filepath: ", ".keras", ".weights.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("save", [keras.saving.save_model, keras.Model.save])
@pytest.mark.parametrize("is_part", [False, True])
def test_ways_around_its_own_save_are_refused_as_well(small, tmp_path, save, is_part):
    model = tl.build_transfer_model(small, 2)
    whole = keras.Sequential([model, keras.layers.Dense(1)]) if is_part else model
    for name in ("model.h5", "model.hdf5"):
        said(lambda name=name: save(whole, tmp_path / name), "filepath: ", ".keras", ".weights.h5")
    images = keras.random.uniform((1, 8, 8, 3), 0, 255, seed=0)
    save(whole, tmp_path / "model.keras")  # Nothing is left behind that would refuse other files.
    whole.save_weights(tmp_path / "model.weights.h5")
    copies = keras.saving.load_model(tmp_path / "model.keras"), keras.models.clone_model(whole)
    copies[1].load_weights(tmp_path / "model.weights.h5")
    for copy in copies:
        assert keras.ops.all(copy(images) == whole(images))


def test_saving_after_training_says_the_same(tmp_path):
    inputs = keras.Input((4, 4, 3))
    model = tl.build_transfer_model(keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs)), 2)
    images = keras.ops.convert_to_numpy(keras.random.uniform((8, 4, 4, 3), 0, 255, seed=0))
    tl.fine_tune(model, (images, [0, 1] * 4), schedule=tl.Stage(1), verbose=False)
    said(lambda: model.save(tmp_path / "model.h5"), "filepath: ")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert keras.ops.all(loaded(images) == model(images))


def test_a_whole_hdf5_model_as_backbone(small, tmp_path):
    path = tmp_path / "whole.h5"
    small.save(path)
    said(lambda: tl.build_transfer_model(path, 2), "backbone: ", "HDF5", ".save('model.keras')")
    keras.models.load_model(path, compile=False).save(tmp_path / "model.keras")  # The advice.
    tl.build_transfer_model(tmp_path / "model.keras", 2)


def test_a_run_in_hdf5(small, tmp_path):
    path = tmp_path / "whole.h5"
    small.save(path)
    said(lambda: tl.load_run_model(path), "run: ", "HDF5", ".save('model.keras')")


def test_files_of_keras_2(small, tmp_path):
    small.save(tmp_path / "new.keras")
    as_keras_2(tmp_path / "old.keras", tmp_path / "new.keras")
    small.save(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file.attrs["keras_version"] = b"2.15.0"
    old = tmp_path / "old.keras"
    said(
        lambda: tl.build_transfer_model(old, 2), "backbone: ", "Keras 2.15.0", "tf_keras", "export"
    )
    said(
        lambda: tl.build_transfer_model("MobileNet", 2, weights=old, input_shape=(32, 32, 3)),
        "weights: ",
        "Keras 2.15.0",
    )
    said(lambda: tl.build_transfer_model(tmp_path / "old.h5", 2), "Keras 2.15.0", "export")


def test_weights_that_do_not_fit_are_refused_in_two_lines(small, tmp_path, recwarn):
    files = [tmp_path / name for name in ("whole.h5", "other.weights.h5", "other.keras")]
    small.save(files[0])
    small.save_weights(files[1])
    small.save(files[2])
    whole = tmp_path / "transfer.weights.h5"
    network = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3))
    tl.build_transfer_model(network, 2).save_weights(whole)
    recwarn.clear()
    for file in [*files, whole]:
        said(
            lambda file=file: tl.build_transfer_model(
                "MobileNet", 2, weights=file, input_shape=(32, 32, 3)
            ),
            "weights: ",
        )
    assert not [one for one in recwarn if "Skipping" in str(one.message)]
