"""Default weights give the strengths of the reference implementations, rebuilt in NumPy.

TLlib is Transfer-Learning-Library. Those of MMD, JAN, CDAN, MDD, AFN and DELTA stand in their own
tests, those of L2SP and L1SP in `tests/training/test_pulls.py`.
"""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax

import tl_keras as tl
from tests.objectives.eager import batch, domain, points
from tl_keras.objectives.alignment.deep_coral import coral_distance
from tl_keras.objectives.distillation.distillation import softened_divergence
from tl_keras.objectives.self_training.mean_teacher import consistency
from tl_keras.tasks.targets import TargetSpec

found = tl.objectives
RANDOM = np.random.default_rng(0)
LOGITS, TEACHER = RANDOM.normal(0, 2, (2, 6, 10)).astype(np.float32)


def head():
    layer = keras.layers.Dense(10)
    layer.build((None, 8))
    return layer


def test_lwf():
    """TLlib: 4 · KL at T = 3, without T²."""
    objective = found.LwF(head())
    teacher, student = (log_softmax(one / 3.0, axis=1) for one in (TEACHER, LOGITS))
    reference = 4.0 * np.sum(np.exp(teacher) * (teacher - student), axis=1)
    ours = objective.weight * softened_divergence(TEACHER, LOGITS, objective.temperature)
    np.testing.assert_allclose(ours, reference, rtol=1e-4)


def test_deep_coral():
    """TLlib: the mean squared difference of the covariances, over n − 1."""
    source, target = RANDOM.normal(size=(2, 20, 6)).astype(np.float32)
    reference = np.mean((np.cov(source.T) - np.cov(target.T)) ** 2)
    ours = found.DeepCORAL().weight * coral_distance(source, target)
    assert float(ours) == pytest.approx(reference, rel=1e-4)


def test_mean_teacher():
    """The authors: 100 · mean over ten classes of the squared difference."""
    reference = 100 * np.mean((softmax(LOGITS, axis=1) - softmax(TEACHER, axis=1)) ** 2, axis=1)
    ours = found.MeanTeacher().weight * consistency(
        LOGITS, TEACHER, TargetSpec("classification", 10)
    )
    np.testing.assert_allclose(ours, reference, rtol=1e-4)


def test_co_tuning():
    """TLlib: 2.3 · cross-entropy."""
    assert found.CoTuning(head(), np.full((3, 10), 0.1)).weight == 2.3


@pytest.mark.parametrize(
    ("objective", "end"),
    [("SelfTraining", 1.0), ("PseudoLabel", 1.0), ("EntropyMinimization", 1.0)],
)
def test_own_predictions_gain_weight_in_a_straight_line(objective, end):
    """Lee 2013: from 0, in a line; TLlib and SHOT: to 1."""
    weights = [float(getattr(found, objective)().weight_at(p)) for p in (0.0, 0.25, 1.0)]
    assert weights == pytest.approx([0.0, 0.25 * end, end])


def test_where_predictions_collapse_minimising_the_entropy_costs_as_much_as_it_gains():
    """H − H(mean) is 0 both where all examples are called the same and where nothing is known."""
    objective = found.EntropyMinimization()
    losses = []
    for logits in (
        np.zeros((9, 3)),
        np.tile([50.0, 0.0, 0.0], (9, 1)),
        50 * np.eye(3)[[0, 1, 2] * 3],
    ):
        side = domain(points(9, 8), tf.constant(logits, tf.float32))
        losses.append(float(objective.losses(batch(target=side))["loss"]))
    assert losses == pytest.approx([0.0, 0.0, -np.log(3)], abs=1e-5)


@pytest.mark.parametrize(
    ("objective", "reference"),
    [
        ("EntropyMinimization", {"diversity": 1.0}),
        ("CDAN", {"weight": 1.0, "entropy": True}),
        ("MDD", {"weight": 0.1, "margin": 4.0}),
        ("MCC", {"weight": 1.0, "temperature": 2.5}),
        ("BSS", {"weight": 1e-3, "k": 1}),
        ("FixMatch", {"weight": 1.0, "threshold": 0.95}),
        ("DeepJDOT", {"weight": 1.0, "feature_cost": 1e-3, "label_cost": 1e-4}),
        ("VICReg", {"weight": 1.0, "invariance": 25.0, "variance": 25.0, "covariance": 1.0}),
    ],
)
def test_where_losses_are_the_same_weights_are(objective, reference):
    parameters = inspect.signature(getattr(found, objective)).parameters
    assert {name: parameters[name].default for name in reference} == reference


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in sorted(found.__all__)
        if inspect.isclass(getattr(found, name))
        and issubclass(getattr(found, name), found.Objective)
        and getattr(found, name).__doc__
        and "ramps" in vars(getattr(found, name))
        and name not in ("Objective", "AdversarialObjective")
    ]
    + ["CDAN", "DANN", "DELTA", "L1SP", "L2SP", "LwF", "MCD", "MDD", "BSS", "CoTuning", "FixMatch"],
)
def test_the_docstring_states_both_strengths(name):
    assert "Strength: " in getattr(found, name).__doc__
