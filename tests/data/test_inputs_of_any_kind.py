"""Features of any shape and type, several inputs, and padding go through everything."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.data.domains import as_domains
from tl_keras.data.examples import as_examples
from tl_keras.utils.errors import InputError

STAGES = (tl.Stage(2), tl.Stage(1, unfreeze="all"))


def token_network():
    """Return a small network of integers, padded with 0, with one vector a token."""
    keras.utils.set_random_seed(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    x = keras.layers.Embedding(50, 4, mask_zero=True)(tokens)
    return keras.Model(
        tokens, keras.layers.Dense(5, activation="relu")(x), name="tokens_to_vectors"
    )


def two_inputs():
    """Return a small network of an image and a row of numbers."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3), name="image")
    row = keras.Input((4,), name="row")
    seen = keras.layers.Rescaling(1 / 255)(image)
    seen = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(seen))
    joined = keras.layers.Concatenate()([seen, keras.layers.Dense(4)(row)])
    network = keras.layers.Dense(6, activation="relu")(joined)
    return keras.Model({"image": image, "row": row}, network, name="two_inputs")


def tokens(count=12):
    rng = np.random.default_rng(0)
    x = rng.integers(1, 50, (count, 6))
    x[np.arange(6) >= rng.integers(2, 6, (count, 1))] = 0
    return x, np.arange(count) % 2


def both(count=12):
    rng = np.random.default_rng(0)
    x = {
        "image": rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8),
        "row": rng.normal(size=(count, 4)).astype(np.float32),
    }
    return x, np.arange(count) % 2


def volume_network():
    inputs = keras.Input((4, 4, 4, 1), name="volume")
    return keras.Model(inputs, keras.layers.Conv3D(3, 2)(inputs), name="volumes")


def volumes(count=12):
    x = np.random.default_rng(0).normal(size=(count, 4, 4, 4, 1)).astype(np.float32)
    return x, np.arange(count) % 2


KINDS = {
    "tokens": (token_network, tokens),
    "two inputs": (two_inputs, both),
    "volumes": (volume_network, volumes),
}


@pytest.mark.parametrize("kind", KINDS)
def test_from_building_to_serving(kind, tmp_path):
    network, data = KINDS[kind]
    x, y = data()
    model = tl.build_transfer_model(network(), class_names=["no", "yes"])
    run = tl.fine_tune(
        model, (x, y), (x, y), schedule=STAGES, batch_size=6, output=tmp_path / "run", verbose=False
    )
    again = tl.fine_tune(
        model, (x, y), (x, y), schedule=STAGES, batch_size=6, output=tmp_path / "run", verbose=False
    )
    assert again.history == run.history
    predicted = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), predicted, rtol=1e-5)
    report = tl.evaluate(loaded, (x, y), verbose=False)
    assert report["accuracy"] == np.mean(predicted.argmax(axis=1) == y)
    rows = tl.predict(loaded, x, top=1).rows
    assert [one["label"] for one in rows] == [
        ["no", "yes"][number] for number in predicted.argmax(axis=1)
    ]
    tl.export.saved_model(model, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    assert set(served) == {"serving_default", "features"}
    wanted = model.modality.batch_spec
    wanted = wanted if isinstance(wanted, dict) else {"inputs": wanted}
    given = x if isinstance(x, dict) else {"inputs": x}
    answer = served["serving_default"](
        **{name: tf.cast(given[name], one.dtype) for name, one in wanted.items()}
    )
    np.testing.assert_allclose(answer["scores"], predicted, atol=1e-5)


def test_integers_stay_as_they_are():
    model = tl.build_transfer_model(token_network(), 2)
    large = 2**24 + 1  # float32 has no such number.
    x = np.full((3, 6), large)
    (batch,) = as_examples(x, wanted=model.modality.spec).batches(None, 3)
    assert batch.dtype == tf.int32 and int(batch[0, 0]) == large
    data = tf.data.Dataset.from_tensor_slices(x).batch(2)
    assert next(iter(as_examples(data, wanted=model.modality.spec).batches(None, 3)))[0, 0] == large
    with pytest.raises(InputError, match="takes integers"):
        tl.fine_tune(model, (np.full((3, 6), 1.5), [0, 1, 0]), schedule=STAGES)
    with pytest.raises(InputError, match="takes int32, got values in"):
        tl.fine_tune(model, (x + 2**40, [0, 1, 0]), schedule=STAGES)


def test_padding_does_not_count():
    network = token_network()
    x, _ = tokens()
    vectors = network(x).numpy()
    for pooling, expected in (
        ("linear", lambda rows: rows.mean(axis=0)),
        ("gem", lambda rows: np.mean(np.maximum(rows, 1e-6) ** 3, axis=0) ** (1 / 3)),
    ):
        model = tl.build_transfer_model(network, head=pooling)
        found = model.features(x)
        wanted = [expected(one[row != 0]) for one, row in zip(vectors, x, strict=True)]
        np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("batched", [True, False])
def test_whether_a_dataset_is_batched_is_read_off_the_model(batched):
    x, y = volumes()
    model = tl.build_transfer_model(volume_network(), 2)
    data = tf.data.Dataset.from_tensor_slices((x, y))
    data = data.batch(5) if batched else data
    domains = as_domains(data, "data", model.modality.spec)
    assert len(domains) == 12
    assert domains["data"].spec == model.modality.spec
    declared = as_examples(data, batched=batched)
    assert len(declared) == 12


def test_what_lacks_an_input_is_refused():
    x, y = both()
    model = tl.build_transfer_model(two_inputs(), 2)
    for wrong in ((x["row"], y), ({"row": x["row"]}, y)):
        with pytest.raises(InputError, match="the model takes inputs of shape"):
            tl.fine_tune(model, wrong, schedule=STAGES)
    with pytest.raises(InputError, match=r"a dict of arrays with the names \['image', 'row'\]"):
        model.features({"row": x["row"]})
    with pytest.raises(InputError, match="same number of examples"):
        tl.fine_tune(model, ({**x, "row": x["row"][:3]}, y), schedule=STAGES)


@pytest.mark.parametrize(
    ("shape", "kind"), [((8, 8, 3), tl.inputs.Images), ((5,), tl.inputs.Features)]
)
def test_models_of_before_have_a_shape_in_place_of_a_modality(shape, kind):
    inputs = keras.Input(shape)
    model = tl.build_transfer_model(
        keras.Model(inputs, keras.layers.Dense(3)(inputs)),
        2,
        preprocessing=tl.preprocessing.identity(),
    )
    config = model.get_config()
    del config["modality"]
    loaded = tl.TransferModel.from_config({**config, "image_shape": list(shape)})
    assert isinstance(loaded.modality, kind) and loaded.modality.shape == shape
    x = np.random.default_rng(0).uniform(size=(2, *shape)).astype(np.float32)
    loaded.set_weights(model.get_weights())
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    assert model.modality.described() == {"image_shape": shape}  # Runs of before go on.
