"""BSS against NumPy's singular values."""

import numpy as np
import pytest
import tensorflow as tf

from tests.objectives.eager import batch, domain, points
from tl_keras.objectives import BSS
from tl_keras.objectives.regularization.bss import smallest_singular_values
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize(("rows", "columns"), [(4, 7), (7, 4), (1, 5)])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_equals_numpys_singular_values(rows, columns, count):
    features = points(rows, columns)
    values = np.sort(np.linalg.svd(features.numpy(), compute_uv=False))[:count]
    found = float(smallest_singular_values(features, count))
    assert found == pytest.approx((values**2).sum(), rel=1e-4)


def test_gradient_by_differences_also_where_the_batch_has_any_size():
    features = points(3, 5).numpy()

    @tf.function(input_signature=[tf.TensorSpec([None, 5])])
    def gradient(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            loss = smallest_singular_values(values, 2)
        return tape.gradient(loss, values)

    def numeric(i, j, h=1e-3):
        up, down = features.astype(float), features.astype(float)
        up[i, j] += h
        down[i, j] -= h
        parts = [(np.linalg.svd(m, compute_uv=False)[1:] ** 2).sum() for m in (up, down)]
        return (parts[0] - parts[1]) / (2 * h)

    expected = [[numeric(i, j) for j in range(5)] for i in range(3)]
    np.testing.assert_allclose(gradient(features), expected, atol=1e-3)


def test_features_of_all_domains_together():
    a, b = points(3, 6), points(2, 6, 1)
    values = np.linalg.svd(np.concatenate([a, b]), compute_uv=False)
    objective = BSS(k=2)
    objective.begin(None)
    loss = objective.losses(batch(source=domain(a, points(3, 2)), target=domain(b, points(2, 2))))[
        "loss"
    ]
    assert float(loss) == pytest.approx((values[-2:] ** 2).sum(), rel=1e-4)


def test_the_length_of_a_single_example_is_left_alone():
    objective = BSS()
    assert float(objective.losses(batch(data=domain(points(1, 6), points(1, 2))))["loss"]) == 0.0
    assert float(objective.losses(batch(data=domain(points(2, 6), points(2, 2))))["loss"]) > 0.01


def loss_and_gradient(real, absent):
    """Return the loss of a batch with a share that has no example, and its gradient."""
    objective = BSS()

    @tf.function(autograph=False)
    def step(values):
        with tf.GradientTape() as tape:
            tape.watch(values)
            domains = {
                "source": domain(values, points(values.shape[0], 2)),
                "target": domain(absent, points(absent.shape[0], 2), real=False),
            }
            loss = objective.losses(batch(**domains))["loss"]
        return loss, tape.gradient(loss, values)

    return [one.numpy() for one in step(real)]


def test_an_example_that_stands_in_for_none_is_no_row():
    features, absent = points(4, 9), points(1, 9, 1)
    u, values, v = np.linalg.svd(features.numpy(), full_matrices=False)
    loss, gradient = loss_and_gradient(features, absent)
    share = 4 / 5  # Another replica has the one example that is not here.
    assert loss == pytest.approx(share * values[-1] ** 2, rel=1e-4)
    # dσ/dF = u vᵀ, so that dσ²/dF = 2σ u vᵀ.
    expected = share * 2 * values[-1] * np.outer(u[:, -1], v[-1])
    np.testing.assert_allclose(gradient, expected, atol=1e-4)


def test_fewer_than_two_examples_count_nothing_and_have_a_gradient_of_zeros():
    loss, gradient = loss_and_gradient(points(1, 6), points(1, 6, 1))
    assert loss == 0.0 and np.array_equal(gradient, np.zeros((1, 6)))
    none = domain(points(1, 6), points(1, 2), real=False)
    assert float(BSS().losses(batch(source=none, target=none))["loss"]) == 0.0


def test_bad_arguments():
    with pytest.raises(InputError, match="k: expected a whole number ≥ 1, got 0"):
        BSS(0)
    with pytest.raises(InputError, match="weight: expected a number ≥ 0"):
        BSS(weight=-1)
