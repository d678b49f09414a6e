"""Every objective trains a tiny network on the kind of data that it is made for.

Those for the same data train together, in one compiled step; what each changes by itself is looked
at in tests/combinations.
"""

import functools
import importlib.util
import random
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl

found = tl.objectives
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
    # Where Keras takes its seeds from; one set in TensorFlow would make it forget its kernels.
    random.seed(0)
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


def group_of(make, kind: str) -> tuple[str, str]:
    """Return which others one trains with: kind of data, and its name if it trains alone."""
    objective = make()
    alone = learns_from_labels(objective) or objective.domains_apart
    return kind, type(objective).__name__ if alone else ""


def is_missing(name: str) -> bool:
    return name in NEEDS and importlib.util.find_spec(NEEDS[name]) is None


@functools.cache
def trained(group: tuple[str, str]):
    """Train all objectives of a group, and return model, run, and objectives by name."""
    kind = group[0]
    own = [make() for make, data in ROWS if group_of(make, data) == group]
    own = {type(one).__name__: one for one in own if not is_missing(type(one).__name__)}
    labels = [] if any(map(learns_from_labels, own.values())) else [found.Supervised()]
    model = model_of(kind)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*changes nothing of the model")
        run = tl.fine_tune(
            model,
            data_of(kind),
            schedule=tl.Stage(
                1, unfreeze="all", batch_norm="update", optimizer="sgd", learning_rate=1e-2
            ),
            objectives=[*labels, *own.values()],
            batch_size=4,
            verbose=False,
        )
    return model, run, own


@functools.cache
def number_of_weights(kind: str) -> int:
    return len(model_of(kind).weights)


def largest_change(weights, others) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(weights, others, strict=True))


def test_every_objective_has_a_row():
    public = [getattr(found, name) for name in found.__all__]
    objectives = {
        one.__name__ for one in public if isinstance(one, type) and issubclass(one, found.Objective)
    }
    rows = [type(make()).__name__ for make, _ in ROWS]
    assert sorted([*rows, *NO_ROW]) == sorted(objectives)


@pytest.mark.parametrize(("make", "kind"), ROWS, ids=[type(make()).__name__ for make, _ in ROWS])
def test_objective_trains(make, kind):
    name = type(make()).__name__
    if is_missing(name):
        pytest.skip('pip install "tl_keras[transport]"')
    model, run, objectives = trained(group_of(make, kind))
    objective = objectives[name]
    for part, values in run.history.items():
        assert np.isfinite(values).all(), part
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    if not learns_from_labels(objective):
        acts_at_the_end = isinstance(objective, found.AdaBN)
        assert any(run.history[objective.name]) != acts_at_the_end
    assert len(model.weights) == number_of_weights(kind), (
        "an objective's own layers are no part of the model"
    )
    assert objective.config()["objective"] == name


def test_what_is_exported_predicts_as_the_model(tmp_path):
    model, _, objectives = trained(("adaptation", ""))
    assert {"DANN", "CDAN", "MCC"} <= set(objectives)
    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    x = images(3)
    scores = served(images=tf.constant(x, tf.float32))["scores"]
    np.testing.assert_allclose(scores, model.predict(x, verbose=0), atol=1e-5)
