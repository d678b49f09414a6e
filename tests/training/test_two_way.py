"""Two-way transfer: rounds, teachers that stay, and what is refused."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Distillation
from tl_keras.training import two_way
from tl_keras.training.two_way import _teacher
from tl_keras.utils.errors import InputError

STAGE = tl.Stage(1, unfreeze="all", learning_rate=0.01, optimizer="sgd", decay="constant")


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)


def models():
    return [tl.build_transfer_model(tiny_network(seed), 3) for seed in (0, 1)]


def data():
    y = np.array([0, 1, 2, -1, -1, -1])
    return {
        "photos": {"labelled": (images(6), np.arange(6) % 3), "target": images(5, 1)},
        "sketches": (images(6, 2), y),
    }


def learned_weights(model):
    """Return weights without the statistics of BatchNorm, which are moved in teachers."""
    return [weight.numpy() for weight in model.weights if "moving" not in weight.path]


def test_both_models_train_and_teach_in_rounds_and_a_finished_one_is_taken_as_it_is(
    tmp_path, monkeypatch
):
    taught, trained = [], []
    fine_tune = two_way.fine_tune

    class Recorded(Distillation):
        def __init__(self, teachers, temperature, **arguments):
            super().__init__(teachers, temperature, **arguments)
            taught.append((list(map(learned_weights, teachers)), temperature, arguments))

    def recording(model, *arguments, **options):
        run = fine_tune(model, *arguments, **options)
        trained.append(learned_weights(model))
        return run

    monkeypatch.setattr(two_way, "Distillation", Recorded)
    monkeypatch.setattr(two_way, "fine_tune", recording)

    def run():
        pair = models()
        found = tl.two_way_transfer(
            *pair,
            data(),
            rounds=1,
            schedule=STAGE,
            temperature=3.0,
            confidence=0.4,
            weight=0.7,
            batch_size=4,
            output=tmp_path,
            verbose=False,
        )
        return pair, found

    pair, found = run()
    # The peer and the model before the round teach, with what was asked.
    photos_first, sketches_first, photos_second, _ = trained
    expected = [(sketches_first, photos_first), (photos_second, sketches_first)]
    for (weights, temperature, arguments), teachers in zip(taught[-2:], expected, strict=True):
        assert temperature == 3.0
        assert arguments == {"confidence": 0.4, "weight": 0.7}
        for one, two in zip(weights, teachers, strict=True):
            assert len(one) == len(two) == 14
            for a, b in zip(one, two, strict=True):
                np.testing.assert_array_equal(a, b)
    assert list(found.models.values()) == pair and len(found.runs) == 2
    for name in ("photos", "sketches"):
        assert "recorded" not in found.runs[0][name].history
        assert np.isfinite(found.runs[1][name].history["recorded"]).all()
        assert (tmp_path / "round_1" / name / "model.keras").is_file()
    again, _ = run()
    for one, two in zip(pair, again, strict=True):
        for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_other_model_teaches_by_statistics_that_are_moved_to_the_images_it_is_asked_about():
    model, x = tl.build_transfer_model(tiny_network(), 3), images(6)
    before, own = model.get_weights(), images(8, 5) // 2
    stem = keras.Model(model.backbone.input, model.backbone.get_layer("stem").output)

    def seen(norm, pictures):
        values = stem(model.preprocessing(pictures.astype(np.float32))).numpy()
        values = (values - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + 1e-3)
        return values.mean((0, 1, 2)), values.std((0, 1, 2))

    asked = {"labelled": (x[:3], np.arange(3)), "target": x[3:]}
    teacher = _teacher(model, own, asked, seed=0)
    expected = seen(model.backbone.get_layer("stem_bn"), own)
    found = seen(teacher.backbone.get_layer("stem_bn"), x)
    np.testing.assert_allclose(found, expected, atol=5e-3)
    unmoved = _teacher(model, x, x, seed=0)
    for one, two in zip(model.get_weights(), unmoved.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    for one, two in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(one, two)
    plain = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3)])
    without = tl.build_transfer_model(plain, 3)
    for one, two in zip(
        _teacher(without, own, x, seed=0).get_weights(), without.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_what_does_not_fit_is_found_before_anything_trains():
    def build(seed, classes=3, shape=None, **arguments):
        network = tiny_network(seed)
        if shape is not None:
            x = keras.Input(shape)
            network = keras.Model(x, keras.layers.Conv2D(4, 3)(x))
        return tl.build_transfer_model(network, classes, **arguments)

    one, two, labelled = build(0), build(1), build(0, class_names=("a", "b", "c"))
    for model, peer, arguments, text in (
        (one, build(1, 4), {}, "model_b: expected the classes of model_a.*3 classes, got 4"),
        (labelled, build(1, class_names=("b", "a", "c")), {}, r"model_b: .*got \['b', 'a', 'c'\]"),
        (one, build(1, head="multi_label"), {}, "model_b: .*got multi_label"),
        (build(0, {"a": 3, "b": 2}), two, {}, "model_a: .*got several tasks"),
        (one, build(1, shape=(8, 8, 3)), {}, r"model_b: .*takes, \(16, 16, 3\), got \(8, "),
        (one, two, {"temperature": 0}, "temperature: expected a number > 0"),
        (one, two, {"confidence": 1.0}, "confidence: expected a number"),
        (one, two, {"weight": -1.0}, "weight: expected"),
    ):
        before = model.get_weights()
        with pytest.raises(InputError, match=text):
            tl.two_way_transfer(
                model, peer, data(), schedule=STAGE, batch_size=4, verbose=False, **arguments
            )
        for one, two in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(one, two)


def test_bad_arguments():
    a, b = models()
    with pytest.raises(InputError, match="data: expected two domains"):
        tl.two_way_transfer(a, b, {"photos": images(3)})
    with pytest.raises(InputError, match=r"data: expected two domains.*got ndarray"):
        tl.two_way_transfer(a, b, images(3))
    with pytest.raises(InputError, match="model_b: expected a model of its own"):
        tl.two_way_transfer(a, a, data())
    with pytest.raises(InputError, match=r"validation: \['drawings'\] are no domains"):
        tl.two_way_transfer(a, b, data(), {"drawings": images(3)})
    with pytest.raises(InputError, match="rounds: expected a whole number ≥ 1"):
        tl.two_way_transfer(a, b, data(), rounds=0)
