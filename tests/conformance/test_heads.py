"""Every head goes through one list of checks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.models.heads import NAMED_HEADS

LABELS = ("red", "green", "blue")


def labels_for(head: str, y: np.ndarray):
    if head == "multi_label":
        return np.eye(3, dtype="float32")[y]
    return np.eye(3, dtype="float32")[y] * 2 - 0.5 if head == "regression" else y


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"hidden_units": 256}, r"hidden_units: expected a list of widths, .*, got 256"),
        ({"hidden_units": (0,)}, "hidden_units: expected a whole number ≥ 1, got 0"),
        ({"hidden_units": (2.5,)}, "hidden_units: expected a whole number ≥ 1, got 2.5"),
        ({"dropout": 1.0}, "dropout: expected a number ≥ 0 and < 1, got 1.0"),
        ({"dropout": "a"}, "dropout: expected a number"),
        ({"pooling": "median"}, "pooling: expected one of"),
    ],
)
def test_what_a_spec_cannot_hold_is_refused(arguments, text):
    with pytest.raises(tl.InputError, match=text):
        tl.heads.mlp(**arguments)


@pytest.mark.parametrize("head", sorted(NAMED_HEADS))
def test_head_trains_saves_and_exports(head, blobs, tmp_path):
    x, y = blobs
    labels = None if head == "regression" else LABELS
    model = tl.build_transfer_model(tiny_network(), 3, head=head, class_names=labels)
    y = labels_for(head, y)
    schedule = (
        tl.Stage(25, learning_rate=1e-2),
        tl.Stage(5, unfreeze="all", learning_rate=3e-3),
    )
    run = tl.fine_tune(model, (x, y), schedule=schedule, batch_size=15, verbose=False)
    # A regression starts from the best head; its loss is a share of the variance.
    most = 0.05 if head == "regression" else 0.7 * run.history["loss"][0]
    assert run.history["loss"][-1] < most
    outputs = model.predict(x, verbose=0)
    assert outputs.shape == (45, 3) and outputs.dtype == np.float32
    if head not in ("regression", "multi_label"):
        np.testing.assert_allclose(outputs.sum(axis=1), 1.0, atol=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), outputs)
    assert loaded.class_names == model.class_names and loaded.targets == model.targets

    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    answer = served(images=tf.constant(x, tf.float32))
    key = "values" if head == "regression" else "scores"
    np.testing.assert_allclose(answer[key], outputs, atol=1e-5)


def test_several_tasks_train_save_and_report(blobs, tmp_path):
    x, y = blobs
    targets = {"colour": y, "warm": (y == 0).astype("float32")[:, None], "number": y / 2.0}
    model = tl.build_transfer_model(
        tiny_network(),
        {"colour": 3, "warm": 1, "number": 1},
        head={"colour": "mlp", "warm": "multi_label", "number": "regression"},
        class_names={"colour": LABELS},
    )
    stages = tl.Stage(30, learning_rate=1e-2)
    run = tl.fine_tune(model, (x, targets), schedule=stages, batch_size=15, verbose=False)
    assert {"colour_loss", "warm_loss", "number_loss", "colour_accuracy"} <= set(run.history)
    assert run.history["colour_accuracy"][-1] > 0.9
    total = sum(run.history[f"{task}_loss"][3] for task in targets)
    assert run.history["loss"][3] == pytest.approx(total, rel=1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for task, values in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(loaded.predict(x, verbose=0)[task], values)
    assert loaded.class_names == {"colour": LABELS, "warm": None, "number": None}


def test_the_head_is_float32_under_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tl.build_transfer_model(tiny_network(), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    x = np.zeros((2, 16, 16, 3), np.uint8)
    assert model.backbone(model.preprocessing(x)).dtype == "float16"
    assert model.forward(x).logits.dtype == tf.float32
    assert model(x).dtype == tf.float32
