"""Labels that count the data's own classes reach the outputs of their names."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.data.colours import CHANNELS, coloured, right_model, write_folders
from tl_keras.data import as_examples
from tl_keras.tasks.targets import TargetSpec

SPEC = TargetSpec("classification", 3, ("red", "green", "blue"))
STEPS = {
    "as it comes": lambda dataset: dataset,
    "batched again": lambda dataset: dataset.unbatch().batch(5).prefetch(1),
    "shuffled": lambda dataset: dataset.shuffle(8, seed=1, reshuffle_each_iteration=False).cache(),
}


def from_directory(path, label_mode="int", **options) -> tf.data.Dataset:
    return keras.utils.image_dataset_from_directory(
        path,
        label_mode=label_mode,
        image_size=(8, 8),
        batch_size=4,
        shuffle=False,
        verbose=False,
        **options,
    )


def named(x, y, names) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    dataset.class_names = list(names)
    return dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A test folder without the class that comes first in the alphabet."""
    path = tmp_path_factory.mktemp("test")
    write_folders(path, {"red": 5, "green": 6})
    return path


def accuracy(model, data) -> float:
    return tl.evaluate(model, data, verbose=False)["accuracy"]


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_a_test_folder_that_lacks_a_class_counts_its_own(folder, label_mode):
    dataset = from_directory(folder, label_mode)
    images = tl.data.image_folder(folder, image_size=8)
    for labels in (("red", "green", "blue"), ("blue", "green", "red")):
        spec = TargetSpec("classification", 3, labels)
        expected = np.zeros((11, 3))
        expected[:6, labels.index("green")] = expected[6:, labels.index("red")] = 1
        np.testing.assert_array_equal(images.encoded_targets(spec), expected)
        for step in STEPS.values():
            examples = as_examples(step(dataset))
            found = np.concatenate([y for _, y in examples.batches(spec, 4)])
            assert found.sum(axis=0).tolist() == expected.sum(axis=0).tolist()
            np.testing.assert_array_equal(examples.encoded_targets(spec), found)
            if step is not STEPS["shuffled"]:
                np.testing.assert_array_equal(found, expected)


def test_every_way_in_maps_by_name(folder, tmp_path):
    write_folders(tmp_path, {"red": 9, "green": 9, "blue": 9}, seed=5)
    model, train = right_model(), from_directory(tmp_path)
    other = from_directory(folder)
    run = tl.fine_tune(
        model,
        {"source": train, "target": other},
        other,
        schedule=tl.Stage(1, learning_rate=1e-9),
        batch_size=9,
        verbose=False,
    )
    for name in ("source_accuracy", "target_accuracy", "val_accuracy"):
        assert run.history[name][-1] == 1.0
    assert accuracy(model, other) == 1.0
    compared = tl.compare({"it": model}, other, verbose=False)
    assert compared["it"]["accuracy"] == 1.0
    scores = tl.evaluation.adaptation_scores(model, other, train)
    assert scores.source_risk < 0.05
    means = tl.set_prototypes(right_model(), train)
    assert means.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("partly", [False, True])
def test_rows_and_integers_of_a_dataset_are_those_of_its_names(partly):
    random = np.random.default_rng(3)
    y = random.permutation([0, 1] * 6)
    expected = np.eye(3)[np.array([2, 0])[y]]  # Its classes are blue and red.
    spec = TargetSpec("classification", 3, SPEC.class_names, partly=partly)
    x = coloured(np.zeros(12, int))
    for labels in (y, y[:, None], np.eye(2)[y], y.astype("uint8"), y.astype("float32")):
        examples = as_examples(named(x, labels, ["blue", "red"]))
        np.testing.assert_array_equal(examples.encoded_targets(spec), expected)
        batches = examples.batches(spec, 5)
        np.testing.assert_array_equal(np.concatenate([part for _, part in batches]), expected)
    if partly:
        y[3], expected[3] = -1, np.nan
        examples = as_examples(named(x, y, ["blue", "red"]))
        np.testing.assert_array_equal(examples.encoded_targets(spec), expected)
        (_, targets), *_ = examples.batches(spec, 12)
        np.testing.assert_array_equal(targets, expected)


def test_one_sigmoid_knows_its_class_by_name():
    y = np.array([0, 1, 1, 0])
    for names, expected in ((["defective", "fine"], 1 - y), (["fine", "defective"], y)):
        spec = TargetSpec("multi_label", 1, ("defective",))
        found = as_examples(named(coloured(y), y, names))
        np.testing.assert_array_equal(found.encoded_targets(spec)[:, 0], expected)
        (_, targets), *_ = found.batches(spec, 4)
        np.testing.assert_array_equal(targets[:, 0], expected)


def test_a_class_that_the_model_lacks_is_named():
    data = named(coloured(np.array([0, 1])), [0, 1], ["pink", "red"])
    with pytest.raises(tl.InputError, match=r"y: unknown labels \['pink'\]; the model's labels"):
        tl.evaluate(right_model(), data)
    data = named(coloured(np.array([0, 1])), [0, 1], ["green", "red"])
    with pytest.raises(tl.InputError, match="without class names, the data has 2 classes"):
        tl.evaluate(right_model(outputs=None), data)


