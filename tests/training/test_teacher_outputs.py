"""What teachers say: stored once, or computed in every step, with the same result."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.domains import as_domains
from tl_keras.data.rows import Epochs, Part
from tl_keras.frozen.taught_examples import Taught, TaughtExamples
from tl_keras.frozen.teacher_outputs import teachers_of
from tl_keras.objectives import Distillation, FeatureHints, Supervised
from tl_keras.utils.errors import InputError

STAGE = tl.Stage(2, unfreeze="all", learning_rate=0.05, optimizer="sgd", decay="constant")


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


X, Y = images(14), np.arange(14) % 3


class Counting(keras.layers.Layer):
    """Counts in a variable how many images go through, in NumPy code outside of any graph."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def call(self, x):
        def count(values):
            self.seen.append(len(values))
            return values

        y = tf.numpy_function(count, [x], x.dtype)
        return tf.ensure_shape(y, x.shape)

    def compute_output_shape(self, shape):
        return shape


@pytest.fixture(scope="module")
def teacher():
    return tl.build_transfer_model(tiny_network(1), 3)


def trained(teacher, data, **arguments):
    model = tl.build_transfer_model(tiny_network(), 3)
    arguments = {"schedule": STAGE, "batch_size": 4, "verbose": False, **arguments}
    run = tl.fine_tune(
        model, data, objectives=[Supervised(), Distillation(teacher, 2.0)], **arguments
    )
    return run.history, model.get_weights()


def test_stored_or_in_the_step_over_several_domains_and_devices(teacher, two_devices):
    data = {"source": (X, Y), "target": images(9, 1)}
    results = [
        trained(teacher, data),
        trained(teacher, data, cache=None),
        trained(teacher, data, strategy=two_devices),
        trained(
            teacher,
            data,
            cache=None,
            schedule=dataclasses.replace(STAGE, accumulation=2),
            strategy=two_devices,
        ),
    ]
    history, weights = results[0]
    assert min(history["distillation"]) > 0.0
    for other, again in results[1:]:
        np.testing.assert_allclose(other["distillation"], history["distillation"], rtol=1e-4)
        for one, two in zip(weights, again, strict=True):
            np.testing.assert_allclose(one, two, atol=5e-6)


def test_each_image_is_seen_once_and_frozen_layers_are_stored_as_well(teacher, capsys):
    counting = Counting()
    network = keras.Sequential([keras.Input((16, 16, 3)), counting, teacher])
    keras.Model.__call__(network, np.zeros((1, 16, 16, 3), np.float32))
    counting.seen.clear()
    model = tl.build_transfer_model(tiny_network(), 3)
    tl.fine_tune(
        model,
        (X, Y),
        schedule=tl.Stage(3),
        objectives=[Distillation(network)],
        batch_size=4,
        verbose=False,
    )
    assert sum(counting.seen) - sum(n for n in counting.seen if n == 1) == 14
    # TensorFlow traces with one image and folds with one more.
    assert sum(n == 1 for n in counting.seen) <= 2


def test_augmentation_and_datasets_let_teachers_run_in_the_step(teacher):
    flip, stage = keras.layers.RandomFlip("horizontal"), dataclasses.replace(STAGE, unfreeze=0)
    history, _ = trained(teacher, (X, Y), augmentation=flip, schedule=stage)
    assert np.isfinite(history["distillation"]).all()
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    history, _ = trained(teacher, dataset, schedule=stage)
    assert np.isfinite(history["distillation"]).all()


def test_hints_beside_distillation_with_a_frozen_backbone(teacher):
    model = tl.build_transfer_model(tiny_network(), 3)
    run = tl.fine_tune(
        model,
        (X, np.where(np.arange(14) < 7, Y, -1)),
        schedule=(tl.Stage(2), STAGE),
        objectives=[Supervised(), Distillation(teacher), FeatureHints(teacher)],
        batch_size=4,
        verbose=False,
    )
    assert run.history["feature_hints"][-1] < run.history["feature_hints"][2]


def test_examples_and_outputs_stay_together():
    examples = as_domains((X, Y))["data"]
    sums = as_domains(X.reshape(14, -1).astype(np.float32).sum(axis=1, keepdims=True))["data"]
    taught = TaughtExamples(examples, {"sum": sums})
    spec = tl.build_transfer_model(tiny_network(), 3).targets
    assert len(taught) == 14
    np.testing.assert_array_equal(taught.encoded_targets(spec), examples.encoded_targets(spec))
    for part in (Part(), Part(1, 2)):
        for x, y in taught.batches(spec, 4, epochs=Epochs(3, count=2), part=part):
            assert isinstance(x, Taught) and len(y) == len(x.x)
            whole = tf.reduce_sum(tf.cast(x.x, tf.float32), axis=(1, 2, 3))
            np.testing.assert_allclose(x.outputs["sum"][:, 0], whole, rtol=1e-5)
    assert isinstance(next(iter(taught.batches(None, 4))), Taught)


def test_names_of_teachers_differ(teacher):
    class Again(Distillation):
        @property
        def name(self):
            return "distillation"

    with pytest.raises(InputError, match="two teachers have the name 'distillation/0'"):
        teachers_of([Distillation(teacher), Again(teacher)])


def test_a_run_with_a_teacher_of_other_weights_is_another_run(teacher, tmp_path):
    arguments = {"schedule": tl.Stage(1), "output": tmp_path}
    trained(teacher, (X, Y), **arguments)
    trained(teacher, (X, Y), **arguments)
    other = tl.build_transfer_model(tiny_network(2), 3)
    with pytest.raises(InputError, match=r"objectives\[1\]\.teachers\[0\]: .* before"):
        trained(other, (X, Y), **arguments)
