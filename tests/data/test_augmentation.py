import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tl_keras.data.augmentation import aug_mix
from tl_keras.data.augmentation.augment import (
    augment,
    batch_seed,
    describe,
    resolve_augmentation,
)
from tl_keras.data.augmentation.checks import check_augmentation
from tl_keras.data.augmentation.random_states import seed_variables
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

layers = keras.layers
CLASSES = TargetSpec("classification", 3)
SHAPE = (16, 16, 3)

LAYERS = {
    "RandomFlip": lambda: layers.RandomFlip(),
    "RandomRotation": lambda: layers.RandomRotation(0.2),
    "RandomZoom": lambda: layers.RandomZoom(0.3),
    "RandomTranslation": lambda: layers.RandomTranslation(0.2, 0.2),
    "RandomCrop": lambda: layers.RandomCrop(12, 12),
    "RandomBrightness": lambda: layers.RandomBrightness(0.3),
    "RandomContrast": lambda: layers.RandomContrast(0.3),
    "RandomColorJitter": lambda: layers.RandomColorJitter(
        brightness_factor=0.3, contrast_factor=0.3, saturation_factor=0.3, hue_factor=0.2
    ),
    "RandomErasing": lambda: layers.RandomErasing(),
    "RandomShear": lambda: layers.RandomShear(0.3, 0.3),
    "RandomGaussianBlur": lambda: layers.RandomGaussianBlur(),
    "RandomHue": lambda: layers.RandomHue(0.3),
    "RandomGrayscale": lambda: layers.RandomGrayscale(),
    "RandomPerspective": lambda: layers.RandomPerspective(),
    "RandAugment": lambda: layers.RandAugment(),
    "AugMix": lambda: [keras.Sequential([layers.Pipeline([layers.AugMix(all_ops=False)])])],
    "MixUp": lambda: layers.MixUp(),
    "CutMix": lambda: layers.CutMix(),
    "Pipeline": lambda: layers.Pipeline([layers.RandomFlip(), layers.RandomRotation(0.2)]),
    "Sequential": lambda: keras.Sequential([layers.RandomFlip(), layers.RandomZoom(0.2)]),
}
SEEDS = [batch_seed(0, 0, batch) for batch in range(3)]


@pytest.fixture
def batch():
    random = np.random.default_rng(0)
    return random.uniform(0, 255, (4, *SHAPE)).astype(np.float32), np.eye(4, 3, dtype=np.float32)


def arrays(pair):
    return [np.asarray(part) for part in pair]


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(arrays(one), arrays(other), strict=True))


