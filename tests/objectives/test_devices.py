"""Objectives on two devices, with shares that lack a domain."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Setup
from tl_keras.utils.errors import InputError

STAGE = tl.Stage(1, unfreeze="all", learning_rate=0.01, optimizer="sgd", decay="constant")


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def trained(objectives, strategy, data):
    model = tl.build_transfer_model(tiny_network(), 3)
    run = tl.fine_tune(
        model,
        data,
        schedule=STAGE,
        objectives=objectives,
        strategy=strategy,
        batch_size=4,
        verbose=False,
    )
    return model.get_weights(), run.history


DATA = {
    "source": (images(9), np.arange(9) % 3),
    "source_b": (images(6, 3), np.arange(6) % 3),
    "target": images(9, 1),
}


def test_means_over_examples_are_the_same_on_two_devices(two_devices):
    """One objective of each kind; tests/combinations has a step of every one on two devices."""
    data = DATA | {"target": (images(9, 1), np.array([0, -1, 2, -1, -1, -1, 1, -1, -1]))}
    found, results = tl.objectives, []
    for strategy in ("one_device", two_devices):
        head = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
        head.build((None, 8))
        objectives = [
            found.Joint(0.3, {"source_b": 2.0}),
            found.CDAN(largest_map=20, random_units=16),
            found.MCD((8,)),
            found.L2SP(weight=0.1),
            found.LwF(head),
            found.MeanTeacher(0.5, weight=10.0),
        ]
        weights, history = trained(objectives, strategy, data)
        own = [v.numpy() for one in objectives for v in one.variables()]
        results.append((history, [*weights, *own]))
    (history, one), (again, two) = results
    for name in ("target_loss", "cdan", "mcd", "l2_sp", "lw_f", "mean_teacher"):
        assert again[name][0] == pytest.approx(history[name][0], rel=1e-3), name
        assert history[name][0] > 0, name
    assert again["target_loss"] == pytest.approx(history["target_loss"], rel=1e-4)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-6)


def test_updated_statistics_need_an_example_of_every_domain_on_every_device(two_devices):
    data = {"source": (images(9), np.arange(9) % 3), "target": images(5, 1)}
    with pytest.raises(InputError, match="the last batch of a domain has 1 example for 2"):
        tl.fine_tune(
            tl.build_transfer_model(tiny_network(), 3),
            data,
            schedule=tl.Stage(1, unfreeze="all", batch_norm="update"),
            strategy=two_devices,
            batch_size=4,
            verbose=False,
        )


def test_layers_of_different_objectives_have_different_names():
    found = tl.objectives
    model = tl.build_transfer_model(tiny_network(), 3)
    begin = Setup(model, ("source", "target"), ("source",), seed=1)
    paths = []
    for objective in (found.DANN(), found.CDAN(), found.MDD(), found.MCD()):
        objective.begin(begin)
        paths += [variable.path for variable in objective.trainable_variables()]
    assert len(set(paths)) == len(paths) > 20


def test_statistics_of_shares_are_finite_on_two_devices(two_devices):
    pytest.importorskip("ot")
    found = tl.objectives
    objectives = [found.MMD(), found.JAN(), found.DeepCORAL(), found.MCC(), found.DeepJDOT()]
    weights, history = trained([found.Supervised(), *objectives], two_devices, DATA)
    assert all(np.isfinite(one).all() for one in weights)
    assert all(history[one.name][0] > 0 for one in objectives)
