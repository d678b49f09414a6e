"""DANN: the discriminator's loss, and who is trained against whom."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import log_loss

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.domain_discriminator import domain_confusion, perceptron
from tl_keras.utils.errors import InputError


def test_the_loss_is_the_cross_entropy_with_half_the_weight_on_either_domain():
    source, target = domain(points(6, 8)), domain(points(3, 8))
    logits = points(6, 1, 1), points(3, 1, 2)
    loss, accuracy = domain_confusion(source, target, *logits)
    is_source = np.repeat([1, 0], [6, 3])
    sigmoid = 1 / (1 + np.exp(-np.concatenate(logits)[:, 0].astype(float)))
    weights = np.repeat([1 / 6, 1 / 3], [6, 3])
    expected = log_loss(is_source, sigmoid, sample_weight=weights)
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    expected = np.average((sigmoid > 0.5) == is_source, weights=weights)
    assert float(accuracy) == pytest.approx(expected)


def test_features_are_trained_against_the_discriminator():
    objective = tl.objectives.DANN(hidden_units=(5,), weight=lambda progress: 0.3)
    objective.begin(setup())
    source, target = points(4, 8), points(4, 8, 1)

    def gradients(progress):
        with tf.GradientTape() as tape:
            tape.watch([source, target])
            losses = objective.losses(batch(progress, source=domain(source), target=domain(target)))
            loss = objective.weight_at(progress) * losses["loss"]
        return tape.gradient(loss, [source, target, *objective.trainable_variables()])

    with tf.GradientTape() as tape:
        tape.watch([source, target])
        plain, _ = domain_confusion(
            domain(source),
            domain(target),
            objective.discriminator(source),
            objective.discriminator(target),
        )
    expected = tape.gradient(plain, [source, target, *objective.trainable_variables()])
    for index, (one, other) in enumerate(zip(gradients(0.5), expected, strict=True)):
        np.testing.assert_allclose(one, (-0.3 if index < 2 else 1.0) * other, rtol=1e-4, atol=1e-8)


def test_at_the_start_only_the_discriminator_learns():
    objective = tl.objectives.DANN(weight=1.0)
    objective.begin(setup())
    source, target = points(4, 8), points(4, 8, 1)
    with tf.GradientTape() as tape:
        tape.watch(source)
        loss = objective.losses(batch(0.0, source=domain(source), target=domain(target)))["loss"]
        loss = loss * objective.weight_at(tf.constant(0.0))
    of_features, *own = tape.gradient(loss, [source, *objective.trainable_variables()])
    assert not np.any(of_features) and all(np.any(one) for one in own)


def test_a_second_run_starts_anew_from_the_seed():
    objective = tl.objectives.DANN()
    objective.begin(setup())
    first = [v.numpy() for v in objective.variables()]
    objective.discriminator.layers[0].kernel.assign_add(tf.ones((8, 128)))
    objective.begin(setup())
    for before, after in zip(first, objective.variables(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_perceptron_without_hidden_layers_is_linear():
    network = perceptron(4, (), 2, seed=0, name="linear")
    x = points(3, 4)
    np.testing.assert_allclose(network(x), x @ network.layers[0].kernel, rtol=1e-5)


def test_bad_arguments():
    with pytest.raises(InputError, match=r"hidden_units: expected a list of widths, .*, got 128"):
        tl.objectives.DANN(128)
    with pytest.raises(InputError, match="hidden_units: expected a whole number ≥ 1, got 0"):
        tl.objectives.DANN((128, 0))
    with pytest.raises(InputError, match="weight: expected a number ≥ 0"):
        tl.objectives.DANN(weight=-1)
    with pytest.raises(InputError, match="DANN needs a target domain"):
        tl.objectives.DANN().begin(setup(("source",)))
