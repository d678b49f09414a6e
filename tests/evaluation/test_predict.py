"""Predictions of files, folders and every other form of data, from Python."""

import csv
import functools
import importlib
import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tests.data.colours import CHANNELS, coloured, right_model, write_folders
from tl_keras.data import as_examples, dataset_scan

predict = importlib.import_module("tl_keras.predictions.predict")

CLASSES = np.array([0, 1, 2, 2, 1, 0, 2])
X = coloured(CLASSES)
NAMES = [CHANNELS[number] for number in CLASSES]


class Batches(keras.utils.PyDataset):
    """Batches of three examples; `parts` are x, or x and y, or more."""

    def __init__(self, *parts, endless: bool = False):
        super().__init__()
        self.parts, self.endless = parts, endless

    @property
    def num_batches(self):
        return None if self.endless else 3

    def __getitem__(self, index):
        start = 3 * (index % 3)
        rows = tuple(part[start : start + 3] for part in self.parts)
        return rows if len(rows) > 1 else rows[0]


def endless():
    """Yield images for ever."""
    for index in itertools.count():
        yield X[index % 7], CLASSES[index % 7]


def from_generator():
    signature = (tf.TensorSpec([8, 8, 3], tf.uint8), tf.TensorSpec([], tf.int64))
    return tf.data.Dataset.from_generator(endless, output_signature=signature)


@pytest.fixture(scope="module")
def model():
    """One for all tests, none of which trains it: what it runs is traced once."""
    return right_model()


