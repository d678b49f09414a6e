import keras
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.models.prototypes import class_means, nearest_mean_classifier, unit_rows
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(30, 6)) + np.repeat(np.eye(3, 6) * 2, 10, axis=0)
Y = np.repeat(np.arange(3), 10)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def test_the_linear_classifier_is_the_nearest_centroid():
    means = class_means(X, np.eye(3)[Y])
    peer = NearestCentroid().fit(X, Y)
    np.testing.assert_allclose(means, peer.centroids_)
    kernel, bias = nearest_mean_classifier(means, scale=0.5)
    queries = RANDOM.normal(size=(40, 6))
    distances = np.square(queries[:, None] - means).sum(axis=2)
    expected = softmax(-0.5 * distances, axis=1)
    np.testing.assert_allclose(softmax(queries @ kernel + bias, axis=1), expected, rtol=1e-9)
    assert (np.argmax(queries @ kernel + bias, axis=1) == peer.predict(queries)).all()


def test_prototypes_are_10_apart_on_average():
    means = class_means(X, np.eye(3)[Y])
    kernel, bias = nearest_mean_classifier(means)
    logits = means @ kernel + bias
    gaps = np.diag(logits)[:, None] - logits
    assert gaps[~np.eye(3, dtype=bool)].mean() == pytest.approx(10)


@pytest.mark.parametrize("head", ["linear", "cosine", "mlp"])
def test_the_head_of_a_model_is_set(head):
    model = tl.build_transfer_model(tiny_network(), 3, head=head)
    x, y = images(7), np.array([0, 1, 2, 2, 1, -1, -1])
    features = model.forward(x).features.numpy()[:5]
    means = tl.set_prototypes(model, (x, y), batch_size=3)
    logits = model.logits(images(4, 1))
    others = model.forward(images(4, 1)).features.numpy()
    if head == "cosine":
        expected = class_means(unit_rows(features), np.eye(3)[y[:5]])
        np.testing.assert_allclose(logits, 16 * cosine_similarity(others, expected), rtol=1e-3)
    else:
        expected = class_means(features, np.eye(3)[y[:5]])
        distances = np.square(others[:, None] - expected).sum(axis=2)
        assert (logits.argmax(axis=1) == distances.argmin(axis=1)).all()
    np.testing.assert_allclose(means, expected, rtol=1e-3, atol=1e-6)


def test_a_scale_of_ones_own():
    model = tl.build_transfer_model(tiny_network(), 3, head="cosine")
    tl.set_prototypes(model, (images(3), [0, 1, 2]), scale=5)
    assert float(model.head.stack[-1].scale) == 5


def test_what_has_no_prototypes_is_refused():
    model = tl.build_transfer_model(tiny_network(), class_names=["a", "b", "c"])
    with pytest.raises(InputError, match=r"there is none of the classes \['b'\]"):
        tl.set_prototypes(model, (images(2), ["a", "c"]))
    with pytest.raises(InputError, match="scale: expected a number > 0"):
        tl.set_prototypes(model, (images(3), ["a", "b", "c"]), scale=0)
    with pytest.raises(InputError, match="prototypes need a head with one class per example"):
        tl.set_prototypes(tl.build_transfer_model(tiny_network(), 3, head="multi_label"), images(2))
    with pytest.raises(InputError, match="expected one made by build_transfer_model"):
        tl.set_prototypes(keras.Sequential(), (images(2), [0, 1]))
