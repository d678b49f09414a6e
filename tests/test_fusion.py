import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype(np.uint8)
Y = np.arange(6) % 3


def member(seed, classes=3, **arguments):
    return tl.build_transfer_model(tiny_network(seed), classes, **arguments)


def reloaded(model, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


def test_features_stand_side_by_side(tmp_path):
    parts = [tl.build_transfer_model(tiny_network(seed)) for seed in (1, 2)]
    model = tl.build_fusion_model([parts[0], parts[1].backbone], 3)
    features = model.features(IMAGES)
    assert features.shape == (6, 16)
    for index, part in enumerate(parts):
        alone = part.features(IMAGES)
        expected = alone / np.linalg.norm(alone, axis=1, keepdims=True)
        np.testing.assert_allclose(features[:, 8 * index : 8 * index + 8], expected, rtol=1e-4)
    copy = reloaded(model, tmp_path)
    np.testing.assert_allclose(copy.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    run = tl.fine_tune(
        model,
        (IMAGES, Y),
        schedule=(tl.Stage(1), tl.Stage(1, unfreeze="all")),
        batch_size=3,
        verbose=False,
    )
    assert [row.trainable > 0 for row in run.audits[0]] == [False, True]
    assert [row.batch_norm for row in run.audits[1]] == ["frozen", "–"]


@pytest.mark.parametrize("head", ["linear", "multi_label", "regression"])
def test_predictions_are_averaged(head, tmp_path):
    members = [member(1, head=head), member(2, head=head)]
    model = tl.build_fusion_model(members, how="average", member_weights=(3, 1))
    first, second = (one.predict(IMAGES, verbose=0) for one in members)
    predicted = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(predicted, 0.75 * first + 0.25 * second, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(reloaded(model, tmp_path).predict(IMAGES, verbose=0), predicted)
    assert model.targets == members[0].targets


def test_an_average_is_evaluated_and_exported(tmp_path):
    import tensorflow as tf

    model = tl.build_fusion_model([member(1), member(2)], how="average")
    assert len(tl.evaluate(model, (IMAGES, Y), verbose=False)) == 6
    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    scores = served(images=tf.constant(IMAGES, tf.float32))["scores"]
    np.testing.assert_allclose(scores, model.predict(IMAGES, verbose=0), atol=1e-5)


def test_predictions_are_stacked():
    members = [member(seed, class_names=["a", "b", "c"]) for seed in (1, 2)]
    model = tl.build_fusion_model(members, how="stack")
    assert model.class_names == ("a", "b", "c")
    expected = np.concatenate([one.predict(IMAGES, verbose=0) for one in members], axis=1)
    np.testing.assert_allclose(model.features(IMAGES), expected, rtol=1e-4, atol=1e-6)
    before = [one.get_weights() for one in members]
    tl.fine_tune(model, (IMAGES, Y), schedule=tl.Stage(2), batch_size=3, verbose=False)
    for one, weights in zip(members, before, strict=True):
        for own, old in zip(one.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(own, old)


def test_what_does_not_fit_together_is_refused():
    one, two = member(1), member(2)
    with pytest.raises(InputError, match="how: expected one of"):
        tl.build_fusion_model([one, two], how="sum")
    with pytest.raises(InputError, match="expected two different models or more, got 1"):
        tl.build_fusion_model([one], 3)
    with pytest.raises(InputError, match="got 2 with one of them twice"):
        tl.build_fusion_model([one, one], 3)
    with pytest.raises(InputError, match="member_weights: they belong to how='average'"):
        tl.build_fusion_model([one, two], 3, member_weights=[1, 1])
    with pytest.raises(InputError, match="member_weights: expected 2 numbers"):
        tl.build_fusion_model([one, two], how="average", member_weights=[1])
    with pytest.raises(InputError, match=r"members\[1\]: predicts TargetSpec"):
        tl.build_fusion_model([one, member(3, classes=4)], how="average")
    with pytest.raises(InputError, match=r"members\[1\]: expected a model from build_transfer"):
        tl.build_fusion_model([one, tiny_network(3)], how="stack")


RANGE = (0.0, 4095.0)
DEEP = np.random.default_rng(1).integers(0, 4096, (4, 16, 16, 3)).astype(np.float32)


def fused(*seeds, pixel_range=RANGE):
    members = [member(seed, pixel_range=pixel_range) for seed in seeds]
    return tl.build_fusion_model(members, 3)


def test_a_fused_backbone_scales_its_images_once():
    model = fused(1, 2)
    again = tl.build_transfer_model(model, 3, pixel_range=RANGE)
    np.testing.assert_array_equal(again.features(DEEP), model.features(DEEP))
    assert again.pixel_range == RANGE
    with pytest.raises(InputError, match=r"pixel_range: the networks fused .*\(0\.0, 4095\.0\)"):
        tl.build_transfer_model(model, 3, pixel_range=(0, 1000))
    eight_bits = fused(1, 2, pixel_range=None)
    deep = tl.build_transfer_model(eight_bits, 3, pixel_range=RANGE)
    expected = eight_bits.features(DEEP * np.float32(255 / 4095))
    np.testing.assert_allclose(deep.features(DEEP), expected, atol=1e-6)


def test_fusions_are_fused_with_models_of_their_range_only():
    inner = fused(1, 2)
    model = tl.build_fusion_model([inner, member(3, pixel_range=RANGE)], 3)
    assert model.pixel_range == RANGE
    expected = inner.features(DEEP) / np.linalg.norm(inner.features(DEEP), axis=1, keepdims=True)
    np.testing.assert_allclose(model.features(DEEP)[:, :16], expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match="members: they take images of different ranges"):
        tl.build_fusion_model([inner, member(4)], 3)
