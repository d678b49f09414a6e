"""Deep CORAL against NumPy's covariances."""

import numpy as np
import pytest

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.deep_coral import coral_distance, covariance
from tl_keras.utils.errors import InputError


def test_equals_the_difference_of_covariances():
    source, target = points(9, 4), points(6, 4, seed=1) * 2.0
    np.testing.assert_allclose(covariance(source), np.cov(source.numpy().T), rtol=1e-4)
    difference = np.cov(source.numpy().T) - np.cov(target.numpy().T)
    expected = np.linalg.norm(difference, "fro") ** 2 / (4 * 4**2)
    assert float(coral_distance(source, target)) == pytest.approx(expected, rel=1e-4)


def test_a_shift_changes_nothing_and_a_single_point_is_no_error():
    source, target = points(9, 4), points(6, 4, seed=1)
    moved = float(coral_distance(source, target + 5.0))
    assert moved == pytest.approx(float(coral_distance(source, target)), rel=1e-3)
    np.testing.assert_array_equal(covariance(source[:1]), np.zeros((4, 4)))


def test_a_single_example_of_a_side_pulls_nothing_together():
    objective = tl.objectives.DeepCORAL(["features"])
    objective.begin(setup())
    one, many = domain(points(1, 8), points(1, 3)), domain(points(5, 8), points(5, 3))
    assert float(objective.losses(batch(source=many, target=one))["loss"]) == 0.0
    assert float(objective.losses(batch(source=one, target=many))["loss"]) == 0.0
    assert float(objective.losses(batch(source=many, target=many))["loss"]) == 0.0
    assert float(coral_distance(many.features, one.features)) > 0.01


def test_layers_are_summed():
    objective = tl.objectives.DeepCORAL(["features", "logits"])
    objective.begin(setup())
    source, target = (domain(points(5, 8, i), points(5, 3, i)) for i in (0, 1))
    expected = coral_distance(source.features, target.features)
    expected += coral_distance(source.logits, target.logits)
    loss = objective.losses(batch(source=source, target=target))["loss"]
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_features_alone_are_compared_by_default():
    """What a classifier is sure of decides on covariances of logits: there are few of them."""
    objective = tl.objectives.DeepCORAL()
    objective.begin(setup())
    source, target = (domain(points(5, 8, i), 100 * points(5, 3, i)) for i in (0, 1))
    loss = objective.losses(batch(source=source, target=target))["loss"]
    expected = np.mean((np.cov(source.features.numpy().T) - np.cov(target.features.numpy().T)) ** 2)
    assert float(objective.weight_at(1.0) * loss) == pytest.approx(expected, rel=1e-3)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"layers: expected some of .*, got \(\)"):
        tl.objectives.DeepCORAL(())
    with pytest.raises(InputError, match="DeepCORAL needs a source domain"):
        tl.objectives.DeepCORAL().begin(setup(("target",)))
