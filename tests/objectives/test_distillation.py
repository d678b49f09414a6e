"""Distillation against SciPy and Keras, and what teachers it takes."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.eager import batch, domain, points
from tests.objectives.passes import images, one_pass, setup_of
from tl_keras.objectives import Distillation
from tl_keras.objectives.distillation.distillation import common_opinion, softened_divergence
from tl_keras.objectives.distillation.teachers import logits_function
from tl_keras.schedules import apply_freezing
from tl_keras.utils.errors import InputError

TEACHER, OTHER, STUDENT = (points(5, 4, seed) * 3 for seed in range(3))


def transfer_model(seed=0, classes=3, **build):
    return tl.build_transfer_model(tiny_network(seed), classes, **build)


def keras_loss(temperature):
    """Return Keras' own; its default, the string, takes logits for probabilities (Keras 3.15)."""
    return keras.distillation.LogitsDistillation(temperature, loss=keras.losses.KLDivergence())


def taught(**domains):
    """Return a batch of domain → (student logits, logits of every teacher)."""
    made = {
        name: dataclasses.replace(
            domain(points(student.shape[0], 2), student),
            teacher_outputs={f"distillation/{i}": one for i, one in enumerate(teachers)},
        )
        for name, (student, *teachers) in domains.items()
    }
    return batch(**made)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_divergence_equals_scipys_and_keras(temperature):
    p, q = (softmax(one.numpy() / temperature, axis=1) for one in (TEACHER, STUDENT))
    found = softened_divergence(TEACHER, STUDENT, temperature)
    np.testing.assert_allclose(found, temperature**2 * entropy(p, q, axis=1), rtol=1e-4)
    theirs = keras_loss(temperature).compute_loss(TEACHER, STUDENT)
    assert float(tf.reduce_mean(found)) == pytest.approx(float(theirs), rel=1e-4)


def test_several_teachers_speak_with_the_mean_of_their_probabilities():
    found = common_opinion([TEACHER, OTHER], [1.0, 3.0], 2.0).numpy()
    p, q = (softmax(one.numpy() / 2, axis=1) for one in (TEACHER, OTHER))
    np.testing.assert_allclose(softmax(found / 2, axis=1), (p + 3 * q) / 4, rtol=1e-4)
    alone = common_opinion([TEACHER, OTHER], [1.0, 0.0], 2.0).numpy()
    np.testing.assert_allclose(softmax(alone, axis=1), softmax(TEACHER, axis=1), rtol=1e-4)


def test_the_loss_is_the_mean_over_all_examples_of_all_domains():
    objective = Distillation([transfer_model(), transfer_model(1)], 2.0, teacher_weights=[1, 3])
    one = taught(source=(STUDENT, TEACHER, OTHER), target=(OTHER[:2], TEACHER[:2], STUDENT[:2]))
    values = [
        softened_divergence(common_opinion(said, [1.0, 3.0], 2.0), student, 2.0)
        for student, said in (
            (STUDENT, [TEACHER, OTHER]),
            (OTHER[:2], [TEACHER[:2], STUDENT[:2]]),
        )
    ]
    found = objective.losses(one)
    assert float(found["loss"]) == pytest.approx(np.concatenate(values).mean(), rel=1e-5)
    assert 0.0 <= float(found["teacher_agreement"]) <= 1.0


def test_weights_of_teachers_may_be_an_array():
    teachers = [transfer_model(), transfer_model(1)]
    objective = Distillation(teachers, teacher_weights=np.array([0.5, 1.5]))
    assert objective.teacher_weights == [0.5, 1.5]
    assert Distillation(teachers).teacher_weights == [1.0, 1.0]


def test_a_loss_of_keras_in_place_of_the_formula():
    theirs = keras.distillation.LogitsDistillation(
        3.0, loss=keras.losses.CategoricalCrossentropy(from_logits=True)
    )
    objective = Distillation(transfer_model(), loss=theirs)
    one = taught(source=(STUDENT, TEACHER), target=(OTHER[:2], TEACHER[:2]))
    parts = [
        5 * float(theirs.compute_loss(TEACHER, STUDENT)),
        2 * float(theirs.compute_loss(TEACHER[:2], OTHER[:2])),
    ]
    assert float(objective.losses(one)["loss"]) == pytest.approx(sum(parts) / 7, rel=1e-5)
    default = Distillation(transfer_model(), loss=keras_loss(4.0))
    same = Distillation(transfer_model(), 4.0).losses(one)["loss"]
    assert float(default.losses(one)["loss"]) == pytest.approx(float(same), rel=1e-4)


