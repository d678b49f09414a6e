"""A `pixel_range` changes nothing but the unit: training in it equals training on 0–255."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.data.test_augmentation import LAYERS
from tests.objectives.views import begun, build, viewed
from tl_keras.data.augmentation.augment import augment, batch_seed, resolve_augmentation
from tl_keras.data.domains import as_domains
from tl_keras.export.tflite import _representative
from tl_keras.models.model_inputs import warn_of_doubtful_values
from tl_keras.objectives import (
    CrossReconstruction,
    Distillation,
    FixMatch,
    Reconstruction,
    SimCLR,
    Supervised,
)
from tl_keras.objectives.objective import Setup

DEEP = (-1000.0, 3095.0)
QUIET = {"batch_size": 8, "verbose": False}


def network(classes: int | None = None) -> keras.Model:
    """Return three layers on pixels of 0–255; with classes, a softmax on top."""
    keras.utils.set_random_seed(3)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="a")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="b")(x)
    if classes:
        x = keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(images, x, name="little")


def pictures(count: int = 16, seed: int = 0) -> np.ndarray:
    """Return photographs-to-be, float32 `(count, 16, 16, 3)` of 0–255."""
    random = np.random.default_rng(seed)
    base = random.uniform(30, 200, (count, 1, 1, 3))
    return (base + random.uniform(-30, 55, (count, 16, 16, 3))).astype(np.float32)


def deep(x: np.ndarray, pixel_range=DEEP) -> np.ndarray:
    """Return the same images in another unit."""
    low, high = pixel_range
    return (low + x.astype(np.float64) * (high - low) / 255).astype(np.float32)


def both(**options) -> list[tl.TransferModel]:
    """Return the same model twice, for 0–255 and for `DEEP`."""
    models = []
    for pixel_range in (None, DEEP):
        keras.utils.set_random_seed(5)
        models.append(tl.build_transfer_model(network(), 2, pixel_range=pixel_range, **options))
    return models


@pytest.mark.parametrize(
    "name",
    [
        *("RandomBrightness", "RandomContrast", "RandomColorJitter", "RandomHue", "RandomErasing"),
        *("RandomRotation", "RandAugment", "AugMix", "MixUp", "CutMix", "Pipeline"),
    ],
)
def test_augmentation_knows_no_unit(name):
    """Twice as bright in a range twice as wide: exact, as is a factor of two in floats."""
    layers = resolve_augmentation(LAYERS[name]())
    x, y = np.round(pictures(4)), np.eye(4, 3, dtype=np.float32)
    plain, labels = augment(layers, x, y, batch_seed(0, 0, 1))
    wide, same = augment(layers, 2 * x, y, batch_seed(0, 0, 1), (0.0, 510.0))
    np.testing.assert_array_equal(wide, 2 * plain)
    np.testing.assert_array_equal(same, labels)


def test_values_outside_are_cut_off_where_something_changes_them():
    seed, x = batch_seed(0, 0, 0), deep(pictures(2)) * 3
    np.testing.assert_array_equal(augment((), x, None, seed, DEEP)[0], x)
    layers = resolve_augmentation(keras.layers.RandomContrast(0.5))
    cut = augment(layers, np.clip(x, *DEEP), None, seed, DEEP)[0]
    np.testing.assert_array_equal(augment(layers, x, None, seed, DEEP)[0], cut)


STRONG = [keras.layers.RandomContrast(0.6), keras.layers.RandomBrightness(0.4)]


@pytest.mark.parametrize(
    "objective",
    [
        lambda: Reconstruction(filters=(8,)),
        lambda: CrossReconstruction(filters=(8,)),
        lambda: FixMatch(0.0, strong=STRONG),
        lambda: SimCLR(augmentation=STRONG),
    ],
    ids=["Reconstruction", "CrossReconstruction", "FixMatch", "SimCLR"],
)
def test_losses_on_images_and_views_know_no_unit(objective):
    found = []
    for pixel_range, unit in ((None, np.asarray), (DEEP, deep)):
        model = build(pixel_range=pixel_range)
        data = {"source": (unit(pictures(6)), [0, 1, 2, 0, 1, 2]), "target": unit(pictures(6, 1))}
        one = begun(objective(), model, data)
        found.append({k: float(v) for k, v in one.losses(viewed(model, data, one)).items()})
    assert found[1] == pytest.approx(found[0], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("views", [0, 2])
def test_training_in_either_unit_is_the_same(views, tmp_path):
    x, y = pictures(), np.arange(16) % 2
    losses = []
    for model, unit in zip(both(), (np.asarray, deep), strict=True):
        run = tl.fine_tune(
            model,
            (unit(x), y),
            schedule=tl.Stage(2, learning_rate=1e-3),
            augmentation=keras.layers.RandomBrightness(0.5),
            cache=tl.FeatureCache(views=views, folder=tmp_path),
            **QUIET,
        )
        losses.append(run.history["loss"])
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_layers_of_another_range_are_refused():
    layer = keras.layers.RandomBrightness(0.2, value_range=(0, 4095))
    with pytest.raises(tl.InputError, match="0–255 here, whatever pixel_range the model has"):
        tl.fine_tune(both()[1], (deep(pictures(4)), [0, 1, 0, 1]), augmentation=layer, **QUIET)


def test_an_autoencoder_paints_in_its_range():
    painted = []
    for pixel_range, unit in ((None, np.asarray), (DEEP, deep)):
        keras.utils.set_random_seed(1)
        pair = tl.build_autoencoder((16, 16, 3), filters=(8,), pixel_range=pixel_range)
        pair.objective.begin(Setup(pair.model, ("data",), (), seed=0))
        painted.append(pair.reconstruct(unit(pictures(4, 2))))
    np.testing.assert_allclose(painted[1], deep(painted[0]), rtol=1e-3, atol=2.0)
    assert tl.build_transfer_model(pair.model, 2).pixel_range == DEEP


def test_teachers_read_the_images_of_the_model():
    plain, other = both()
    data = (deep(pictures(8)), np.arange(8) % 2)
    stage = {"schedule": tl.Stage(1), **QUIET}
    with pytest.raises(tl.InputError, match=r"teachers: .* takes pixel_range=None, and the model"):
        tl.fine_tune(other, data, objectives=[Supervised(), Distillation(plain)], **stage)
    with pytest.warns(UserWarning, match=r"teachers: 'little' gets the images as they are, -1000"):
        Distillation(network(2)).begin(Setup(other, ("data",), ("data",), seed=0))
    with pytest.raises(tl.InputError, match="model_b: expected the pixel_range of model_a, None"):
        tl.two_way_transfer(plain, other, {"a": data, "b": data}, **stage)


@pytest.mark.parametrize("how", ["average", "stack", "features"])
def test_fused_models_have_the_range_of_their_members(how):
    x = pictures(4)
    answers = []
    for index, unit in enumerate((np.asarray, deep)):
        members = [both(name=name)[index] for name in ("first", "second")]
        keras.utils.set_random_seed(2)
        fused = tl.build_fusion_model(members, 2, how=how)
        assert fused.pixel_range == members[0].pixel_range
        answers.append(fused.predict(unit(x), verbose=0))
    np.testing.assert_allclose(*answers, atol=1e-5)
    with pytest.raises(tl.InputError, match="members: they take images of different ranges"):
        tl.build_fusion_model([both()[0], both(name="other")[1]], 2, how=how)


def said_of(model, x) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_doubtful_values(model, {"data": as_domains(x)})
    return [str(one.message) for one in caught]


def test_what_is_far_below_a_range_is_measured_from_its_darkest_value():
    black = np.full((2, 16, 16, 3), -1000, np.float32)
    assert said_of(both()[1], black) == []
    high = tl.build_transfer_model(network(), 2, pixel_range=(1000, 5000))
    (text,) = said_of(high, np.linspace(1000, 1400, 768).reshape(1, 16, 16, 3))
    assert "takes images of 1000–5000" in text
    assert said_of(high, np.linspace(1000, 4000, 768).reshape(1, 16, 16, 3)) == []


def test_calibration_sees_the_range_of_the_model(tmp_path):
    other = both()[1]
    x = deep(pictures(12))
    with pytest.warns(UserWarning, match="representative: the model takes images of -1000–3095"):
        _representative(other, x / 4095)
    path = tl.export.tflite(other, tmp_path / "a.tflite", quantize="int8", representative=x)
    runner = tf.lite.Interpreter(str(path)).get_signature_runner()
    scores = [runner(images=image[None])["scores"][0] for image in x]
    np.testing.assert_allclose(scores, other.predict(x, verbose=0), atol=0.05)
