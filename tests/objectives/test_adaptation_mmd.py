"""MMD against double sums in NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.spatial.distance import cdist

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.mmd import gaussian_kernels, squared_distances, squared_mmd
from tl_keras.utils.errors import InputError

WIDTHS = (0.5, 1.0, 3.0)


def kernels(x, widths=WIDTHS):
    distances = cdist(x, x, "sqeuclidean")
    return np.sum([np.exp(-distances / (w * distances.mean())) for w in widths], axis=0)


def reference_kernels(x):
    """Transfer-Learning-Library's: `exp(−d² / 2σ²)` with `σ² = α · mean d²`, α = 2ᵏ, summed."""
    distances = np.square(x[:, None] - x[None]).sum(axis=2)
    return sum(np.exp(-distances / (2 * 2.0**k * distances.mean())) for k in range(-3, 2))


@pytest.mark.parametrize("count", [2, 5, 6])
def test_squared_distances(count):
    x = points(count, 3).numpy()
    distances = squared_distances(tf.constant(x))
    np.testing.assert_allclose(distances, cdist(x, x, "sqeuclidean"), atol=1e-5)


@pytest.mark.parametrize(("seed", "scale"), [(0, 1.0), (1, 1e-2), (2, 30.0)])
def test_the_kernels_are_the_five_of_the_reference(seed, scale):
    x = scale * points(9, 4, seed)
    np.testing.assert_allclose(gaussian_kernels(x), reference_kernels(x.numpy()), rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_strength_is_that_of_the_reference(seed):
    """Its estimate has the off-diagonal means over n(n − 1); ours differ by (n − 1)/n there."""
    n = 32
    source, target = points(n, 6, seed), points(n, 6, seed + 10, shift=0.5)
    k = reference_kernels(np.concatenate([source, target]))
    within, across = (k[:n, :n].sum() + k[n:, n:].sum() - 2 * 5 * n), k[:n, n:].mean()
    reference = within / (n * (n - 1)) - 2 * across
    ours = float(squared_mmd(source, target))
    # What is added is the constant share of pairs of an example with itself.
    assert ours == pytest.approx(reference + (10 * n - within / (n - 1)) / n**2, rel=1e-3)
    assert reference > 0.05


def test_equals_the_double_sums():
    source, target = points(7, 4), points(5, 4, seed=1, shift=0.7)
    k = kernels(np.concatenate([source, target]))
    expected = k[:7, :7].mean() + k[7:, 7:].mean() - 2 * k[:7, 7:].mean()
    assert float(squared_mmd(source, target, WIDTHS)) == pytest.approx(expected, rel=1e-4)
    assert expected > 0.05


def test_far_from_the_origin_it_is_the_same():
    source, target = points(7, 4), points(5, 4, seed=1, shift=0.7)
    far = squared_mmd(source + 300.0, target + 300.0)
    assert float(far) == pytest.approx(float(squared_mmd(source, target)), rel=1e-3)


def test_equal_samples_and_single_points():
    x = points(6, 4)
    assert float(squared_mmd(x, x)) == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(gaussian_kernels(tf.ones((3, 2))), np.full((3, 3), 5.0))
    assert np.isfinite(float(squared_mmd(x[:1], x[1:2])))


def test_its_gradient_brings_the_target_nearer():
    source, target = points(20, 3), tf.Variable(points(20, 3, seed=1, shift=2.0))
    before = float(squared_mmd(source, target))
    for _ in range(20):
        with tf.GradientTape() as tape:
            loss = squared_mmd(source, target)
        target.assign_sub(10.0 * tape.gradient(loss, target))
    assert float(squared_mmd(source, target)) < 0.3 * before


def test_layers_are_summed_and_domains_pooled():
    objective = tl.objectives.MMD(("features", "logits", "probabilities"))
    objective.begin(setup())
    one, two = (domain(points(4, 8, i), points(4, 3, i)) for i in (0, 1))
    other = domain(points(6, 8, 2, 1.0), points(6, 3, 2, 1.0))
    loss = float(objective.losses(batch(source=one, other=two, target=other))["loss"])
    parts = 0.0
    for layer in ("features", "logits"):
        pooled = tf.concat([getattr(one, layer), getattr(two, layer)], axis=0)
        parts += float(squared_mmd(pooled, getattr(other, layer)))
    logits = tf.concat([one.logits, two.logits], axis=0)
    p, q = tf.nn.softmax(logits), tf.nn.softmax(other.logits)
    parts += float(squared_mmd(p, q, layer="probabilities"))
    assert loss == pytest.approx(parts, rel=1e-5)


def test_a_share_without_a_domain_counts_nothing():
    objective = tl.objectives.MMD()
    missing = domain(points(1, 8), points(1, 3), real=False)
    there = domain(points(4, 8), points(4, 3))
    assert float(objective.losses(batch(source=there, target=missing))["loss"]) == 0


def test_its_weight_ramps():
    objective = tl.objectives.MMD(weight=2.0)
    assert float(objective.weight_at(0.0)) == 0
    assert float(objective.weight_at(1.0)) == pytest.approx(2.0, rel=1e-3)
    assert objective.config()["layers"] == ["features", "logits"]


def test_bad_arguments():
    with pytest.raises(InputError, match=r"layers: expected some of .*'feature'. Did you mean"):
        tl.objectives.MMD(("feature",))
    with pytest.raises(InputError, match=r"widths: expected a number > 0, got 0"):
        tl.objectives.MMD(widths=(1.0, 0))
    with pytest.raises(InputError, match=r"widths: expected a list of numbers > 0, got \[\]"):
        tl.objectives.MMD(widths=[])
    with pytest.raises(InputError, match="MMD needs a target domain, got the domains"):
        tl.objectives.MMD().begin(setup(("source", "other")))
    with pytest.raises(InputError, match="MMD needs a source domain"):
        tl.objectives.MMD().begin(setup(("target",)))


def test_probabilities_need_a_classifier():
    objective = tl.objectives.MMD(("features", "probabilities"))
    with pytest.raises(InputError, match="MMD needs a head with one class per example"):
        objective.begin(setup(classes=2, head="regression"))
