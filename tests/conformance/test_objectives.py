"""Every objective trains a tiny network on the kind of data that it is made for."""

import functools
import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl

found = tl.objectives
NOISE = 1e-6
RELATIONSHIP = np.full((3, 5), 0.2)


def source_head() -> keras.layers.Layer:
    layer = keras.layers.Dense(5)
    layer.build((None, 4))
    return layer


ROWS = [
    (lambda: found.AdaBN(batch_size=4), "adaptation"),
    (lambda: found.AFN(), "adaptation"),
    (lambda: found.BSS(), "several domains"),
    (lambda: found.CDAN(hidden_units=(8,)), "adaptation"),
    (lambda: found.CoTuning(source_head(), RELATIONSHIP), "adaptation"),
    (lambda: found.CrossReconstruction(), "adaptation"),
    (lambda: found.DANN(hidden_units=(8,)), "adaptation"),
    (lambda: found.DeepCORAL(), "adaptation"),
    (lambda: found.DeepJDOT(), "adaptation"),
    (lambda: found.DELTA(), "partly labelled"),
    (lambda: found.Distillation(tl.build_transfer_model(network(), 3)), "adaptation"),
    (lambda: found.EntropyMinimization(diversity=0.5), "partly labelled"),
    (lambda: found.FeatureHints(network()), "adaptation"),
    (lambda: found.FixMatch(threshold=0.4), "partly labelled"),
    (lambda: found.JAN(), "adaptation"),
    (lambda: found.Joint(0.7), "partly labelled"),
    (lambda: found.L1SP(), "adaptation"),
    (lambda: found.L2SP({"conv": 2.0}), "adaptation"),
    (lambda: found.LwF(source_head()), "adaptation"),
    (lambda: found.MCC(), "adaptation"),
    (lambda: found.MCD(hidden_units=(8,)), "partly labelled"),
    (lambda: found.MDD(hidden_units=(8,)), "adaptation"),
    (lambda: found.MeanTeacher(), "partly labelled"),
    (lambda: found.MMD(), "several domains"),
    (lambda: found.MultiTask("uncertainty"), "several tasks"),
    (lambda: found.PseudoLabel(threshold=0.4), "partly labelled"),
    (lambda: found.Reconstruction(noise=0.1), "several domains"),
    (lambda: found.RotationPrediction(), "adaptation"),
    (lambda: found.SelfTraining(threshold=0.4), "partly labelled"),
    (lambda: found.SimCLR(hidden_units=(8,), size=4), "adaptation"),
    (lambda: found.VICReg(hidden_units=(8,), size=4), "adaptation"),
]
"""Factory of an objective, and the kind of data: see `data_of`. One row each, in order."""

NEEDS = {"DeepJDOT": "ot"}
NO_ROW = {
    "Objective": "is what the others are made of",
    "Supervised": "trains beside the others, and in tests/training alone",
}


def network() -> keras.Model:
    keras.utils.set_random_seed(0)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Rescaling(1 / 255)(images)
    x = keras.layers.Conv2D(4, 3, strides=2, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(images, keras.layers.ReLU(name="relu")(x), name="tiny")


def images(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (12, 8, 8, 3)).astype(np.uint8)


def data_of(kind: str):
    """Return 12 examples of each domain: three steps of four."""
    y = np.arange(12) % 3
    if kind == "adaptation":
        return {"source": (images(0), y), "target": images(1)}
    if kind == "several domains":
        return {"a": (images(0), y), "b": (images(2), y), "target_a": images(1)}
    if kind == "partly labelled":
        return {"source": (images(0), y), "target": (images(1), np.where(y < 2, y, -1))}
    if kind == "several tasks":
        return images(0), {"kind": np.where(y < 2, y, -1), "size": np.where(y < 2, y, np.nan)}
    raise ValueError(kind)


def model_of(kind: str) -> tl.TransferModel:
    """Return a model with three classes, or with two tasks."""
    if kind != "several tasks":
        return tl.build_transfer_model(network(), 3)
    heads = {"kind": "linear", "size": "regression"}
    return tl.build_transfer_model(network(), {"kind": 3, "size": 1}, head=heads)


def learns_from_labels(objective) -> bool:
    """Return whether an objective is `Supervised` or takes its place."""
    return isinstance(objective, (found.Joint, found.MultiTask, found.Supervised))


def trained(make, kind: str):
    objective = make()
    own = [] if learns_from_labels(objective) else [found.Supervised()]
    model = model_of(kind)
    run = tl.fine_tune(
        model,
        data_of(kind),
        # Steps in proportion to gradients: what has none changes nothing.
        schedule=tl.Stage(
            1, unfreeze="all", batch_norm="update", optimizer="sgd", learning_rate=1e-2
        ),
        objectives=[*own, objective],
        batch_size=4,
        verbose=False,
    )
    return model, run, objective


@functools.cache
def supervised_alone(kind: str) -> list[np.ndarray]:
    """Return the weights that training on labels alone ends with."""
    make = found.MultiTask if kind == "several tasks" else found.Supervised
    return trained_weights(trained(make, kind)[0])


def trained_weights(model) -> list[np.ndarray]:
    return [variable.numpy() for variable in model.trainable_variables]


def largest_change(weights, others) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(weights, others, strict=True))


def test_every_objective_has_a_row():
    public = [getattr(found, name) for name in found.__all__]
    objectives = {
        one.__name__ for one in public if isinstance(one, type) and issubclass(one, found.Objective)
    }
    rows = [type(make()).__name__ for make, _ in ROWS]
    assert sorted([*rows, *NO_ROW]) == sorted(objectives)


def test_what_has_no_weight_changes_nothing():
    model, _, _ = trained(lambda: found.MCC(weight=0.0), "adaptation")
    assert largest_change(trained_weights(model), supervised_alone("adaptation")) < NOISE


@pytest.mark.parametrize(("make", "kind"), ROWS, ids=[type(make()).__name__ for make, _ in ROWS])
def test_objective_trains(make, kind):
    needed = NEEDS.get(type(make()).__name__)
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip('pip install "tl_keras[transport]"')
    model, run, objective = trained(make, kind)
    for name, values in run.history.items():
        assert np.isfinite(values).all(), name
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert learns_from_labels(objective) or objective.name in run.history
    assert len(model.weights) == len(model_of(kind).weights), (
        "an objective's own layers are no part of the model"
    )
    assert objective.config()["objective"] == type(objective).__name__
    assert largest_change(trained_weights(model), supervised_alone(kind)) > NOISE


def test_what_is_exported_predicts_as_the_model(tmp_path):
    model, _, _ = trained(lambda: found.DANN(hidden_units=(8,)), "adaptation")
    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    x = images(3)
    scores = served(images=tf.constant(x, tf.float32))["scores"]
    np.testing.assert_allclose(scores, model.predict(x, verbose=0), atol=1e-5)
