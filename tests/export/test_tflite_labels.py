"""The names of the outputs travel in a TFLite file."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


def test_labels_travel_in_the_file(tmp_path):
    network = tiny_network()
    names = ["a cat", "Hündin", "b"]
    model = tl.build_transfer_model(network, 3, class_names=names)
    path = tl.export.tflite(model, tmp_path / "model.tflite")
    assert zipfile.ZipFile(path).read("labels.txt").decode() == "a cat\nHündin\nb\n"
    x = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype("float32")
    scores = tf.lite.Interpreter(str(path)).get_signature_runner()(images=x)["scores"]
    np.testing.assert_allclose(scores, model.predict(x, verbose=0), atol=1e-5)
    heads = {"head": "multi_label", "class_names": {"pet": names}}
    model = tl.build_transfer_model(network, {"pet": 3, "size": 2}, **heads)
    path = tl.export.tflite(model, tmp_path / "tasks.tflite")
    assert zipfile.ZipFile(path).namelist() == ["labels_pet.txt", "labels_size.txt"]