def in_pipeline(chosen, x, y, batches):
    """Augment the same images as batches of these numbers, in parallel."""
    dataset = tf.data.Dataset.from_tensor_slices(tf.constant(batches, tf.int64))
    return list(
        dataset.map(
            lambda number: augment(chosen, x, y, batch_seed(0, 0, number)),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    )


@pytest.mark.parametrize("name", LAYERS)
def test_pictures_are_a_function_of_the_seed(name, batch):
    first, twin = resolve_augmentation(LAYERS[name]()), resolve_augmentation(LAYERS[name]())
    eager = augment(first, *batch, SEEDS[1])
    assert equal(eager, augment(first, *batch, SEEDS[1]))
    assert not equal(eager, augment(first, *batch, SEEDS[2]))
    found = in_pipeline(twin, *batch, [0, 1, 2, 1, 2, 0, 1, 1])
    assert all(equal(eager, found[place]) for place in (1, 3, 6, 7))
    assert equal(found[0], found[5]) and equal(found[2], found[4])
    assert not equal(found[0], found[1]) and not equal(found[1], found[2])


@pytest.mark.parametrize("name", ["RandomFlip", "RandomColorJitter", "RandAugment", "AugMix"])
def test_no_variable_changes(name, batch):
    chosen = resolve_augmentation(LAYERS[name]())
    variables = [variable for layer in chosen for variable in seed_variables(layer)]
    before = [variable.numpy() for variable in variables]
    augment(chosen, *batch, SEEDS[0])
    in_pipeline(chosen, *batch, [0, 1])
    assert variables
    assert equal(before, [variable.numpy() for variable in variables])


def test_seeds_of_batches_are_all_different():
    seeds = {
        tuple(batch_seed(seed, epoch, batch, part).numpy())
        for seed in (-1, 0, 1)
        for epoch in range(4)
        for batch in range(5)
        for part in range(2)
    }
    assert len(seeds) == 3 * 4 * 5 * 2
    number = tf.constant(3, tf.int32)
    assert equal(batch_seed(7, number, number), batch_seed(7, 3, 3))


def test_the_seed_of_the_layer_plays_no_part(batch):
    pictures = [
        augment(resolve_augmentation(layers.RandomRotation(0.2, seed=seed)), *batch, SEEDS[0])
        for seed in (1, 2, None)
    ]
    assert equal(pictures[0], pictures[1]) and equal(pictures[0], pictures[2])


def test_global_seeds_play_no_part(batch):
    pictures = []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        chosen = resolve_augmentation([layers.RandomRotation(0.2), layers.AugMix(all_ops=False)])
        pictures += [augment(chosen, *batch, SEEDS[1]), *in_pipeline(chosen, *batch, [1])]
    assert all(equal(pictures[0], other) for other in pictures[1:])


def test_each_layer_has_its_own_random_numbers(batch):
    x = np.repeat(batch[0][:1], 32, axis=0)
    once, _ = augment((layers.RandomFlip("horizontal"),), x, None, SEEDS[0])
    twice, _ = augment((layers.RandomFlip("horizontal"),) * 2, x, None, SEEDS[0])
    flipped = (np.asarray(once) != x).any(axis=(1, 2, 3))
    flipped_twice = (np.asarray(twice) != x).any(axis=(1, 2, 3))
    assert 4 < flipped.sum() < 28
    assert 4 < flipped_twice.sum() < 28
    assert np.array_equal(np.asarray(once)[flipped][0], x[0, :, ::-1])


def test_flips_come_half_of_the_time(batch):
    x, _ = batch
    flip = resolve_augmentation(layers.RandomFlip("horizontal"))
    share = np.mean(
        [(pictures.numpy() != x).any(axis=(1, 2, 3)) for pictures, _ in in_pipeline_many(flip, x)]
    )
    assert abs(share - 0.5) < 4 * 0.5 / np.sqrt(100 * len(x))


def in_pipeline_many(chosen, x):
    return in_pipeline(chosen, x, np.zeros(len(x), np.float32), list(range(100)))


def test_layers_apply_in_their_order(batch):
    x, y = batch
    chosen = resolve_augmentation(
        [layers.RandomBrightness((0.2, 0.2)), layers.RandomInvert((1.0, 1.0))]
    )
    inverted = 255 - np.clip(x + 51, 0, 255)
    np.testing.assert_allclose(augment(chosen, x, y, SEEDS[0])[0], inverted, atol=1e-4)
    brightened = np.clip(255 - x + 51, 0, 255)
    np.testing.assert_allclose(augment(chosen[::-1], x, y, SEEDS[0])[0], brightened, atol=1e-4)


def test_a_wrapper_is_its_layers(batch):
    parts = [layers.RandomFlip(), layers.RandomRotation(0.1), layers.MixUp()]
    expected = augment(resolve_augmentation(parts), *batch, SEEDS[0])
    for wrapper in (layers.Pipeline(parts), [keras.Sequential(parts[:2]), (parts[2],)]):
        assert equal(augment(resolve_augmentation(wrapper), *batch, SEEDS[0]), expected)


def colours():
    """Images of one colour each, which is the one-hot label."""
    y = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
    return np.broadcast_to(200 * y[:, None, None], (12, *SHAPE)).astype(np.float32), y


def test_mix_up_mixes_labels_as_it_mixes_images():
    x, y = colours()
    mixed, labels = arrays(augment((layers.MixUp(alpha=1.0),), x, y, SEEDS[0]))
    np.testing.assert_allclose(mixed, np.broadcast_to(200 * labels[:, None, None], x.shape), 1e-5)
    assert ((labels > 0.05) & (labels < 0.95)).any()
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)


def test_cut_mix_mixes_labels_by_area():
    x, y = colours()
    mixed, labels = arrays(augment((layers.CutMix((1.0, 1.0)),), x, y, SEEDS[0]))
    assert set(np.unique(mixed)) == {0.0, 200.0}
    area = mixed.mean(axis=(1, 2)) / 200
    # Keras keeps broken corners for the labels: up to a row and a column of 16 more or less.
    np.testing.assert_allclose(labels, area, atol=33 / 256)
    assert ((labels > 0.05) & (labels < 0.95)).any()


