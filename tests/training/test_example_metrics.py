import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.tasks.targets import TargetSpec
from tl_keras.training.step.example_metrics import per_example_metrics, predictions

Y = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 1, 0]], "float32")
OUTPUTS = np.array([[0.9, 0.2, 0.4], [0.1, 0.8, 0.7], [0.6, 0.9, 0.8], [0.7, 0.4, 0.6]], "float32")


def test_accuracy_of_several_labels_is_the_share_that_is_right():
    values = per_example_metrics(Y, OUTPUTS, TargetSpec("multi_label", 3))["accuracy"]
    np.testing.assert_allclose(values, [2 / 3, 2 / 3, 1.0, 0.0], atol=1e-6)


def test_accuracy_of_one_class_and_error_of_values():
    one_hot = np.eye(3, dtype="float32")[[0, 1, 0, 0]]
    values = per_example_metrics(one_hot, OUTPUTS, TargetSpec("classification", 3))["accuracy"]
    np.testing.assert_array_equal(values, [1, 1, 0, 1])
    errors = per_example_metrics(Y, OUTPUTS, TargetSpec("regression", 3))["mae"]
    np.testing.assert_allclose(errors, np.abs(Y - OUTPUTS).mean(axis=1), rtol=1e-6)


@pytest.mark.parametrize("activation", [None, "sigmoid"])
def test_the_log_counts_labels_by_their_probabilities_as_evaluate_does(activation):
    model = tl.build_transfer_model(
        tiny_network(), 3, head="multi_label", classifier_activation=activation
    )
    logits = model.head.stack[-1]
    logits.set_weights([np.zeros(logits.kernel.shape), np.array([0.3, 0.3, -0.3])])
    data = np.zeros((4, 16, 16, 3), np.uint8), np.tile([1, 1, 0], (4, 1))
    run = tl.fine_tune(
        model,
        data,
        data,
        schedule=tl.Stage(1, learning_rate=1e-9),
        cache=None,
        verbose=False,
    )
    assert run.history["accuracy"] == run.history["val_accuracy"] == [1.0]
    assert tl.evaluate(model, data, verbose=False)["exact_match"] == 1.0


def test_each_task_has_its_own_activation():
    model = tl.build_transfer_model(
        tiny_network(),
        {"tags": 2, "class": 2, "size": 1},
        head={"tags": "multi_label", "class": "linear", "size": "regression"},
        classifier_activation=None,
    )
    logits = {"tags": np.float32([[0.0, 1.0]]), "class": np.float32([[2.0, 2.0]])}
    found = predictions(model, {**logits, "size": np.float32([[3.0]])})
    np.testing.assert_allclose(found["tags"], [[0.5, 1 / (1 + np.exp(-1))]], rtol=1e-6)
    np.testing.assert_allclose(found["class"], [[0.5, 0.5]], rtol=1e-6)
    np.testing.assert_array_equal(found["size"], [[3.0]])
