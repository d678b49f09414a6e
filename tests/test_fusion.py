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


UNITS = [lambda y: 1e2 * y + 2e5, lambda y: 1e-8 * y, lambda y: 1e7 + y / 10]


def brightness(seed=0, count=120):
    random = np.random.default_rng(seed)
    level = random.uniform(40, 210, (count, 1, 1, 1))
    x = np.clip(random.normal(level, 60, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
    return x, x[..., 0].mean((1, 2))[:, None]


def r2(y, predicted):
    return float(np.min(1 - np.mean((y - predicted) ** 2, axis=0) / np.var(y, axis=0)))


def trained_members(x, y, rows=(slice(0, 40), slice(20, 60))):
    members = [member(seed, y.shape[1], head="regression") for seed in (1, 2)]
    for one, part in zip(members, rows, strict=True):
        tl.fine_tune(one, (x[part], y[part]), schedule=tl.Stage(3), verbose=False)
    return members


def scale_of(model):
    layer = model.target_scales[""]
    return np.stack([layer.mean.numpy(), layer.scale.numpy()])


def still(model, x, y):
    """Let a fusion see data without learning anything."""
    stage = tl.Stage(1, unfreeze="all", optimizer="sgd", learning_rate=1e-30, weight_decay=0)
    tl.fine_tune(model, (x, y), schedule=stage, verbose=False)


@pytest.mark.parametrize("unit", UNITS)
def test_an_average_of_regressions_learns_in_any_unit(unit, tmp_path):
    x, y = brightness()
    y = unit(y)
    members = trained_members(x, y)
    model = tl.build_fusion_model(members, how="average", member_weights=(3, 1))
    # The standard deviation of all training data of the members, each as often as it weighs.
    together = np.concatenate([y[:40]] * 3 + [y[20:60]])
    expected = [together.mean(axis=0), together.std(axis=0)]
    # The members' means are float32, in steps of 1 at 1e7.
    np.testing.assert_allclose(scale_of(model), expected, rtol=5e-3)
    first, second = (one.predict(x, verbose=0).astype(float) for one in members)
    before = model.predict(x, verbose=0)
    step = 1e-5 * y.std() + 2 * np.spacing(np.float32(np.abs(y).max()))
    np.testing.assert_allclose(before, 0.75 * first + 0.25 * second, atol=step, rtol=0)
    np.testing.assert_array_equal(reloaded(model, tmp_path).predict(x, verbose=0), before)
    run = tl.fine_tune(model, (x[:80], y[:80]), schedule=tl.Stage(4, unfreeze="all"), verbose=False)
    assert run.history["loss"][0] < 1  # A share of the variance.
    assert r2(y[80:], model.predict(x[80:], verbose=0)) > r2(y[80:], before[80:]) - 0.05


def test_files_of_averages_without_units_predict_what_they_did():
    x, _ = brightness(count=24)
    members = [member(seed, 1, head="regression") for seed in (1, 2)]
    model = tl.build_fusion_model(members, how="average")
    expected = np.mean([one.predict(x, verbose=0) for one in members], axis=0)
    model.backbone.load_own_variables({})
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)


def test_files_of_values_side_by_side_in_other_units_are_refused():
    members = [member(seed, 1, head="regression") for seed in (1, 2)]
    layer = tl.build_fusion_model(members, how="stack").backbone
    assert type(layer).from_config(layer.get_config()).shares is None
    config = layer.get_config()
    del config["side_by_side"]
    with pytest.raises(tl.InputError, match=r"standard units now\. Build the fusion again"):
        type(layer).from_config(config)
    classes = tl.build_fusion_model([member(1), member(2)], how="stack").backbone
    config = classes.get_config()
    del config["side_by_side"]
    assert type(classes).from_config(config).shares is None


def test_an_average_takes_the_units_that_members_have_not():
    x, y = brightness(count=40)
    y = np.concatenate([1e2 * y + 2e5, 1e-8 * y], axis=1)
    new = [member(seed, 2, head="regression") for seed in (1, 2)]
    mixed = [new[0], trained_members(x, y, (slice(0, 20), slice(20, 40)))[1]]
    for members in (mixed, [tl.build_fusion_model(mixed, how="average"), new[1]]):
        model = tl.build_fusion_model(members, how="average")
        assert not model.target_scales[""].is_known
        run = tl.fine_tune(model, (x, y), schedule=tl.Stage(3, unfreeze="all"), verbose=False)
        for one in (model, new[0]):
            np.testing.assert_allclose(scale_of(one), [y.mean(axis=0), y.std(axis=0)], rtol=1e-5)
        assert np.all(np.array(run.history["loss"]) < 30)
        expected = np.mean([one.predict(x, verbose=0) for one in members], axis=0)
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)


def test_an_average_of_members_that_keras_trained_predicts_what_it_did():
    x, y = brightness(count=24)
    members = [member(seed, 1, head="regression") for seed in (1, 2)]
    for one in members:
        one.compile("adam", "mse")
        one.fit(x, y, verbose=0)
    model = tl.build_fusion_model(members, how="average")
    before = model.predict(x, verbose=0)
    still(model, x, y)
    np.testing.assert_allclose(scale_of(model)[:, 0], [y.mean(), y.std()], rtol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, atol=1e-6 * y.std())


def test_a_new_head_on_an_average_has_units_of_its_own():
    x, y = brightness(count=40)
    average = tl.build_fusion_model(trained_members(x, y), how="average")
    model = tl.build_transfer_model(average, 1, head="regression")
    tl.fine_tune(model, (x, 1e6 * y), schedule=tl.Stage(2), verbose=False)
    np.testing.assert_allclose(scale_of(model)[:, 0], [1e6 * y.mean(), 1e6 * y.std()], rtol=1e-5)
    assert r2(1e6 * y, model.predict(x, verbose=0)) > 0.5


@pytest.mark.parametrize(
    ("unit", "head"),
    [(UNITS[1], None), (UNITS[2], None), (UNITS[0], tl.heads.regression(hidden_units=(16,)))],
)
def test_stacked_regressions_learn_in_any_unit(unit, head):
    x, y = brightness()
    y = np.concatenate([unit(y), 1e3 - 1e-3 * y], axis=1)  # Outputs of different units, too.
    members = trained_members(x, y)
    best = max(r2(y[80:], one.predict(x[80:], verbose=0)) for one in members)
    keras.utils.set_random_seed(0)
    model = tl.build_fusion_model(members, how="stack", head=head)
    expected = np.concatenate([one.logits(x) for one in members], axis=1)
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-4, atol=1e-5)
    stage = tl.Stage(5 if head is None else 60)
    tl.fine_tune(model, (x[40:80], y[40:80]), schedule=stage, verbose=False)
    assert r2(y[80:], model.predict(x[80:], verbose=0)) > best - 0.02


def test_the_head_of_a_stack_is_for_what_the_members_predict():
    members = [member(seed, 2, head="regression") for seed in (1, 2)]
    assert tl.build_fusion_model(members, how="stack").targets == members[0].targets
    with pytest.raises(InputError, match="head: expected one for regression, which the members"):
        tl.build_fusion_model(members, how="stack", head="linear")
    assert tl.build_fusion_model(members, 3, how="stack", head="linear").targets.size == 3


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