@pytest.mark.parametrize("name", ["RandomFlip", "MixUp", "CutMix", "RandomCrop"])
@pytest.mark.parametrize("count", [0, 1])
def test_small_batches(name, count, batch):
    x, y = batch[0][:count], batch[1][:count]
    # Equalization by itself fails on an empty batch.
    chosen = resolve_augmentation([LAYERS[name](), layers.Equalization()])
    size = 12 if name == "RandomCrop" else 16
    signature = (tf.TensorSpec((None, *SHAPE)), tf.TensorSpec((None, 3)))
    dataset = tf.data.Dataset.from_generator(lambda: iter([(x, y)]), output_signature=signature)
    dataset = dataset.map(lambda a, b: augment(chosen, a, b, SEEDS[0]))
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [
        (None, size, size, 3),
        (None, 3),
    ]
    for images, labels in (augment(chosen, x, y, SEEDS[0]), next(iter(dataset))):
        assert images.shape == (count, size, size, 3)
        assert np.isfinite(images).all()
        np.testing.assert_allclose(labels, y)


def test_images_come_as_float32(batch):
    x, y = batch
    chosen = (layers.RandomFlip(dtype="mixed_float16"), layers.MixUp())
    for images in (x, x.astype(np.uint8)):
        pictures, labels = augment(chosen, images, y, SEEDS[0])
        assert pictures.dtype == labels.dtype == tf.float32
        assert augment((), images, y, SEEDS[0])[0].dtype == tf.float32


def test_targets_pass_through_layers_that_mix_nothing(batch):
    y = {"colour": tf.ones((4, 2)), "size": tf.zeros((4, 1))}
    assert augment((layers.RandomFlip(),), batch[0], y, SEEDS[0])[1] is y


class TestAugMix:
    def test_no_operations_leave_the_images(self, batch):
        none = (layers.AugMix(chain_depth=0),)
        np.testing.assert_allclose(augment(none, *batch, SEEDS[0])[0], batch[0], rtol=1e-5)

    def test_operations_differ_from_batch_to_batch(self, batch):
        x, _ = batch
        results = in_pipeline_many((layers.AugMix(num_chains=1, chain_depth=1),), x)
        distances = np.array([np.abs(pictures - x).max() for pictures, _ in results])
        # One of twelve choices is none, and RandomPosterization(2) leaves nothing unchanged.
        unchanged = (distances < 1e-3).sum()
        assert 1 <= unchanged <= 25
        assert len(np.unique(distances.round(3))) > 50

    def test_chains_are_averaged_with_the_images(self, monkeypatch):
        # Operations add 10. With a large alpha, all shares are equal and half is the original.
        monkeypatch.setattr(aug_mix, "_run", lambda operation, images, seed: images + 10.0)
        x = np.full((2, *SHAPE), 100, np.float32)
        chosen = (layers.AugMix(num_chains=4, chain_depth=2, alpha=1e8),)
        pictures = np.stack([one.numpy() for one, _ in in_pipeline_many(chosen, x)])
        added = pictures - x
        assert (np.ptp(added, axis=(1, 2, 3, 4)) == 0).all()
        operations = added[:, 0, 0, 0, 0] / (10 * 0.5 / 4)
        np.testing.assert_allclose(operations, operations.round(), atol=0.01)
        mean, deviation = 8 * 11 / 12, np.sqrt(8 * 11 / 12 / 12)
        assert abs(operations.mean() - mean) < 4 * deviation / np.sqrt(len(operations))
        assert operations.std() == pytest.approx(deviation, rel=0.4)

    def test_values_stay_in_range(self, batch):
        for pictures, _ in in_pipeline((layers.AugMix(factor=1.0),), *batch, [0, 1]):
            assert pictures.numpy().min() >= 0 and pictures.numpy().max() <= 255


class TestDescription:
    @pytest.mark.parametrize("name", ["RandomCrop", "RandAugment", "MixUp", "Sequential"])
    def test_equal_for_equal_layers(self, name, batch):
        one, other = resolve_augmentation(LAYERS[name]()), resolve_augmentation(LAYERS[name]())
        augment(one, *batch, SEEDS[0])
        assert json.dumps(describe(one)) == json.dumps(describe(other))

    def test_other_layers_are_described_otherwise(self):
        described = [
            json.dumps(describe(resolve_augmentation(augmentation)))
            for augmentation in (
                None,
                layers.RandomRotation(0.1),
                layers.RandomRotation(0.2),
                layers.RandomRotation(0.1, fill_mode="nearest"),
                [layers.RandomRotation(0.1), layers.RandomFlip()],
                [layers.RandomFlip(), layers.RandomRotation(0.1)],
            )
        ]
        assert len(set(described)) == len(described)
        assert described[0] == "[]"

    def test_layers_can_be_made_from_it(self, batch):
        chosen = resolve_augmentation([layers.RandomZoom(0.3), layers.CutMix(0.5)])
        made = tuple(map(keras.saving.deserialize_keras_object, describe(chosen)))
        assert equal(augment(chosen, *batch, SEEDS[0]), augment(made, *batch, SEEDS[0]))


