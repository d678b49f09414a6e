import numpy as np
import pytest
import tensorflow as tf

from tl_keras.data import Epochs, Examples, Part, as_examples
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

SPEC = TargetSpec("classification", 3, ("ant", "bee", "cow"))
IMAGES = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), np.uint8)
CLASSES = np.array([0, 1, 2, 2, 1, 0, 2])
ROWS = np.eye(3, dtype=np.float32)[CLASSES]
NAMES = np.array(SPEC.class_names)[CLASSES]
LABELS = {
    "integers": CLASSES,
    "column": CLASSES[:, None],
    "strings": NAMES,
    "one-hot": ROWS,
    "floats": CLASSES.astype(float),
}


def unbatched(*parts):
    return tf.data.Dataset.from_tensor_slices(parts if len(parts) > 1 else parts[0])


FORMS = {
    "arrays": lambda x, y: (x, y),
    "lists": lambda x, y: (list(x), list(y)),
    "tensors": lambda x, y: (tf.constant(x), tf.constant(y)),
    "unbatched": unbatched,
    "batched": lambda x, y: unbatched(x, y).batch(3),
    "batched as asked": lambda x, y: unbatched(x, y).batch(4),
    "odd batches": lambda x, y: (
        unbatched(x, y).batch(3).concatenate(unbatched(x, y).take(0).batch(3))
    ),
}


def collect(dataset):
    elements = list(dataset)
    if isinstance(elements[0], tuple):
        return [np.concatenate([np.asarray(e[i]) for e in elements]) for i in range(2)]
    return np.concatenate(elements)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_data_and_labels_gives_the_same_batches(form, labels):
    examples = as_examples(FORMS[form](IMAGES, LABELS[labels]))
    assert isinstance(examples, Examples) and as_examples(examples) is examples
    assert len(examples) == 7
    np.testing.assert_array_equal(examples.encoded_targets(SPEC), ROWS)
    batches = examples.batches(SPEC, 4)
    assert [len(x) for x, _ in batches] == [4, 3]
    x, y = collect(batches)
    assert x.dtype == np.uint8 and y.dtype == np.float32
    np.testing.assert_array_equal(x, IMAGES)
    np.testing.assert_array_equal(y, ROWS)
    x_spec, y_spec = batches.element_spec
    assert x_spec.shape.as_list() == [None, 4, 5, 3] and y_spec.shape.as_list() == [None, 3]


@pytest.mark.parametrize("form", ["arrays", "unbatched", "batched"])
def test_shuffling_keeps_pairs_is_seeded_and_changes_every_epoch(form):
    x = np.arange(40, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1), np.float32)
    y = np.arange(40) % 3
    examples = as_examples(FORMS[form](x, y))

    def epochs(seed, **place):
        pixels, targets = collect(examples.batches(SPEC, 16, epochs=Epochs(seed, **place)))
        order = pixels[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(targets, np.eye(3)[order % 3])
        return order

    both = epochs(5, count=2)
    first, second = both[:40], both[40:]
    assert sorted(first) == sorted(second) == list(range(40))
    assert len({tuple(order) for order in (first, second, range(40), epochs(6))}) == 4
    np.testing.assert_array_equal(first, epochs(5))
    np.testing.assert_array_equal(second, epochs(5, first=1))
    np.testing.assert_array_equal(both[32:], epochs(5, count=2, skip=2))
    tf.random.set_seed(0)
    try:
        np.testing.assert_array_equal(first, epochs(5))
    finally:
        tf.random.set_seed(None)


@pytest.mark.parametrize("form", ["arrays", "unbatched", "batched"])
def test_parts_make_up_every_batch_also_where_one_is_empty(form):
    x = np.arange(37, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 1), np.float32)
    examples = as_examples(FORMS[form](x, np.arange(37) % 3))
    epochs = Epochs(seed=1, count=2)
    whole = [x[:, 0, 0, 0] for x, _ in examples.batches(SPEC, 12, epochs=epochs)]
    parts = [
        [x[:, 0, 0, 0] for x, _ in examples.batches(SPEC, 12, epochs=epochs, part=Part(i, 5))]
        for i in range(5)
    ]
    assert [len(batch) for batch in whole] == [12, 12, 12, 1] * 2
    for batch, *shares in zip(whole, *parts, strict=True):
        for share, expected in zip(shares, np.array_split(batch, 5), strict=True):
            np.testing.assert_array_equal(share, expected)


