"""Adaptation objectives on two devices, with shares that lack a domain."""

import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network

STAGE = tl.Stage(1, unfreeze="all", learning_rate=0.01, optimizer="sgd", decay="constant")


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def trained(objectives, strategy, data):
    model = tl.build_transfer_model(tiny_network(), 3)
    run = tl.fine_tune(
        model,
        data,
        schedule=STAGE,
        objectives=[tl.objectives.Supervised(), *objectives],
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
    def objectives():
        found = tl.objectives
        return [
            found.AFN(),
            found.CDAN(largest_map=20, random_units=16),
            found.DANN((8,)),
            found.MCD((8,)),
            found.MDD(hidden_units=(8,), weight=0.1),
            found.SelfTraining(0.4),
        ]

    (one, history), (two, again) = (
        trained(objectives(), strategy, DATA) for strategy in ("one_device", two_devices)
    )
    for name in ("dann", "cdan", "mcd", "mdd", "dann_accuracy", "self_training_share"):
        assert again[name][0] == pytest.approx(history[name][0], rel=1e-3), name
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=5e-6)


def test_statistics_of_shares_are_finite_on_two_devices(two_devices):
    pytest.importorskip("ot")
    found = tl.objectives
    objectives = [found.MMD(), found.JAN(), found.DeepCORAL(), found.MCC(), found.DeepJDOT()]
    weights, history = trained(objectives, two_devices, DATA)
    assert all(np.isfinite(one).all() for one in weights)
    assert all(history[one.name][0] > 0 for one in objectives)
