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


SCHEDULE = (tl.Stage(25, learning_rate=1e-2), tl.Stage(5, unfreeze="all", learning_rate=3e-3))
ONE_OF_EACH_TASK = {tl.heads.resolve_head(head).task.name: head for head in reversed(NAMED_HEADS)}


@pytest.mark.parametrize("head", sorted(ONE_OF_EACH_TASK.values()))
def test_head_trains_and_saves(head, blobs, tmp_path):
    """One head of each task by itself; tests/export has them exported."""
    x, y = blobs
    labels = None if head == "regression" else LABELS
    model = tl.build_transfer_model(tiny_network(), 3, head=head, class_names=labels)
    y = labels_for(head, y)
    run = tl.fine_tune(model, (x, y), schedule=SCHEDULE, batch_size=15, verbose=False)
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


def test_several_tasks_with_every_other_head_train_save_and_export(blobs, tmp_path):
    """The heads that the test above leaves out, and tasks of each kind, on one backbone."""
    x, y = blobs
    targets = {"colour": y, "warm": (y == 0).astype("float32")[:, None], "number": y / 2.0}
    heads = {"colour": "mlp", "warm": "multi_label", "number": "regression"}
    others = sorted({*NAMED_HEADS} - {*ONE_OF_EACH_TASK.values(), "mlp"})
    assert others == ["attention", "cosine", "gem"]
    heads |= {head: head for head in others}
    targets |= dict.fromkeys(others, y)
    model = tl.build_transfer_model(
        tiny_network(),
        {"colour": 3, "warm": 1, "number": 1} | dict.fromkeys(others, 3),
        head=heads,
        class_names=dict.fromkeys(["colour", *others], LABELS),
    )
    run = tl.fine_tune(model, (x, targets), schedule=SCHEDULE, batch_size=15, verbose=False)
    history = run.history
    assert {f"{task}_loss" for task in targets} | {"colour_accuracy"} <= set(history)
    assert history["colour_accuracy"][-1] > 0.9
    total = sum(history[f"{task}_loss"][3] for task in targets)
    assert history["loss"][3] == pytest.approx(total, rel=1e-5)
    for task in ("colour", *others):
        assert history[f"{task}_loss"][-1] < 0.7 * history[f"{task}_loss"][0], task

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    again = loaded.predict(x, verbose=0)
    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    answer = served(images=tf.constant(x, tf.float32))
    for task, values in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(again[task], values)
        assert values.dtype == np.float32
        if task in others:
            np.testing.assert_allclose(values.sum(axis=1), 1.0, atol=1e-5)
        key = f"{task}_values" if task == "number" else f"{task}_scores"
        np.testing.assert_allclose(answer[key], values, atol=1e-5)
    unnamed = {"warm": None, "number": None}
    assert loaded.class_names == dict.fromkeys(["colour", *others], LABELS) | unnamed
    assert loaded.targets == model.targets


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