@pytest.mark.parametrize(
    "data",
    [IMAGES, (IMAGES, None), list(IMAGES), unbatched(IMAGES), unbatched(IMAGES).batch(2)],
    ids=["array", "pair with None", "list", "unbatched", "batched"],
)
def test_data_without_labels(data):
    examples = as_examples(data)
    assert examples.encoded_targets(SPEC) is None
    np.testing.assert_array_equal(collect(examples.batches(SPEC, 3)), IMAGES)
    assert [len(x) for x in examples.batches(None, 3)] == [3, 3, 1]


@pytest.mark.parametrize("form", ["arrays", "unbatched", "batched"])
def test_without_spec_labels_are_left_out(form):
    examples = as_examples(FORMS[form](IMAGES, CLASSES))
    assert examples.encoded_targets(None) is None
    np.testing.assert_array_equal(collect(examples.batches(None, 3)), IMAGES)


@pytest.mark.parametrize("form", ["arrays", "unbatched", "batched"])
def test_several_tasks(form):
    spec = {
        "animal": SPEC,
        "weight": TargetSpec("regression", 1),
        "tags": TargetSpec("multi_label", 2),
    }
    tags = np.random.default_rng(1).integers(0, 2, (7, 2))
    y = {"animal": NAMES, "weight": np.arange(7.0), "tags": tags, "not used": CLASSES}
    examples = as_examples((IMAGES, y) if form == "arrays" else FORMS[form](IMAGES, y))
    expected = {"animal": ROWS, "weight": np.arange(7.0)[:, None], "tags": tags}
    targets = examples.encoded_targets(spec)
    batch = next(iter(examples.batches(spec, 7)))[1]
    assert set(batch) == set(targets) == set(expected)
    for task, value in expected.items():
        np.testing.assert_array_equal(targets[task], value)
        np.testing.assert_array_equal(batch[task], value)
    with pytest.raises(InputError, match=r"labels of the tasks \['age'\] are missing"):
        examples.batches({**spec, "age": SPEC}, 2)
    with pytest.raises(InputError, match="expected its labels, got a dict"):
        examples.batches(SPEC, 2)


def test_collections_of_names_as_multi_label_targets():
    spec = TargetSpec("multi_label", 2, ("wet", "red"))
    examples = as_examples((IMAGES[:3], [["wet"], [], ["red", "wet"]]))
    np.testing.assert_array_equal(examples.encoded_targets(spec), [[1, 0], [0, 0], [1, 1]])


def test_feature_vectors_and_numbers_become_float32():
    features = np.random.default_rng(0).normal(size=(7, 6))
    for data in [
        (features, CLASSES),
        unbatched(features, CLASSES),
        unbatched(features, CLASSES).batch(2),
    ]:
        x, _ = collect(as_examples(data).batches(SPEC, 3))
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, features, rtol=1e-6)
    x = collect(as_examples(IMAGES.astype(np.int64)).batches(None, 3))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, IMAGES)


def test_datasets_with_unknown_static_shapes_get_the_shape_found():
    signature = (tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None], tf.int64))
    dataset = tf.data.Dataset.from_generator(
        lambda: ((IMAGES[i : i + 2], CLASSES[i : i + 2]) for i in range(0, 7, 2)),
        output_signature=signature,
    )
    batches = as_examples(dataset).batches(SPEC, 3)
    assert batches.element_spec[0].shape.as_list() == [None, 4, 5, 3]
    np.testing.assert_array_equal(collect(batches)[1], ROWS)


