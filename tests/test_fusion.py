import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype(np.uint8)
Y = np.arange(6) % 3


def member(seed, classes=3, **arguments):
    return tl.build_transfer_model(tiny_network(seed), classes, **arguments)


def predicted(model, x):
    """Return predictions without a graph: to trace one takes longer than to run the model."""
    return np.asarray(model(x.astype(np.float32)))


def reloaded(model, path):
    model.save(path / "model.keras")
    return keras.saving.load_model(path / "model.keras")


def test_features_stand_side_by_side(tmp_path):
    parts = [tl.build_transfer_model(tiny_network(seed)) for seed in (1, 2)]
    model = tl.build_fusion_model([parts[0], parts[1].backbone], 3)
    features = model.features(IMAGES)
    assert features.shape == (6, 16)
    for index, part in enumerate(parts):
        alone = np.asarray(part.features(tf.constant(IMAGES)))
        expected = alone / np.linalg.norm(alone, axis=1, keepdims=True)
        np.testing.assert_allclose(features[:, 8 * index : 8 * index + 8], expected, rtol=1e-4)
    copy = reloaded(model, tmp_path)
    np.testing.assert_allclose(predicted(copy, IMAGES), predicted(model, IMAGES))
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
    first, second = (predicted(one, IMAGES) for one in members)
    found = predicted(model, IMAGES)
    np.testing.assert_allclose(found, 0.75 * first + 0.25 * second, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(predicted(reloaded(model, tmp_path), IMAGES), found)
    assert model.targets == members[0].targets


def test_an_average_is_evaluated_and_exported(tmp_path):
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
    expected = np.concatenate([predicted(one, IMAGES) for one in members], axis=1)
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


UNITS = [
    lambda y: 1e2 * y + 2e5,
    lambda y: 1e-8 * y,
    lambda y: 1e7 + y / 10,
    lambda y: 1e3 - 1e-3 * y,
]


def brightness(seed=0, count=120):
    random = np.random.default_rng(seed)
    level = random.uniform(40, 210, (count, 1, 1, 1))
    x = np.clip(random.normal(level, 60, (count, 16, 16, 3)), 0, 255).astype(np.uint8)
    return x, x[..., 0].mean((1, 2))[:, None]


def r2(y, found):
    """Return the share of the variance that is explained, of each output."""
    return 1 - np.mean((y - found) ** 2, axis=0) / np.var(y, axis=0)


def trained_member(seed, x, y):
    one = member(seed, y.shape[1], head="regression")
    tl.fine_tune(one, (x, y), schedule=tl.Stage(3), verbose=False)
    return one


@pytest.fixture(scope="module")
def trained():
    """Images, their brightness in every unit, members that know it, and the members' weights."""
    x, y = brightness()
    y = np.concatenate([unit(y) for unit in UNITS], axis=1)
    members = [trained_member(1, x[:40], y[:40]), trained_member(2, x[20:60], y[20:60])]
    return x, y, members, [one.get_weights() for one in members]


@pytest.fixture
def in_units(trained):
    """Images, their brightness in every unit, and members as they were after their training."""
    x, y, members, weights = trained
    for one, own in zip(members, weights, strict=True):
        one.set_weights(own)
    return x, y, members


def scale_of(model):
    layer = model.target_scales[""]
    return np.stack([layer.mean.numpy(), layer.scale.numpy()])


def still(model, x, y):
    """Let a fusion see data without learning anything."""
    stage = tl.Stage(1, unfreeze="all", optimizer="sgd", learning_rate=1e-30, weight_decay=0)
    tl.fine_tune(model, (x, y), schedule=stage, verbose=False)


def test_an_average_of_regressions_learns_in_any_unit(in_units, tmp_path):
    x, y, members = in_units
    model = tl.build_fusion_model(members, how="average", member_weights=(3, 1))
    # The standard deviation of all training data of the members, each as often as it weighs.
    together = np.concatenate([y[:40]] * 3 + [y[20:60]])
    expected = [together.mean(axis=0), together.std(axis=0)]
    # The members' means are float32, in steps of 1 at 1e7.
    np.testing.assert_allclose(scale_of(model), expected, rtol=5e-3)
    first, second = (predicted(one, x).astype(float) for one in members)
    before = predicted(model, x)
    step = 1e-5 * y.std(axis=0) + 2 * np.spacing(np.abs(y).max(axis=0).astype(np.float32))
    assert np.all(np.abs(before - (0.75 * first + 0.25 * second)) < step)
    np.testing.assert_array_equal(predicted(reloaded(model, tmp_path), x), before)
    run = tl.fine_tune(model, (x[:80], y[:80]), schedule=tl.Stage(4, unfreeze="all"), verbose=False)
    assert run.history["loss"][0] < 1 / len(UNITS)  # A share of the variance, below 1 in each.
    assert np.all(r2(y[80:], predicted(model, x[80:])) > r2(y[80:], before[80:]) - 0.05)


def test_files_of_averages_without_units_predict_what_they_did():
    x, _ = brightness(count=24)
    members = [member(seed, 1, head="regression") for seed in (1, 2)]
    model = tl.build_fusion_model(members, how="average")
    expected = np.mean([predicted(one, x) for one in members], axis=0)
    model.backbone.load_own_variables({})
    np.testing.assert_allclose(predicted(model, x), expected, rtol=1e-5)


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
    mixed = [new[0], trained_member(2, x[20:], y[20:])]
    for members in (mixed, [tl.build_fusion_model(mixed, how="average"), new[1]]):
        model = tl.build_fusion_model(members, how="average")
        assert not model.target_scales[""].is_known
        run = tl.fine_tune(model, (x, y), schedule=tl.Stage(2, unfreeze="all"), verbose=False)
        for one in (model, new[0]):
            np.testing.assert_allclose(scale_of(one), [y.mean(axis=0), y.std(axis=0)], rtol=1e-5)
        assert np.all(np.array(run.history["loss"]) < 30)
        expected = np.mean([predicted(one, x) for one in members], axis=0)
        np.testing.assert_allclose(predicted(model, x), expected, rtol=1e-5)


def test_an_average_of_members_that_keras_trained_predicts_what_it_did():
    x, y = brightness(count=24)
    members = [member(seed, 1, head="regression") for seed in (1, 2)]
    for one in members:
        one.compile("adam", "mse", run_eagerly=True)
        one.fit(x, y, verbose=0)
    model = tl.build_fusion_model(members, how="average")
    before = predicted(model, x)
    still(model, x, y)
    np.testing.assert_allclose(scale_of(model)[:, 0], [y.mean(), y.std()], rtol=1e-5)
    np.testing.assert_allclose(predicted(model, x), before, atol=1e-6 * y.std())


def test_a_new_head_on_an_average_has_units_of_its_own(in_units):
    x, y, members = in_units
    x, y = x[:40], 1e6 * y[:40, :1]
    average = tl.build_fusion_model(members, how="average")
    model = tl.build_transfer_model(average, 1, head="regression")
    tl.fine_tune(model, (x, y), schedule=tl.Stage(2), verbose=False)
    np.testing.assert_allclose(scale_of(model)[:, 0], [y.mean(), y.std()], rtol=1e-5)
    assert r2(y, predicted(model, x)) > 0.5


@pytest.mark.parametrize("head", [None, tl.heads.regression(hidden_units=(16,))])
def test_stacked_regressions_learn_in_any_unit(in_units, head):
    x, y, members = in_units
    best = np.max([r2(y[80:], predicted(one, x[80:])) for one in members], axis=0)
    keras.utils.set_random_seed(0)
    model = tl.build_fusion_model(members, how="stack", head=head)
    expected = np.concatenate([one.logits(tf.constant(x)) for one in members], axis=1)
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-4, atol=1e-5)
    stage = tl.Stage(5 if head is None else 60)
    tl.fine_tune(model, (x[40:80], y[40:80]), schedule=stage, verbose=False)
    assert np.all(r2(y[80:], predicted(model, x[80:])) > best - 0.02)


def test_the_head_of_a_stack_is_for_what_the_members_predict():
    members = [member(seed, 2, head="regression") for seed in (1, 2)]
    assert tl.build_fusion_model(members, how="stack").targets == members[0].targets
    with pytest.raises(InputError, match="head: expected one for regression, which the members"):
        tl.build_fusion_model(members, how="stack", head="linear")
    assert tl.build_fusion_model(members, 3, how="stack", head="linear").targets.size == 3


RANGE = (0.0, 4095.0)
# Features of a tensor are computed without a graph.
DEEP = tf.constant(np.random.default_rng(1).integers(0, 4096, (4, 16, 16, 3)).astype(np.float32))


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
