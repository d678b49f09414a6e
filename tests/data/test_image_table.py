"""Tables of image files with classes, several labels, values, and several tasks."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.data.images import noise, read_plainly
from tl_keras.data import ImageTable, image_folder, image_table
from tl_keras.data.files.splits import balanced_split
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    read_plainly(monkeypatch)
    (tmp_path / "images").mkdir()
    for number in range(12):
        noise(height=16, width=16, seed=number).save(tmp_path / "images" / f"{number:02}.png")
    return tmp_path


def paths(count=12):
    return [f"images/{number:02}.png" for number in range(count)]


def write(folder, columns, name="table.csv"):
    pd.DataFrame(columns).to_csv(folder / name, index=False)
    return folder / name


def sources(folder, columns):
    """Return keyword arguments that read the same table from CSV and from a DataFrame."""
    frame = pd.DataFrame(columns)
    return [{"table": write(folder, columns)}, {"table": frame, "folder": folder}]


def read(table, **options):
    return image_table(table, image_size=8, progress=False, **options)


TAGS = ["cat indoor", "cat", "dog outdoor", "dog", "cat outdoor", "indoor"] * 2


@pytest.mark.parametrize("separator", [" ", ", "])
def test_several_labels_in_one_cell(folder, separator):
    cells = [tags.replace(" ", separator) for tags in TAGS]
    names = ("cat", "dog", "indoor", "outdoor")
    expected = np.array([[name in tags.split() for name in names] for tags in TAGS])
    for source in sources(folder, {"path": paths(), "tags": cells}):
        images = read(**source, label="tags", separator=separator)
        assert images.class_names == names and images.num_classes == 4
        spec = TargetSpec("multi_label", 4, names)
        np.testing.assert_array_equal(images.encoded_targets(spec), expected)
        turned = TargetSpec("multi_label", 5, (*names[::-1], "bird"))
        np.testing.assert_array_equal(
            images.encoded_targets(turned), np.c_[expected[:, ::-1], np.zeros(12)]
        )


def test_other_forms_of_several_labels(folder):
    names = ("cat", "dog", "indoor", "outdoor")
    split = [tags.split() for tags in TAGS]
    expected = np.array([[name in tags for name in names] for tags in split], np.float32)
    one_each = {
        "path": [path for path, tags in zip(paths(), split, strict=True) for _ in tags],
        "tag": [tag for tags in split for tag in tags],
    }
    wide = {"path": paths(), "one": [t[0] for t in split], "two": [(*t, "")[1] for t in split]}
    zeros_and_ones = {"path": paths(), **dict(zip(names, expected.T.astype(int), strict=True))}
    spec = TargetSpec("multi_label", 4, names)
    for columns, label in [(one_each, "tag"), (wide, ["one", "two"]), (zeros_and_ones, names)]:
        for source in sources(folder, columns):
            images = read(**source, label=label, task="multi_label")
            assert images.class_names == names
            np.testing.assert_array_equal(images.encoded_targets(spec), expected)
            assert images.problems == []
    lists = pd.DataFrame({"path": paths(), "label": split})
    lists.at[0, "label"] = []
    images = read(lists, folder=folder)
    np.testing.assert_array_equal(images.encoded_targets(spec), [[0] * 4, *expected[1:]])


def test_values(folder):
    values = np.random.default_rng(0).normal(2e5, 3e4, (12, 2))
    columns = {"path": paths(), "width": values[:, 0], "height": values[:, 1]}
    for source in sources(folder, columns):
        one = read(**source, label="height", task="regression")
        np.testing.assert_allclose(
            one.encoded_targets(TargetSpec("regression", 1)), values[:, 1:], rtol=1e-6
        )
        assert one.class_names is None and one.num_classes == 1
        two = read(**source, label=["width", "height"], task="regression")
        np.testing.assert_allclose(
            two.encoded_targets(TargetSpec("regression", 2)), values, rtol=1e-6
        )
        turned = TargetSpec("regression", 2, ("height", "width"))
        np.testing.assert_allclose(two.encoded_targets(turned), values[:, ::-1], rtol=1e-6)


def several_tasks(folder):
    random = np.random.default_rng(1)
    columns = {
        "file": paths(),
        "species": np.array(["cat", "dog", "owl"])[np.arange(12) % 3],
        "age": random.normal(5, 2, 12),
        "tags": TAGS,
    }
    return columns, {
        "label": {"species": "species", "age": "age", "tags": "tags"},
        "task": {"age": "regression", "tags": "multi_label"},
        "separator": " ",
        "path": "file",
    }


def test_several_tasks(folder):
    columns, arguments = several_tasks(folder)
    names = ("cat", "dog", "indoor", "outdoor")
    spec = {
        "age": TargetSpec("regression", 1),
        "species": TargetSpec("classification", 3, ("owl", "cat", "dog")),
        "tags": TargetSpec("multi_label", 4, names),
    }
    for source in sources(folder, columns):
        images = read(**source, **arguments)
        assert images.num_classes == {"species": 3, "age": 1, "tags": 4}
        assert images.class_names == {"species": ("cat", "dog", "owl"), "tags": names}
        y = images.encoded_targets(spec)
        np.testing.assert_allclose(y["age"][:, 0], columns["age"], rtol=1e-6)
        np.testing.assert_array_equal(y["species"].argmax(1), (np.arange(12) + 1) % 3)
        np.testing.assert_array_equal(y["tags"][0], [1, 0, 1, 0])
        x, parts = next(iter(images.batches(spec, 5)))
        assert x.shape == (5, 8, 8, 3) and parts["tags"].shape == (5, 4)


def test_kinds_are_seen_or_refused(folder):
    random = np.random.default_rng(2)
    real = write(folder, {"path": paths(), "label": random.random(12).round(4)}, "real.csv")
    for reader in (image_folder, image_table):
        with pytest.raises(InputError, match=r"image_table\(.*task='regression'\)"):
            reader(real, image_size=8)
    assert len(read(real, task="classification").class_names) == 12
    for values, task in ((["0,25", "1,5", "2"] * 4, None), (["1,5", "2,5"] * 6, "regression")):
        comma = write(folder, {"path": paths(), "label": values}, "comma.csv")
        with pytest.raises(InputError, match=r"decimal comma in 'label', such as '.,.*decimal=','"):
            read(comma, task=task)
    codes = [1, 10, 2] * 4
    for source in sources(folder, {"path": paths(), "label": codes}):
        assert read(**source).class_names == ("1", "2", "10")
    classes = image_folder(write(folder, {"path": paths(), "label": codes}), image_size=8)
    assert classes.class_names == ("1", "2", "10")
    assert [int(classes.class_names[label]) for label in classes.labels] == codes
    frame = pd.DataFrame({"path": paths(), "label": [0.0, 1.0, None] * 4})
    with pytest.warns(UserWarning, match="4 problems"):
        assert read(frame, folder=folder).class_names == ("0", "1")


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (TAGS, " "),
        ([tags.replace(" ", "|") for tags in TAGS], "|"),
        ([tags.replace(" ", ";") for tags in TAGS], ";"),
        ([tags.replace(" ", ", ") for tags in TAGS], ","),
        (["golden retriever", "Persian cat", "tench, Tinca tinca"] * 4, None),
        (["cat", "dog"] * 6, None),
    ],
)
@pytest.mark.parametrize("reader", [image_folder, image_table])
def test_cells_that_look_like_several_labels_are_said(folder, reader, labels, separator):
    table = write(folder, {"path": paths(), "label": labels})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reader(table, image_size=8)
    texts = [str(one.message) for one in caught]
    if separator is None:
        assert texts == []
    else:
        assert len(texts) == 1 and f"separator={separator!r}" in texts[0]


def test_rows_that_contradict(folder):
    twice = {"path": [*paths(), *paths()], "label": ["cat", "dog"] * 6 + ["in", "out"] * 6}
    for reader in (image_folder, image_table):
        with pytest.raises(InputError, match=r"12 of 12 images .* task='multi_label'"):
            reader(write(folder, twice), image_size=8)
    assert read(write(folder, twice), task="multi_label").class_names == ("cat", "dog", "in", "out")
    few = {"path": [*paths(), paths()[0]], "label": ["cat", "dog"] * 6 + ["dog"]}
    with pytest.warns(UserWarning, match="'cat' and 'dog', the first is kept.*'multi_label'"):
        images = image_folder(write(folder, few), image_size=8)
    assert images.labels[0] == 0 and len(images) == 12
    lines = ["path,label", *(f"{path},cat,indoor" for path in paths(2)), f"{paths(3)[2]},dog"]
    (folder / "loose.csv").write_text("\n".join([*lines, f"{paths(4)[3]},cat"]))
    with pytest.warns(UserWarning, match="has 3 cells for 2 columns; quote a cell"):
        assert len(image_folder(folder / "loose.csv", image_size=8)) == 2


@pytest.mark.parametrize("words", [("True", "False"), ("yes", "no"), ("Y", "N"), ("TRUE", "0")])
def test_columns_of_yes_and_no_are_labels(folder, words):
    held = np.array([[row % 2, row // 2 % 2] for row in range(12)], bool)
    columns = {"path": paths()} | {
        name: [words[0] if one else words[1] for one in held[:, index]]
        for index, name in enumerate(("red", "green"))
    }
    for source in sources(folder, columns):
        images = read(**source, label=["red", "green"], task="multi_label")
        assert images.class_names == ("red", "green")
        spec = TargetSpec("multi_label", 2, ("red", "green"))
        np.testing.assert_array_equal(images.encoded_targets(spec), held)


def test_columns_that_mix_marks_and_names_are_refused(folder):
    some = {"path": paths(), "red": [0, 1] * 6, "more": ["round", "flat"] * 6}
    with pytest.raises(InputError, match=r"0 or 1 in a column .* only \['red'\] hold it"):
        read(write(folder, some), label=["red", "more"], task="multi_label")
    marks = {"path": paths(), "red": ["x", ""] * 6, "green": ["x", "x", ""] * 4}
    with pytest.raises(InputError, match=r"all cells are \{'x'\}. Write 0 and 1"):
        read(write(folder, marks), label=["red", "green"], task="multi_label")


def test_a_number_is_one_class_however_it_is_written(folder):
    mixed = {"path": paths(), "label": ["0", "1", "2", "0.0", "1.0", "2.00"] * 2}
    assert read(write(folder, mixed)).class_names == ("0", "1", "2")
    floats = {"path": paths(), "label": [0.0, 1.0, 2.0] * 4}
    for source in sources(folder, floats):
        assert read(**source).class_names == ("0", "1", "2")
    codes = {"path": paths(), "label": ["00", "01", "10"] * 4}
    assert read(write(folder, codes)).class_names == ("00", "01", "10")


@pytest.mark.parametrize("cell", ["{}%", "{} EUR", "2024-05-{:02}", "name{}", "{}"])
def test_classes_of_one_image_each_are_pointed_out(folder, cell):
    table = {"path": paths(), "label": [cell.format(number) for number in range(12)]}
    with pytest.warns(UserWarning, match="labels of 12 images are 12 classes"):
        read(write(folder, table))


def test_separators_that_fit_in_part_are_pointed_out(folder):
    table = {"path": paths(), "label": ["red, green", "blue,red", "red"] * 4}
    with pytest.warns(UserWarning, match="'blue,red' is read as one label.* such as ','"):
        read(write(folder, table), separator=", ")


def test_a_repeated_index_hides_no_row(folder):
    half = pd.DataFrame({"path": paths(), "label": range(12)})
    frame = pd.concat([half, half.assign(label=range(100, 112))])
    with pytest.raises(InputError, match=r"12 of 12 images .* Keep one row for each image"):
        read(frame, folder=folder, task="regression")
    tags = pd.concat([half.assign(label="cat"), half.assign(label="indoor")])
    images = read(tags, folder=folder, task="multi_label")
    spec = TargetSpec("multi_label", 2, ("cat", "indoor"))
    np.testing.assert_array_equal(images.encoded_targets(spec), np.ones((12, 2)))


def test_splits_share_out_labels_values_and_tasks(folder):
    for seed in range(5):
        random = np.random.default_rng(seed)
        chance = np.array([0.5, 0.3, 0.1, 0.05])
        has = random.random((300, 4)) < chance
        names = [f"{row}.png" for row in range(300)]
        labels = [np.flatnonzero(row).tolist() for row in has]
        parts = balanced_split(names, labels, (0.7, 0.15, 0.15), seed)
        joined = np.concatenate(parts)
        assert sorted(joined) == list(range(300))
        for part, fraction in zip(parts, (0.7, 0.15, 0.15), strict=True):
            assert abs(len(part) - 300 * fraction) <= 5
            assert np.abs(has[part].sum(0) - fraction * has.sum(0)).max() <= 3
        order = random.permutation(300)
        moved = balanced_split(
            [names[row] for row in order], [labels[row] for row in order], (0.7, 0.15, 0.15), seed
        )
        assert [set(order[part]) for part in moved] == [set(part) for part in parts]
    values = np.arange(12) ** 3.0
    table = write(folder, {"path": paths(), "label": values})
    train, test = read(table, task="regression", split=(0.5, 0.5), seed=3)
    assert len(train) == len(test) == 6 and not set(train.paths) & set(test.paths)
    columns, arguments = several_tasks(folder)
    parts = read(write(folder, columns), **arguments, split=(0.5, 0.5))
    assert [len(part) for part in parts] == [6, 6]
    assert all(np.bincount(part.labels["species"].values).tolist() == [2, 2, 2] for part in parts)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"label": "tag"}, r"label: .* has no column 'tag'\. Did you mean 'tags'"),
        ({"path": "file"}, "path: .* has no column 'file'.* Name one of its columns, .'"),
        ({"task": "regresion"}, "task: expected .* Did you mean 'regression'"),
        ({"label": ["tags", "age"]}, r"Pass task='multi_label', as their cells look, or label=\{"),
        ({"label": ["age", "size"]}, "Pass task='regression', as their cells look"),
        ({"label": ["age", "size"], "task": "multi_label"}, "expected 0 or 1 in a column"),
        ({"label": ["tags", "tags"]}, "several different ones"),
        ({"label": {}}, "at least one task"),
        ({"label": {"a": "tags"}, "task": {"b": "regression"}}, "task: .'b'. are not tasks"),
        ({"label": "tags", "task": "regression"}, "lists no readable image with a label"),
        ({"label": "tags", "separator": ""}, "separator: expected text"),
        ({"label": {"a": "tags"}, "separator": " "}, "none of the tasks .'a'. is said to have"),
        ({"label": "tags", "task": "classification", "separator": " "}, "has no separator"),
        (
            {"label": "one", "split": (0.5, 0.5)},
            r"at least 2 classes in the columns \['one'\], got \['1'\]. Without split, one is read",
        ),
    ],
)
def test_wrong_arguments(folder, arguments, text):
    columns = {"path": paths(), "tags": TAGS, "one": 1, "age": np.arange(12), "size": 0.5}
    with warnings.catch_warnings(), pytest.raises(InputError, match=text):
        warnings.simplefilter("ignore")
        read(write(folder, columns), **{"label": "tags", **arguments})


def test_one_class_is_read_to_test_on_and_not_to_train_on(folder):
    kinds = np.array(["new", "old"] * 6)
    table = {"path": paths(), "kind": kinds, "only": "old", "age": np.arange(12) / 3}
    columns = {"kind": "only", "age": "age"}
    task = {"age": "regression"}
    one, tasks, all_tasks = (
        image_table(write(folder, table), image_size=16, **arguments)
        for arguments in (
            {"label": "only"},
            {"label": columns, "task": task},
            {"label": {**columns, "kind": "kind"}, "task": task},
        )
    )
    model = tl.build_transfer_model(tiny_network(), class_names=["new", "old"])
    assert tl.evaluate(model, one, verbose=False)["accuracy"] <= 1
    assert one.encoded_targets(model.targets).tolist() == [[0.0, 1.0]] * 12
    with pytest.raises(InputError, match="all examples are of one class, 'old'; training needs"):
        tl.fine_tune(model, one, verbose=False)
    model = tl.build_transfer_model(
        tiny_network(),
        all_tasks.num_classes,
        head={"kind": "linear", "age": "regression"},
        class_names=all_tasks.class_names,
    )
    assert tl.evaluate(model, tasks, verbose=False)["kind"]["accuracy"] <= 1
    with pytest.raises(InputError, match="one class of the task 'kind', 'old'; training needs"):
        tl.fine_tune(model, tasks, verbose=False)


def test_wrong_tables(folder):
    for table, text in [
        (folder, "got '.*', which is a folder"),
        (folder / "gone.csv", "which is no file"),
        ([1, 2], "expected a CSV file or a DataFrame, got list"),
    ]:
        with pytest.raises(InputError, match=text):
            read(table)


def test_heads_of_another_kind_are_refused(folder):
    table = write(folder, {"path": paths(), "label": TAGS, "value": np.linspace(0, 1, 12)})
    classes = read(table, task="classification")
    labels = read(table, separator=" ")
    values = read(table, label="value", task="regression")
    multi, real = TargetSpec("multi_label", 4), TargetSpec("regression", 1)
    for images, spec, text in [
        (classes, real, "one class per image, the model has a regression head"),
        (labels, TargetSpec("classification", 4), "several labels .*head='multi_label'"),
        (values, multi, "real values, .*head='regression'"),
        (labels, TargetSpec("multi_label", 3), "num_classes=3 without class names"),
        (labels, TargetSpec("multi_label", 2, ("cat", "dog")), "unknown labels .'indoor'"),
        (values, {"age": real}, "the model has the tasks"),
    ]:
        with pytest.raises(InputError, match=text):
            images.encoded_targets(spec)


def test_training_evaluation_and_fingerprints(folder, tmp_path):
    columns, arguments = several_tasks(folder)
    train, test = read(write(folder, columns), **arguments, split=(0.5, 0.5))
    assert isinstance(train, ImageTable)
    assert re.match(r"ImageTable\(6 images, species: 3 classes, age: 1 value,", repr(train))
    assert "dog" in train.summary() and " … " in train.summary()
    assert len({train.fingerprint(), test.fingerprint()}) == 2
    heads = {"species": "linear", "age": "regression", "tags": "multi_label"}

    def build():
        train, _ = image_table(
            folder / "table.csv", **arguments, image_size=16, progress=False, split=(0.5, 0.5)
        )
        model = tl.build_transfer_model(
            tiny_network(), train.num_classes, head=heads, class_names=train.class_names
        )
        return train, model

    runs = []
    for _ in range(2):
        train, model = build()
        runs.append(tl.fine_tune(model, train, schedule=(tl.Stage(2),), output=tmp_path / "run"))
    first, again = (run.model.get_weights() for run in runs)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    reports = tl.evaluate(runs[1].model, train)
    y = np.array([columns["age"][int(path[-6:-4])] for path in train.paths])
    predicted = reports["age"].probabilities[:, 0]
    error = np.mean((y - predicted) ** 2)
    np.testing.assert_allclose(reports["age"]["root_mean_squared_error"] ** 2, error, rtol=1e-4)


def test_fingerprints_know_whose_values_they_are(folder):
    values = {"path": paths(4), "x": [0.5, 1.5, 2.5, 3.5], "y": [3.5, 2.5, 0.5, 1.0]}
    swapped = {"path": paths(4), "y": values["x"], "x": values["y"]}
    found = {
        read(pd.DataFrame(columns), label=label, task="regression", folder=folder).fingerprint()
        for columns, label in ((values, ["x", "y"]), (swapped, ["y", "x"]))
    }
    assert len(found) == 2


@pytest.mark.parametrize("cell", ["1_000", "2_5"])
def test_digits_with_underscores_are_text(folder, cell):
    columns = {"path": paths(4), "price": [cell, "1", "2", "3"]}
    with pytest.warns(UserWarning, match="not a number"):
        images = read(pd.DataFrame(columns), label="price", task="regression", folder=folder)
    assert len(images) == 3


def test_addresses_are_named_as_such(folder):
    address = "http://example.org/a/0.png"
    table = {"path": [*paths(), address], "label": ["cat", "dog"] * 6 + ["cat"]}
    with pytest.warns(UserWarning, match="http://example.org/a/0.png.*it is an address"):
        assert len(read(write(folder, table))) == 12
