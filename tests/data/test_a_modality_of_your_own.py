"""A modality from outside the package goes through build, train, save, load and export."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.inputs import Modality
from tl_keras.utils.errors import InputError


@keras.saving.register_keras_serializable("toys")
class Words(Modality):
    """Words of small letters: 1 … 26 each, 0 where a word has ended."""

    name = "letters"
    singular, plural = "word", "words"
    raw_name, raw_signature = "text", "serve_text"

    def __init__(self, length):
        self._length = length

    @property
    def spec(self):
        return tf.TensorSpec((self._length,), tf.int32)

    def get_config(self):
        return {"length": self._length}

    def from_raw(self, raw):
        letters = tf.strings.unicode_decode(raw, "UTF-8") - 96
        is_good = tf.reduce_all((letters >= 1) & (letters <= 26), axis=1)
        error = tf.where(is_good, "", "not a word of small letters")
        letters = letters.to_tensor(shape=[None, self._length])
        return tf.where(is_good[:, None], letters, 0), error


WORDS = ["anna", "otto", "bob", "tom", "ada", "max", "eve", "kim"]


def numbers():
    return np.array([[ord(c) - 96 for c in word.ljust(4, "`")] for word in WORDS])


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    letters = keras.Input((4,), dtype="int32")
    vectors = keras.layers.Embedding(27, 8, mask_zero=True)(letters)
    network = keras.Model(letters, keras.layers.Dense(8, activation="relu")(vectors))
    return tl.build_transfer_model(network, class_names=["no", "yes"], modality=Words(4))


def test_build_train_save_load_export(model, tmp_path):
    y = np.array([word == word[::-1] for word in WORDS]).astype(int)
    stages = (tl.Stage(2), tl.Stage(2, unfreeze="all"))
    tl.fine_tune(model, (numbers(), y), schedule=stages, output=tmp_path / "run", verbose=False)
    expected = model.predict(numbers(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.modality, Words)
    np.testing.assert_allclose(loaded.predict(numbers(), verbose=0), expected, rtol=1e-5)
    tl.export.saved_model(loaded, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    assert set(served) == {"serving_default", "features", "serve_text"}
    answer = served["serve_text"](text=tf.constant([*WORDS, "Ünfug"]))
    np.testing.assert_allclose(answer["scores"][:-1], expected, atol=1e-5)
    assert answer["valid"].numpy().tolist() == [True] * 8 + [False]
    assert answer["error"][-1] == b"not a word of small letters"


def test_errors_speak_of_its_examples(model):
    with pytest.raises(InputError, match=r"letters: expected an array .* at least one word"):
        model.features(numbers()[:0])
    with pytest.raises(InputError, match=r"takes inputs of shape \(4,\), got \(3,\)"):
        tl.evaluate(model, (numbers()[:, :3], np.arange(8) % 2))
    with pytest.raises(InputError, match=r"needs images .* of one size"):
        tl.fine_tune(model, (numbers(), np.arange(8) % 2), objectives=[tl.objectives.SimCLR()])
