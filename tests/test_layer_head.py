"""A layer of one's own as the head, as in many articles: flatten, dense, dropout, logits."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network

IMAGES = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3)).astype(np.uint8)
Y = np.arange(8) % 3


def own_head(units=3, **last):
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(units, **last),
        ]
    )


@pytest.fixture(scope="module")
def model():
    head = own_head()
    built = tl.build_transfer_model(tiny_network(), 3, head=head)
    tl.fine_tune(built, (IMAGES, Y), schedule=tl.Stage(2), batch_size=4, verbose=False)
    return built


def test_its_logits_are_closed_and_it_trains(model):
    head, features = model.head.layer, model.feature_map(IMAGES)
    logits = np.asarray(head(features))
    np.testing.assert_allclose(model.logits(IMAGES), logits, rtol=1e-4, atol=1e-5)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, rtol=1e-4)
    fresh = tl.build_transfer_model(tiny_network(), 3, head=own_head())
    fresh.head.layer.set_weights(head.get_weights())
    before = [np.array(one) for one in head.get_weights()]
    tl.fine_tune(fresh, (IMAGES, Y), schedule=tl.Stage(1), batch_size=4, verbose=False)
    assert all(
        np.abs(a - b).max() > 0 for a, b in zip(before, fresh.head.get_weights(), strict=True)
    )
    assert len(fresh.head.trainable_variables) == 4


def test_it_is_saved_and_evaluated(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(loaded.predict(IMAGES, verbose=0), expected, rtol=1e-5)
    report = tl.evaluate(loaded, (IMAGES, Y), verbose=False)
    assert report["accuracy"] == (expected.argmax(axis=1) == Y).mean()
    assert model.features(IMAGES).shape == (8, 8)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"num_classes": 3, "head": own_head(activation="softmax")}, "ends in softmax, expected"),
        ({"num_classes": 4, "head": own_head()}, r"expected \(batch, 4\), a logit for each output"),
        ({"head": own_head()}, "head: a layer of your own is the head of a single task"),
        (
            {"num_classes": {"a": 3}, "head": {"a": own_head()}},
            r"head\['a'\]: a layer of your own is the head of a single task",
        ),
    ],
)
def test_what_gives_no_logits_is_refused(arguments, text):
    with pytest.raises(tl.InputError, match=text):
        tl.build_transfer_model(tiny_network(), **arguments)


def test_a_layer_stands_alone():
    with pytest.raises(tl.InputError, match="dropout: a layer of your own takes the place of it"):
        tl.heads.HeadSpec(layer=own_head(), dropout=0.2)
    task = tl.tasks.MultiLabel()
    model = tl.build_transfer_model(
        tiny_network(), 2, head=tl.heads.HeadSpec(task=task, layer=own_head(2))
    )
    assert model.activation == "sigmoid" and model.targets.task == task


def test_padding_does_not_count_in_its_features():
    tokens = keras.Input((6,), dtype="int32")
    network = keras.Model(tokens, keras.layers.Embedding(9, 4, mask_zero=True)(tokens))
    head = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
    model = tl.build_transfer_model(network, 2, head=head)
    x = np.array([[1, 2, 0, 0, 0, 0], [3, 4, 5, 6, 7, 8]], np.int32)
    vectors = network.layers[-1].embeddings.numpy()
    expected = [vectors[[1, 2]].mean(axis=0), vectors[3:9].mean(axis=0)]
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-5)