class Unseeded(layers.Layer):
    def call(self, images):
        return images + keras.random.uniform(keras.ops.shape(images))


class Stateful(layers.Layer):
    def build(self, _):
        self.calls = self.add_weight(shape=(), trainable=False, initializer="zeros")

    def call(self, images):
        self.calls.assign_add(1.0)
        return images


class ByNumPy(layers.Layer):
    def call(self, images):
        return images + np.random.normal()


class ByTensorFlow(layers.Layer):
    def call(self, images):
        return images + tf.random.normal(())


@pytest.mark.parametrize("layer", [Unseeded, Stateful])
def test_variables_that_change_are_an_error(layer, batch):
    with pytest.raises(InputError, match=r"changes variables when it is called, or draws random"):
        augment((layer(),), *batch, SEEDS[0])


@pytest.mark.parametrize("layer", [ByNumPy, ByTensorFlow])
def test_random_numbers_without_a_seed_are_an_error(layer):
    with pytest.raises(InputError, match=rf"{layer.__name__} .* gives other pictures for the same"):
        check_augmentation((layer(),), SHAPE, CLASSES)


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        ("RandomFlip", r"augmentation: expected None, a Keras layer .*, got 'RandomFlip'"),
        (layers.RandomFlip, r"got the class RandomFlip\. Make a layer of it: RandomFlip\(…\)"),
        ([layers.RandomFlip(), abs], r"Put a function into a subclass of keras\.layers\.Layer"),
        ({"a": 1}, r"got dict of length 1\."),
    ],
)
def test_what_is_no_layer(augmentation, message):
    with pytest.raises(InputError, match=message):
        resolve_augmentation(augmentation)


def test_layers_with_weights_are_refused(network):
    with pytest.raises(InputError, match=r"Functional 'tiny_0' has \d+ trainable weights"):
        resolve_augmentation(network)
    late = resolve_augmentation(layers.Conv2D(3, 3, padding="same"))
    with pytest.raises(InputError, match=r"Conv2D .* has 2 trainable weights"):
        check_augmentation(late, SHAPE, CLASSES)


class Failing(layers.Layer):
    def call(self, images):
        raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (layers.RandAugment(value_range=(0, 1)), r"value_range=\(0, 1\), but images are 0–255"),
        (
            layers.RandomFlip(data_format="channels_first"),
            r"RandomFlip .* has data_format='channels_first'",
        ),
        (layers.MixUp(dtype="mixed_bfloat16"), r"MixUp .* computes in bfloat16.*dtype='float32'"),
        (layers.Rescaling(1 / 255), r"into values from .* to 1, but the model takes 0–255"),
        (layers.RandomCrop(12, 12), r"shape \(12, 12, 3\), but the model takes \(16, 16, 3\)"),
        (layers.RandomCrop(12, 12), r"for example with keras\.layers\.Resizing\(16, 16\)"),
        (Failing(), r"cannot be applied to images of shape \(16, 16, 3\); it ends in RuntimeError"),
    ],
)
def test_layers_that_do_not_fit_the_model(layer, message):
    with pytest.raises(InputError, match=message):
        check_augmentation((layer,), SHAPE, CLASSES)


def test_mixing_needs_labels_that_can_be_mixed():
    regression = TargetSpec("regression", 1)
    tasks = {"colour": CLASSES, "age": regression}
    for layer in (layers.MixUp(), layers.CutMix()):
        with pytest.raises(InputError, match=r"one task, but the model has the tasks \['age', 'c"):
            check_augmentation((layer,), SHAPE, tasks)
        with pytest.raises(InputError, match="one task, but the model has no head"):
            check_augmentation((layer,), SHAPE, None)
    with pytest.raises(InputError, match=r"CutMix pastes .* values of a regression head\. Use Mix"):
        check_augmentation((layers.CutMix(),), SHAPE, regression)
    check_augmentation((layers.MixUp(),), SHAPE, regression)
    check_augmentation((layers.CutMix(),), SHAPE, TargetSpec("multi_label", 5))


def test_sizes_may_change_on_the_way():
    crop = (layers.RandomCrop(12, 12),)
    check_augmentation((*crop, layers.Resizing(16, 16)), SHAPE, CLASSES)
    check_augmentation(crop, (12, 12, 3), CLASSES, data_shape=SHAPE)
    check_augmentation((layers.RandomFlip(),), (None, None, 3), CLASSES)


@pytest.mark.parametrize("name", ["RandAugment", "AugMix", "MixUp", "CutMix", "Pipeline"])
def test_keras_layers_pass_the_checks(name):
    check_augmentation(resolve_augmentation(LAYERS[name]()), SHAPE, CLASSES)