def test_class_names_of_a_dataset_are_kept():
    dataset = unbatched(IMAGES, CLASSES)
    dataset.class_names = ["ant", "bee", "cow"]
    assert as_examples(dataset).class_names == ("ant", "bee", "cow")
    assert as_examples((IMAGES, CLASSES)).class_names is None


def with_nan():
    x = IMAGES.astype(np.float32)
    x[4, 0, 0, 0] = np.nan
    x[6, 1, 1, 1] = np.inf
    return x


def ragged_images():
    def generate():
        yield np.zeros((4, 5, 3), np.uint8)
        yield np.zeros((6, 5, 3), np.uint8)

    return tf.data.Dataset.from_generator(
        generate, output_signature=tf.TensorSpec([None, None, 3], tf.uint8)
    )


NOT_FINITE = "infinity in 2 of 7 examples, the first at row 4"
WRONG = {
    "nan in array": (
        lambda: (with_nan(), CLASSES),
        NOT_FINITE,
    ),
    "nan in dataset": (
        lambda: unbatched(with_nan(), CLASSES).batch(3),
        NOT_FINITE,
    ),
    "lengths": (lambda: (IMAGES, CLASSES[:3]), "7 examples and 3 labels"),
    "lengths of a task": (lambda: (IMAGES, {"a": CLASSES[:3]}), r"y\['a'\] must have the same"),
    "one label": (lambda: (IMAGES, 3), "one label per example, got 3"),
    "text": (lambda: (np.array([["a"], ["b"]]), [0, 1]), "must hold numbers"),
    "one image": (lambda: np.zeros(5), r"got shape \(5,\)"),
    "no examples": (lambda: np.zeros((0, 4, 4, 3)), "n ≥ 1, got shape"),
    "ragged": (lambda: [np.zeros((2, 2)), np.zeros((3, 2))], "differ in shape"),
    "three": (lambda: (IMAGES, CLASSES, CLASSES), "tuple of length 3. Sample weights are not"),
    "path": (lambda: "pets/", r"got 'pets/'. For files on disk pass tl.data.image_folder"),
    "domains": (lambda: {"source": IMAGES}, "A dict of domains goes to tl.fine_tune"),
    "generator": (lambda: (image for image in IMAGES), "tf.data.Dataset.from_generator"),
    "number": (lambda: 3, "expected .x, y. arrays, .* got 3"),
    "class out of range": (lambda: (IMAGES, CLASSES + 1), "from 0 to 2, got 3"),
    "class out of range, dataset": (
        lambda: unbatched(IMAGES, CLASSES - 1),
        "from 0 to 2, got -1",
    ),
    "unknown name": (lambda: unbatched(IMAGES, ["ant"] * 6 + ["cat"]), "unknown labels .*cat"),
    "rows too long": (lambda: unbatched(IMAGES, np.eye(4)[CLASSES]), r"of shape \(n, 3\)"),
    "infinite": (
        lambda: unbatched(IMAGES, CLASSES).repeat(),
        "without end. Leave out .repeat",
    ),
    "empty dataset": (lambda: unbatched(IMAGES, CLASSES).take(0), "the dataset is empty"),
    "weights": (lambda: unbatched(IMAGES, CLASSES, CLASSES), "Sample weights are not taken"),
    "dicts": (lambda: unbatched({"image": IMAGES}), "elements x or .x, y."),
    "file names": (lambda: unbatched(["a.png"], [0]), "x must hold numbers, got string"),
    "video": (lambda: unbatched(np.zeros((2, 3, 4, 5, 3))).batch(2), "batches of images of rank 4"),
    "sizes": (ragged_images, r"one shape, got \(4, 5, 3\) and \(6, 5, 3\)"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data(name):
    make, text = WRONG[name]
    with pytest.raises(InputError, match=text) as caught:
        as_examples(make(), "validation").batches(SPEC, 2)
    assert str(caught.value).startswith("validation")


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, "8"])
def test_wrong_batch_size(batch_size):
    for data in [IMAGES, unbatched(IMAGES)]:
        with pytest.raises(InputError, match="batch_size: expected a whole number ≥ 1"):
            as_examples(data).batches(None, batch_size)
