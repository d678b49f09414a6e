import keras
import numpy as np
import pytest
from scipy.special import expit, softmax

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import MeanTeacher
from tl_keras.objectives.self_training.mean_teacher import (
    average_momentum,
    averaged_weights,
    consistency,
)
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
LOGITS, TEACHER = RANDOM.normal(0, 2, (2, 5, 3)).astype("float32")
DATA = {"source": (images(3), [0, 1, 2]), "target": images(4, 1), "target_b": images(2, 2)}


@pytest.mark.parametrize(
    ("kind", "close"),
    [
        ("classification", lambda z: softmax(z, axis=1)),
        ("multi_label", expit),
        ("regression", lambda z: z),
    ],
)
def test_consistency_by_its_formula(kind, close):
    expected = np.square(close(LOGITS) - close(TEACHER)).sum(axis=1)
    got = consistency(LOGITS, TEACHER, TargetSpec(kind, 3))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_the_average_follows_fast_at_first():
    assert [float(average_momentum(n, 0.3)) for n in range(5)] == pytest.approx(
        [1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]
    )


def test_the_teacher_starts_from_the_model_and_follows_it():
    model = build()
    objective = begun(MeanTeacher(0.9), model, DATA)
    kernel = model.head.stack[-1].kernel
    position = [id(weight) for weight in averaged_weights(model)].index(id(kernel))
    start = kernel.numpy()
    np.testing.assert_array_equal(objective.memory()[position].numpy(), start)
    expected = start
    for step in range(3):
        kernel.assign(start + step)
        objective.after_update(model)
        momentum = (1 + step) / (10 + step)
        expected = momentum * expected + (1 - momentum) * (start + step)
        np.testing.assert_allclose(objective.memory()[position].numpy(), expected, rtol=1e-5)
    assert float(objective.memory()[-1].numpy()) == 3


def test_the_loss_is_the_distance_to_the_teacher_on_the_targets():
    model = build()
    objective = begun(MeanTeacher(), model, DATA)
    assert float(objective.losses(viewed(model, DATA, objective))["loss"]) < 1e-9
    before = np.concatenate([model.forward(DATA[n]).logits for n in ("target", "target_b")])
    kernel = model.head.stack[-1].kernel
    kernel.assign(kernel + RANDOM.normal(0, 1, kernel.shape).astype("float32"))
    after = np.concatenate([model.forward(DATA[n]).logits for n in ("target", "target_b")])
    expected = np.square(softmax(before, axis=1) - softmax(after, axis=1)).sum(axis=1).mean()
    loss = objective.losses(viewed(model, DATA, objective))["loss"]
    assert float(loss) == pytest.approx(expected, rel=1e-3)


def test_the_model_can_see_a_view_of_its_own():
    model = build()
    objective = begun(MeanTeacher(augmentation=keras.layers.RandomBrightness(0.5)), model, DATA)
    batch = viewed(model, DATA, objective)
    assert set(batch.views["mean_teacher"]) == {"target", "target_b"}
    assert float(objective.losses(batch)["loss"]) > 1e-7


def test_a_second_run_starts_anew():
    model = build()
    objective = begun(MeanTeacher(), model, DATA)
    first = objective.memory()
    objective.after_update(model)
    second = begun(objective, model, DATA).memory()
    assert not {id(one) for one in first} & {id(one) for one in second}
    assert float(second[-1].numpy()) == 0


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="momentum: expected a number ≥ 0 and < 1, got 1"):
        MeanTeacher(momentum=1)
    with pytest.raises(InputError, match="the model has no head"):
        begun(MeanTeacher(), tl.build_transfer_model(tiny_network()), DATA)


def test_a_saved_model_whose_weights_the_teacher_cannot_have_is_refused(tmp_path):
    tiny_network().export(tmp_path / "module", verbose=False)
    model = tl.build_transfer_model(tmp_path / "module", 3)
    with pytest.raises(InputError, match=r"MeanTeacher runs .* is a SavedModel, whose"):
        begun(MeanTeacher(), model, DATA)
