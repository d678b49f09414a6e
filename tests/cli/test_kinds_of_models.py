"""Commands on models of several labels, of values and of several tasks, and tables for them."""

import csv
import json

import keras
import pytest

import tl_keras as tl
from tl_keras.cli.evaluate import positive_of
from tl_keras.data import ImageTable
from tl_keras.evaluation.positive import positive_classes

KINDS = {
    "labels": {"num_classes": None, "head": "multi_label", "class_names": ["blue", "even", "red"]},
    "values": {"num_classes": 1, "head": "regression"},
    "tasks": {
        "num_classes": {"colour": 3, "number": 1, "even": 2},
        "head": {"number": "regression"},
        "class_names": {"colour": ["blue", "green", "red"], "even": ["no", "yes"]},
    },
}


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_backbone):
    """Kind → the file of a model."""
    folder = tmp_path_factory.mktemp("models")
    backbone = keras.saving.load_model(tiny_backbone)
    for kind, arguments in KINDS.items():
        tl.build_transfer_model(backbone, **arguments).save(folder / f"{kind}.keras")
    return folder


@pytest.fixture
def tables(pictures, tmp_path):
    """A folder with a table for each kind of model, of eight pictures."""
    rows = {"labels": [("path", "label")], "values": [("path", "label")]}
    rows["tasks"] = [("path", "colour", "number", "even")]
    rows["joined"] = [("path", "label")]
    for number, file in enumerate(sorted(pictures.rglob("*.png"))[::3]):
        colour, even = file.parent.name.replace("green", "red"), number % 2 == 0
        rows["labels"] += [(file, colour), *[(file, "even")] * even]
        rows["joined"].append((file, f"{colour}|even" if even else colour))
        rows["values"].append((file, number / 3))
        rows["tasks"].append((file, colour, number / 3, "yes" if even else "no"))
    for name, lines in rows.items():
        with open(tmp_path / f"{name}.csv", "w", newline="") as stream:
            csv.writer(stream).writerows(lines)
    return tmp_path


def test_every_label_of_a_table_counts(tl_keras_cli, models, tables):
    report = tables / "report.json"
    words = ("evaluate", models / "labels.keras", tables / "labels.csv", "--json", report)
    code, _, err = tl_keras_cli(*words)
    assert (code, err) == (0, "")
    support = {row["label"]: row["support"] for row in json.loads(report.read_text())["per_class"]}
    assert support == {"blue": 3, "even": 4, "red": 5}
    code, _, err = tl_keras_cli("evaluate", models / "labels.keras", tables / "joined.csv")
    assert code == 2 and "Rename or remove these labels. If cells hold several labels, pass " in err
    assert "--separator '|'" in err


@pytest.mark.parametrize("kind", KINDS)
def test_an_accuracy_is_asked_of_one_class_per_image(tl_keras_cli, models, tables, kind):
    words = ("evaluate", models / f"{kind}.keras", tables / f"{kind}.csv")
    code, out, err = tl_keras_cli(*words, "--assert-accuracy-at-least", 0.5)
    assert (code, out) == (2, "")
    assert err == (
        "error: --assert-accuracy-at-least: it needs one class per image. Leave it out.\n"
    )


def test_the_positive_class_of_a_task(tl_keras_cli, models, tables):
    report = tables / "report.json"
    words = ("evaluate", models / "tasks.keras", tables / "tasks.csv", "--json", report)
    code, _, err = tl_keras_cli(*words, "--positive", "even=no")
    assert code == 0, err
    tasks = json.loads(report.read_text())["tasks"]
    assert {name: one["positive"] for name, one in tasks.items()} == {
        "colour": None,
        "number": None,
        "even": "no",
    }
    targets = keras.saving.load_model(models / "tasks.keras").targets
    for word in ("even=no", "even=0", "no"):
        found = positive_classes(targets, positive_of(word, targets))
        assert found == {"colour": None, "number": None, "even": 0}


def test_the_task_of_a_positive_class_is_asked_for(tl_keras_cli, models, tables, tiny_backbone):
    backbone = keras.saving.load_model(tiny_backbone)
    tl.build_transfer_model(backbone, {"a": 2, "b": 2}).save(tables / "two.keras")
    (tables / "two.csv").write_text("path,a,b\n")
    with open(tables / "values.csv") as stream, open(tables / "two.csv", "a") as two:
        two.writelines(
            f"{row['path']},{number % 2},{number % 2}\n"
            for number, row in enumerate(csv.DictReader(stream))
        )
    code, _, err = tl_keras_cli(
        "evaluate", tables / "two.keras", tables / "two.csv", "--positive", "0"
    )
    assert code == 2
    assert "--positive: for the tasks a, b, of which 2 have two classes, expected TASK=CLASS" in err


@pytest.mark.parametrize("kind", KINDS)
def test_representative_images_of_every_kind(tl_keras_cli, monkeypatch, models, tables, kind):
    given = []

    def exporter(model, path, *, representative, **_):
        given.append(representative)
        path.write_bytes(b"x")

    monkeypatch.setattr("tl_keras.export.tflite", exporter)
    words = ("export", models / f"{kind}.keras", "--format", "tflite-int8")
    words += ("--output", tables / "m.tflite", "--representative")
    code, _, err = tl_keras_cli(*words, tables / f"{kind}.csv")
    assert (code, err) == (0, "")
    assert isinstance(given[0], ImageTable) and len(given[0]) == 8
    (tables / "empty.csv").write_text("file,class\n")
    code, _, err = tl_keras_cli(*words, tables / "empty.csv")
    assert code == 2 and err.startswith("error: --representative: ")


def test_options_of_columns_are_for_tables(tl_keras_cli, models, pictures):
    words = ("evaluate", models / "labels.keras", pictures, "--label", "colour")
    code, _, err = tl_keras_cli(*words)
    assert code == 2 and err.startswith("error: DIR: --path-column, --label, ")
    assert "is a folder. Leave them out" in err


def test_errors_name_the_part_that_they_are_in(
    tl_keras_cli, tables, write_pictures, tiny_backbone, tmp_path
):
    splits = tmp_path / "splits"
    for split in ("train", "test"):
        write_pictures(splits / split, count=1)
    words = ("train", tables / "labels.csv", "--task", "multi_label", "--label", "label")
    words += ("--output", tmp_path / "run", "--backbone", tiny_backbone, "--test")
    (tables / "binary.csv").write_bytes(b"\x00\xff\xfe")
    code, _, err = tl_keras_cli(*words, tables / "binary.csv")
    assert code == 2 and err.startswith("error: --test: "), err
    words = ("train", splits / "train", "--validation-split", 0, *words[6:])
    code, _, err = tl_keras_cli(*words, splits)
    assert code == 2
    assert err == (
        f"error: --test: {str(splits)!r} holds splits, which would be read as classes. Name one of "
        "them.\n"
    )