def test_unsure_answers_are_left_out():
    sure = softmax(TEACHER.numpy(), axis=1).max(axis=1)
    limit = float(np.sort(sure)[2] - 1e-4)
    found = Distillation(transfer_model(), 2.0, confidence=limit).losses(
        taught(source=(STUDENT, TEACHER))
    )
    values = softened_divergence(TEACHER, STUDENT, 2.0).numpy()
    assert float(found["confident"]) == pytest.approx(3 / 5)
    assert float(found["loss"]) == pytest.approx(values[sure >= limit].sum() / 5, rel=1e-5)


def test_logits_of_teachers_of_any_kind():
    x = images(3)
    model = transfer_model()
    own = logits_function(model, "logits")(x)
    np.testing.assert_allclose(own, model.logits(x), atol=1e-5)
    plain = keras.Model(model.input, model.output)
    logs = logits_function(plain, "probabilities")(x)
    np.testing.assert_allclose(logs, log_softmax(model.logits(x), axis=1), atol=1e-4)
    np.testing.assert_allclose(logits_function(plain, "logits")(x), model.predict(x), atol=1e-5)


def test_teachers_that_run_in_the_step():
    teacher, student = transfer_model(1), transfer_model()
    apply_freezing(student, tl.Stage(1, unfreeze="all"))
    data = {"source": (images(4), [0, 1, 2, 0]), "target": images(3, 1)}
    objective = Distillation(teacher, 2.0)
    objective.begin(setup_of(student, data))
    one = one_pass(student, data, teachers=objective.teacher_functions())
    x = np.concatenate([images(4), images(3, 1)])
    values = softened_divergence(teacher.logits(x), student.logits(x), 2.0)
    found = float(objective.losses(one)["loss"])
    assert found == pytest.approx(float(tf.reduce_mean(values)), rel=1e-3)


def test_teachers_that_do_not_fit():
    data = {"data": images(2)}
    student = transfer_model(class_names=("a", "b", "c"))

    def begin(teacher, **arguments):
        Distillation(teacher, **arguments).begin(setup_of(student, data))

    begin(transfer_model())
    with pytest.raises(InputError, match=r"teachers: .* has the labels \['c', 'b', 'a'\]"):
        begin(transfer_model(class_names=("c", "b", "a")))
    with pytest.raises(
        InputError, match=r"gives \(4,\) per image, and the model that learns has 3"
    ):
        begin(transfer_model(classes=4))
    small = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    with pytest.raises(InputError, match=r"teachers: .* takes \[\(8, 8, 3\)\], and the model"):
        begin(small)
    with pytest.raises(InputError, match="needs a head with one class per example"):
        regression = transfer_model(head="regression")
        Distillation(transfer_model()).begin(setup_of(regression, data))


def test_bad_arguments():
    teacher = transfer_model()
    for text, teachers, arguments in (
        ("teachers: expected a Keras model that takes the same images", [], {}),
        ("teachers: expected a Keras model", "ResNet50", {}),
        ("temperature: expected a number > 0", teacher, {"temperature": 0}),
        ("teacher_weights: expected 1 numbers", teacher, {"teacher_weights": [1, 2]}),
        ("teacher_weights: expected 1 numbers, one per teacher", teacher, {"teacher_weights": [0]}),
        ("teacher_weights: expected 1 numbers", teacher, {"teacher_weights": []}),
        ("outputs: expected 'logits' or 'probabilities'", teacher, {"outputs": "softmax"}),
        ("confidence: expected a number", teacher, {"confidence": 1.0}),
        ("loss: expected a keras.distillation loss", teacher, {"loss": "mse"}),
    ):
        with pytest.raises(InputError, match=text):
            Distillation(teachers, **arguments)
