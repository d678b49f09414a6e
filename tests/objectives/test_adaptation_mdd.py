"""MDD: closed forms, and the directions of the gradients."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

import tl_keras as tl
from tests.objectives.eager import batch, domain, points, setup
from tl_keras.objectives.alignment.mdd import agreement_loss, disagreement_loss
from tl_keras.utils.errors import InputError


def test_closed_forms():
    logits, labels = points(6, 4) * 3, np.arange(6) % 4
    own = softmax(logits.numpy().astype(float), axis=1)[np.arange(6), labels]
    np.testing.assert_allclose(agreement_loss(logits, labels), -np.log(own), rtol=1e-5)
    np.testing.assert_allclose(disagreement_loss(logits, labels), -np.log(1 - own), rtol=1e-4)


def test_a_sure_answer_has_a_finite_loss_and_gradient():
    logits = tf.constant([[200.0, 0.0, -200.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = disagreement_loss(logits, [0])
    assert float(loss[0]) == pytest.approx(200.0)
    np.testing.assert_allclose(tape.gradient(loss, logits), [[1.0, -1.0, 0.0]], atol=1e-6)


def test_the_loss_reads_the_models_own_predictions():
    objective = tl.objectives.MDD(margin=2.0, hidden_units=(4,), weight=lambda _: 0.5)
    objective.begin(setup())
    sides = [(points(4, 8, i), points(4, 3, i + 5)) for i in (0, 1)]
    parts = []
    features = [side[0] for side in sides]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        losses = objective.losses(batch(source=domain(*sides[0]), target=domain(*sides[1])))
        for (f, logits), loss in zip(sides, (agreement_loss, disagreement_loss), strict=True):
            predicted = logits.numpy().argmax(axis=1)
            parts.append(tf.reduce_mean(loss(objective.classifier(f), predicted)))
        plain = 2.0 * parts[0] + parts[1]
    assert float(losses["loss"]) == pytest.approx(float(plain), rel=1e-5)
    assert float(losses["mdd_source"]) == pytest.approx(float(parts[0]), rel=1e-5)
    kernel = objective.classifier.layers[0].kernel.value
    for one, factor in [(f, -0.5) for f in features] + [(kernel, 1.0)]:
        found, expected = tape.gradient(losses["loss"], one), tape.gradient(plain, one)
        np.testing.assert_allclose(found, factor * expected, rtol=1e-4, atol=1e-8)


def test_the_reversal_ends_where_the_reference_ends():
    """Transfer-Learning-Library's `WarmStartGradientReverseLayer(lo=0, hi=0.1)`, margin 4."""
    objective = tl.objectives.MDD()
    objective.begin(setup())
    features, logits = points(4, 8), points(4, 3)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        side = domain(features, logits)
        loss = objective.losses(batch(source=side, target=side))["loss"]
        predicted = logits.numpy().argmax(axis=1)
        own = objective.classifier(features)
        plain = tf.reduce_mean(4.0 * agreement_loss(own, predicted))
        plain += tf.reduce_mean(disagreement_loss(own, predicted))
    found, plain = (tape.gradient(one, features).numpy() for one in (loss, plain))
    np.testing.assert_allclose(found, -0.1 * plain, rtol=1e-3, atol=1e-7)


def test_bad_arguments():
    with pytest.raises(InputError, match="margin: expected a number > 0, got 0"):
        tl.objectives.MDD(margin=0)
    with pytest.raises(InputError, match="MDD needs a head with one class per example"):
        tl.objectives.MDD().begin(setup(classes=2, head="regression"))
    with pytest.raises(InputError, match="MDD needs a target domain"):
        tl.objectives.MDD().begin(setup(("source",)))