def test_without_labels_in_the_model_all_data_name_the_same_classes(folder, tmp_path):
    write_folders(tmp_path, {"red": 3, "blue": 3})
    model = right_model(("red", "green"), outputs=None)
    with pytest.raises(
        tl.InputError, match=r"validation: its classes are \['blue', 'red'\], those"
    ):
        tl.fine_tune(model, from_directory(folder), from_directory(tmp_path))


def test_names_that_a_map_lost_are_asked_for(folder):
    dataset = from_directory(folder).map(lambda x, y: (x, y))
    with pytest.raises(tl.InputError, match=r"made with the classes \['green', 'red'\]"):
        tl.evaluate(right_model(), dataset)
    dataset.class_names = ["green", "red"]
    assert accuracy(right_model(), dataset) == 1.0


@pytest.mark.parametrize("one_hot", [False, True])
def test_class_names_of_several_tasks_are_mapped_task_by_task(one_hot):
    y = np.array([0, 1, 2, 1])
    spec = {"a": SPEC, "b": TargetSpec("classification", 2, ("x", "y"))}
    labels = {"a": np.eye(3)[y] if one_hot else y, "b": np.array([0, 1, 1, 0])}
    dataset = named(coloured(y), labels, [])
    dataset.class_names = {"a": ["blue", "red", "green"], "b": ["y", "x"]}
    expected = {"a": np.eye(3)[[2, 0, 1, 0]], "b": np.eye(2)[[1, 0, 0, 1]]}
    found = as_examples(dataset)
    (_, batch), *_ = found.batches(spec, 4)
    for task, rows in expected.items():
        np.testing.assert_array_equal(found.encoded_targets(spec)[task], rows)
        np.testing.assert_array_equal(batch[task], rows)
    mapped = as_examples(dataset.map(lambda x, y: (x, y)))
    with pytest.raises(tl.InputError, match=r"y\['a'\]: the dataset was made with the classes"):
        mapped.encoded_targets(spec)
    for names, text in ((["x", "y"], "class_names by task"), ({"c": ["x"]}, "tasks \\['c'\\]")):
        dataset.class_names = names
        with pytest.raises(tl.InputError, match=text):
            as_examples(dataset).encoded_targets(spec)


def test_class_names_of_columns_are_the_tasks():
    spec = {"a": TargetSpec("multi_label", 1), "b": TargetSpec("multi_label", 1)}
    columns = np.array([[1, 0], [0, 0], [1, 1], [0, 1]])
    found = as_examples(named(coloured(np.arange(4) % 3), columns, ["b", "a"]))
    (_, batch), *_ = found.batches(spec, 4)
    for task, column in (("a", 1), ("b", 0)):
        np.testing.assert_array_equal(found.encoded_targets(spec)[task][:, 0], columns[:, column])
        np.testing.assert_array_equal(batch[task][:, 0], columns[:, column])


JOINED = {
    "zip": lambda d: tf.data.Dataset.zip((d, tf.data.Dataset.range(9))).map(lambda xy, _: xy),
    "sample": lambda d: tf.data.Dataset.sample_from_datasets([d, d], seed=1),
    "enumerate": lambda d: d.enumerate().map(lambda _, xy: xy),
    "choose": lambda d: tf.data.Dataset.choose_from_datasets([d], tf.data.Dataset.range(1)),
}


@pytest.mark.parametrize("step", JOINED)
def test_names_that_joined_datasets_lost_are_asked_for(step):
    dataset = JOINED[step](named(coloured(np.array([1, 0])), [0, 1], ["green", "red"]))
    with pytest.raises(tl.InputError, match=r"made with the classes \['green', 'red'\]"):
        as_examples(dataset).encoded_targets(SPEC)


def test_integers_that_may_count_other_classes_are_warned_of():
    x, y = coloured(np.array([1, 0, 1])), [0, 1, 0]
    with pytest.warns(UserWarning, match="only the integers 0 … 1, read as the first of"):
        tl.evaluate(right_model(), tf.data.Dataset.from_tensor_slices((x, y)), verbose=False)
    digits = TargetSpec("classification", 4, ("0", "1", "10", "2"))
    with pytest.warns(UserWarning, match="so that 2 is read as '10'"):
        as_examples((x, [0, 1, 2])).encoded_targets(digits)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_examples((x, ["0", "10", "2"])).encoded_targets(digits)
        as_examples((x, [0, 1, 2])).encoded_targets(SPEC)
        tens = TargetSpec("classification", 10, tuple(map(str, range(10))))
        as_examples((x, [0, 1, 9])).encoded_targets(tens)


def test_names_tell_datasets_of_equal_content_apart():
    x, y = coloured(np.array([0, 1])), [0, 1]
    prints = {as_examples(named(x, y, names)).fingerprint() for names in (CHANNELS[:2], "ab")}
    assert len(prints) == 2
