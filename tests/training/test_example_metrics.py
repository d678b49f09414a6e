import numpy as np

from tl_keras.targets import TargetSpec
from tl_keras.training.example_metrics import per_example_metrics

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