@pytest.fixture(scope="module", autouse=True)
def one_predictor():
    """Let calls of `tl.predict` share what they make of the model: tracing it takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predict, "predictor_of", functools.cache(predict.predictor_of))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    write_folders(path, {"red": 2, "green": 2})
    (path / "red" / "broken.png").write_bytes(b"no image")
    return path


def labels_of(predictions) -> list[str]:
    return [row["label"] for row in predictions.rows]


def test_files_folders_and_patterns(model, folder, tmp_path):
    with pytest.warns(UserWarning, match=r"data: 1 file cannot be read, such as '.*broken.png'"):
        found = tl.predict(model, folder)
    right = [row["file"].split("/")[-2] for row in found.rows if "label" in row]
    assert [row["label"] for row in found.rows if "label" in row] == right
    assert len(found) == 5 and list(found.errors) == [str(folder / "red" / "broken.png")]

    files = sorted((folder / "green").iterdir())
    several = tl.predict(model, files, top=3, batch_size=1)
    assert labels_of(several)[::3] == ["green"] * 2 and len(several.rows) == 6
    one = tl.predict(model, str(files[0]))
    assert one.rows == several.rows[:1]
    assert tl.predict(model, str(folder / "green" / "*.png")).rows == several.rows[::3]
    pixels = np.stack([keras.utils.img_to_array(keras.utils.load_img(file)) for file in files])
    scores = [row["score"] for row in several.rows[::3]]
    np.testing.assert_allclose(scores, model.predict(pixels, verbose=0)[:, 1], rtol=1e-5)

    text = several.to_csv(tmp_path / "new" / "table.csv")
    with open(tmp_path / "new" / "table.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == labels_of(several)
    assert text.startswith("file,task,rank,label,score,error\n")
    results = json.loads(several.to_json())
    assert [one["predictions"][0]["label"] for one in results] == ["green"] * 2
    assert several.to_pandas()["label"].tolist() == labels_of(several)
    with pytest.raises(tl.InputError, match=r"data: 1 file cannot be read, such as 'no\.png'"):
        tl.predict(model, "no.png")


def as_column(files):
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    return pandas.Series(map(str, files))


@pytest.mark.parametrize("form", [tuple, iter, np.array, as_column])
def test_names_of_files_in_any_form(model, folder, form):
    files = sorted((folder / "green").iterdir())
    assert labels_of(tl.predict(model, form(files))) == ["green"] * 2
    with pytest.raises(tl.InputError, match=r"^data: expected images or names of files, got none"):
        tl.predict(model, iter(()))


def test_scaled_images_are_noticed():
    with pytest.warns(UserWarning, match=r"data: the model takes images of 0–255 .* all values"):
        tl.predict(tl.build_transfer_model(tiny_network(), 3), np.zeros((2, 16, 16, 3)) + 0.5)


@pytest.mark.parametrize(
    "data",
    [
        X,
        list(X),
        (X, CLASSES),
        tf.data.Dataset.from_tensor_slices((X, CLASSES)),
        Batches(X),
        Batches(X, CLASSES),
    ],
    ids=["array", "list", "pair", "dataset", "batches", "labelled batches"],
)
def test_arrays_and_datasets(model, data):
    assert labels_of(tl.predict(model, data)) == NAMES


def test_several_tasks_and_values():
    model = tl.build_transfer_model(
        right_model().backbone,
        {"colour": 3, "size": 2},
        head={"colour": "linear", "size": "regression"},
        class_names={"colour": CHANNELS},
    )
    results = tl.predict(model, X[:2]).results
    outputs = model.predict(X[:2], verbose=0)
    for row, result in enumerate(results):
        values = [one["score"] for one in result["tasks"]["size"]]
        np.testing.assert_allclose(values, outputs["size"][row], rtol=1e-5)
        best = CHANNELS[int(outputs["colour"][row].argmax())]
        assert [one["label"] for one in result["tasks"]["colour"]] == [best]


def test_the_model_predicts_image_folders(model, folder):
    with pytest.warns(UserWarning, match="not an image"):
        images = tl.data.image_folder(folder, image_size=8, progress=False)
    expected = [CHANNELS.index(images.class_names[label]) for label in images.labels]
    assert model.predict(images, verbose=0).argmax(axis=1).tolist() == expected
    assert labels_of(tl.predict(model, images)) == [CHANNELS[number] for number in expected]
    np.testing.assert_allclose(model.predict(X, 2, 0), model.predict(X, verbose=0), rtol=1e-4)
    assert len(model.predict(Batches(X), verbose=0)) == 7
    for names in (str(folder), [str(folder)], folder):
        with pytest.raises(tl.InputError, match=r"call tl\.predict\(model, files\)"):
            model.predict(names)
    with pytest.warns(UserWarning, match="not an image"):
        larger = tl.data.image_folder(folder, image_size=9, progress=False)
    with pytest.raises(tl.InputError, match=r"^x: .* Read the images with image_size=\(8, 8\)"):
        model.predict(larger)
    repeated = tf.data.Dataset.from_tensor_slices(X).batch(2).repeat()
    for data in (repeated, Batches(X, endless=True)):
        with pytest.raises(tl.InputError, match="x: expected data with an end"):
            model.predict(data)
    assert len(model.predict(repeated, steps=3, verbose=0)) == 6


def test_keras_batches_train_and_are_evaluated(folder):
    model = right_model()
    run = tl.fine_tune(
        model, Batches(X, CLASSES), Batches(X, NAMES), schedule=tl.Stage(1), verbose=False
    )
    assert run.history["val_accuracy"] == [1.0]
    assert tl.evaluate(model, Batches(X, np.eye(3)[CLASSES]), verbose=False)["accuracy"] == 1.0


def test_a_directory_iterator_brings_its_names(model, tmp_path):
    write_folders(tmp_path, {"red": 3, "green": 4})

    class Iterator(Batches):
        class_indices = {"red": 1, "green": 0}  # noqa: RUF012

    data = Iterator(coloured(np.array([1, 1, 0, 0])), np.array([0, 0, 1, 1]))
    data.parts = (np.concatenate([data.parts[0]] * 2)[:7], np.array([0, 0, 1, 1, 0, 0, 1]))
    assert as_examples(data).class_names == ("green", "red")
    assert tl.evaluate(model, data, verbose=False)["accuracy"] == 1.0


WRONG = {
    "names": (lambda: ["a.png", "b.png"], "got the names of files, such as 'a.png'"),
    "endless batches": (lambda: Batches(X, CLASSES, endless=True), "num_batches is None"),
    "weights": (lambda: Batches(X, CLASSES, CLASSES), "got three parts. Sample weights"),
    "generator": (endless, r"from_generator, and end it with \.take"),
    "repeated": (lambda: from_generator().repeat(), "without end. Leave out .repeat"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_has_no_end_or_another_form_ends_in_one_line(model, name):
    make, text = WRONG[name]
    with pytest.raises(tl.InputError, match=f"^data: .*{text}"):
        tl.evaluate(model, make())
    with pytest.raises(tl.InputError, match=f"^data: .*{text}"):
        tl.fine_tune(model, make())


def test_a_generator_without_end_is_refused(model, monkeypatch):
    monkeypatch.setattr(dataset_scan, "SECONDS_IN_SILENCE", 0.05)
    monkeypatch.setattr(dataset_scan, "SECONDS_OF_A_GENERATOR", 0.3)
    with (
        pytest.warns(UserWarning, match="does not say how long it is"),
        pytest.raises(tl.InputError, match=r"^data: the dataset does not say .* add \.take\(n\)"),
    ):
        tl.evaluate(model, from_generator())
    ended = from_generator().take(7).apply(tf.data.experimental.assert_cardinality(7))
    assert tl.evaluate(model, ended, verbose=False)["accuracy"] == 1.0


UNFIT = {
    "text labels": (Batches(X, np.array(NAMES)), r"call tl\.predict"),
    "a tuple": ((X, NAMES, CLASSES), r"call tl\.predict"),
    "a list of images": (list(X), r"call tl\.predict"),
    "no images": (X[:0], "got none"),
    "nothing": (None, "got None"),
    "gray": (X[..., 0], "axis of channels"),
    "NaN": (np.where(X > 99, np.nan, X), "NaN or infinity"),
    "complex": (X * 1j, "complex128"),
    "no batches": (tf.data.Dataset.from_tensor_slices(X).batch(2).take(0), "got none"),
    "single images": (tf.data.Dataset.from_tensor_slices(X), r"x = x\.batch\(32\)"),
    "a small dataset": (tf.data.Dataset.from_tensors(X[:, :4]), "Resize the images"),
    "small batches": (Batches(X[:, :4], CLASSES), "Resize the images"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_the_model_says_what_it_cannot_predict(model, name):
    data, text = UNFIT[name]
    with pytest.raises(tl.InputError, match=f"^x: expected .*{text}"):
        model.predict(data, verbose=0)


def test_what_keras_takes_is_still_predicted(model):
    expected = model.predict(X, verbose=0)
    batched = tf.data.Dataset.from_tensor_slices((X, NAMES)).batch(3)
    arrays = as_examples(X)
    for data in (tf.constant(X), X.astype("float64"), Batches(X, CLASSES), batched, arrays):
        np.testing.assert_allclose(model.predict(data, verbose=0), expected, rtol=1e-5)
    assert labels_of(tl.predict(model, memoryview(X))) == NAMES


def test_arrays_are_in_the_range_of_the_model():
    model = tl.build_transfer_model(tiny_network(), 3, pixel_range=(0, 4095))
    x = np.full((2, 16, 16, 3), 3000.0)
    examples = as_examples(x)
    np.testing.assert_array_equal(model.predict(examples, verbose=0), model.predict(x, verbose=0))


def test_evaluate_says_how_shapes_are_mended(model):
    with pytest.raises(tl.InputError, match=r"np\.newaxis"):
        tl.evaluate(model, (X[..., 0], CLASSES), verbose=False)


def test_a_dataset_beside_labels_is_told_where_they_go(model):
    with pytest.raises(tl.InputError, match=r"^data: x .*Dataset\.zip"):
        tl.evaluate(model, (tf.data.Dataset.from_tensor_slices(X), NAMES), verbose=False)
