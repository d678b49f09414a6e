import numpy as np
import pytest

from tl_keras.models.heads import CosineClassifier
from tl_keras.models.pooling import AttentionPooling, GeneralizedMeanPooling, GlobalPooling
from tl_keras.utils.errors import InputError

MAPS = np.random.default_rng(0).uniform(0.1, 2.0, (2, 3, 4, 5)).astype("float32")


def test_global_pooling_is_the_mean_or_maximum():
    np.testing.assert_allclose(GlobalPooling()(MAPS), MAPS.mean(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_allclose(GlobalPooling("max")(MAPS), MAPS.max(axis=(1, 2)), rtol=1e-6)
    np.testing.assert_array_equal(GlobalPooling()(MAPS[:, 0, 0]), MAPS[:, 0, 0])


@pytest.mark.parametrize("power", [1.0, 3.0, 7.5])
def test_gem_is_the_power_mean(power):
    expected = (MAPS**power).mean(axis=(1, 2)) ** (1 / power)
    np.testing.assert_allclose(GeneralizedMeanPooling(power)(MAPS), expected, rtol=1e-5)


def test_attention_pooling_is_a_convex_combination_by_its_formula():
    layer = AttentionPooling(hidden_units=6)
    pooled = layer(MAPS).numpy()
    x = MAPS.reshape(2, 12, 5)
    v, u = (x @ d.kernel.numpy() + d.bias.numpy() for d in (layer.value, layer.gate))
    scores = (np.tanh(v) / (1 + np.exp(-u))) @ layer.score.kernel.numpy()
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, (weights * x).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("layer", [GeneralizedMeanPooling(), AttentionPooling()])
def test_pooling_of_vectors_is_refused(layer):
    with pytest.raises(InputError, match="needs a feature map"):
        layer(MAPS[:, 0, 0])


def test_cosine_classifier_is_scaled_cosine_similarity():
    layer = CosineClassifier(3, scale=10.0)
    x = MAPS[:, 0, 0]
    logits = layer(x).numpy()
    w = layer.kernel.numpy()
    cosines = x @ w / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=0))
    np.testing.assert_allclose(logits, 10 * cosines, rtol=1e-4, atol=1e-5)
