import keras
import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestCentroid

import tl_keras as tl
from tl_keras.evaluation import few_shot
from tl_keras.evaluation.few_shot import classify, episode_accuracies, mean_interval
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
Y = np.repeat(np.arange(8), 12)
CLUSTERS = RANDOM.normal(size=(96, 8)) * 0.01 + np.eye(8)[Y]
NOISE = RANDOM.normal(size=(96, 8))
TASK = {"ways": 4, "shots": 2, "episodes": 200, "queries": 5, "seed": 0}


@pytest.mark.parametrize("classifier", ["prototype", "cosine", "logistic"])
def test_clusters_are_told_apart_and_noise_is_not(classifier):
    task = {**TASK, "episodes": 30, "classifier": classifier}
    assert episode_accuracies(CLUSTERS, Y, **task).mean() == 1.0
    accuracy = episode_accuracies(NOISE, Y, **task)
    assert abs(accuracy.mean() - 0.25) < 4 * stats.sem(accuracy) + 0.02


def test_classifiers_are_those_of_scikit_learn():
    x, y, queries = NOISE[:20], np.arange(20) % 4, NOISE[20:60]
    centroid = NearestCentroid().fit(x, y).predict(queries)
    np.testing.assert_array_equal(classify(x, y, queries, "prototype"), centroid)
    scale = np.sqrt(np.mean(np.square(x)))
    logistic = LogisticRegression(max_iter=1000).fit(x / scale, y).predict(queries / scale)
    np.testing.assert_array_equal(classify(x, y, queries, "logistic"), logistic)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    means = np.stack([unit[y == label].mean(axis=0) for label in range(4)])
    angle = (queries @ means.T) / np.linalg.norm(means, axis=1)
    np.testing.assert_array_equal(classify(x, y, queries, "cosine"), angle.argmax(axis=1))


def test_the_interval_is_students():
    values = RANDOM.uniform(size=50)
    mean, interval = mean_interval(values, 0.9)
    expected = stats.t.interval(0.9, 49, loc=values.mean(), scale=stats.sem(values))
    assert mean == pytest.approx(values.mean()) and interval == pytest.approx(expected)


def test_the_interval_holds_the_mean_of_many_more_episodes():
    kwargs = {"classifier": "prototype"}
    truth = episode_accuracies(NOISE + np.eye(8)[Y], Y, **{**TASK, "seed": 1}, **kwargs).mean()
    few = episode_accuracies(NOISE + np.eye(8)[Y], Y, **{**TASK, "episodes": 40}, **kwargs)
    low, high = mean_interval(few, 0.99)[1]
    assert low < truth < high


def vector_model():
    network = keras.Sequential([keras.Input((8,)), keras.layers.Identity()])
    return tl.build_transfer_model(network)


def test_a_model_is_measured_on_classes_of_the_data(capsys):
    names = np.array([f"class {label}" for label in Y])
    report = few_shot(vector_model(), (CLUSTERS, names), 5, 1, 20)
    assert report.accuracy == 1.0 and len(report.accuracies) == 20
    assert "5 ways, 1 shot, 20 episodes" in capsys.readouterr().out
    coded = few_shot(vector_model(), (CLUSTERS, names.astype("S")), 5, 1, 20, verbose=False)
    np.testing.assert_array_equal(coded.accuracies, report.accuracies)
    again = few_shot(vector_model(), (NOISE, Y), 5, 1, 20, verbose=False)
    same = few_shot(vector_model(), (NOISE, np.eye(8)[Y]), 5, 1, 20, verbose=False)
    np.testing.assert_array_equal(again.accuracies, same.accuracies)
    assert again.interval[0] < again.accuracy < again.interval[1]


def test_bad_arguments_are_refused():
    model, data = vector_model(), (CLUSTERS, Y)
    for arguments, text in (
        ({"ways": 1}, "ways: expected a whole number ≥ 2"),
        ({"shots": 0}, "shots: expected a whole number ≥ 1"),
        ({"episodes": 1.5}, "episodes: expected a whole number ≥ 2"),
        ({"classifier": "svm"}, "classifier: expected one of"),
        ({"confidence": 95}, "confidence: expected a share"),
        ({"ways": 9}, "9 ways of 1 shot need 9 classes with at least 2 examples, got 8"),
        ({"shots": 12}, "need 5 classes with at least 13 examples, got 0"),
    ):
        with pytest.raises(InputError, match=text):
            few_shot(model, data, **arguments)
    with pytest.raises(InputError, match="data: its classes are not known"):
        few_shot(model, CLUSTERS)
    with pytest.raises(InputError, match="expected one made by build_transfer_model"):
        few_shot(keras.Sequential(), data)
