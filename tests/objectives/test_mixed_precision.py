"""Under a global policy of half precision, the views that objectives make keep their pixels."""

import keras
import numpy as np
import pytest

from tests.objectives.views import begun, build, images, viewed
from tl_keras.data.augmentation.augment import augment, batch_seed
from tl_keras.objectives import FixMatch, Reconstruction, RotationPrediction, SimCLR, VICReg
from tl_keras.objectives.augmented_views import contrastive_layers, strong_layers
from tl_keras.objectives.self_supervised.reconstruction import PixelNoise
from tl_keras.objectives.self_supervised.rotation_prediction import QuarterTurns

DATA = {"source": (images(3), [0, 1, 2]), "target": images(4, 1)}


@pytest.fixture
def half_precision():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


@pytest.mark.parametrize(
    "make",
    [SimCLR, VICReg, FixMatch, RotationPrediction, lambda: Reconstruction((8,), noise=0.2)],
    ids=["SimCLR", "VICReg", "FixMatch", "RotationPrediction", "Reconstruction"],
)
def test_objectives_take_their_own_views(half_precision, make):
    model = build()
    assert model.backbone.layers[-1].compute_dtype == "float16"
    objective = begun(make(), model, DATA)
    batch = viewed(model, DATA, objective)
    assert all(one.x.dtype == "float32" for view in batch.views.values() for one in view.values())
    assert np.isfinite(objective.losses(batch)["loss"])


def pictures(make):
    return [augment((layer,), images(4), None, batch_seed(0, 0, 0))[0].numpy() for layer in make()]


@pytest.mark.parametrize(
    "make",
    [
        lambda: contrastive_layers(3),
        lambda: contrastive_layers(1)[3:],
        lambda: strong_layers(3),
        lambda: (PixelNoise(0.2), QuarterTurns(1)),
    ],
    ids=["contrastive", "contrastive grey", "strong", "own layers"],
)
def test_views_are_those_of_full_precision(make, request):
    full = pictures(make)
    request.getfixturevalue("half_precision")
    for one, other in zip(pictures(make), full, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("layer", [PixelNoise(0.2), QuarterTurns(3, dtype="float16")])
def test_the_type_is_kept_when_a_layer_is_saved(half_precision, layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.compute_dtype == layer.compute_dtype and again.get_config() == layer.get_config()
