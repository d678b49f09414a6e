"""Training on and evaluation of tables with several labels, values and tasks."""

import csv
import json
import re

import pytest

from tl_keras.cli.tables import Columns, columns_of
from tl_keras.utils.errors import InputError


@pytest.fixture
def table(pictures, tmp_path):
    """A CSV file with a class, tags and a value for each picture."""
    files = sorted(pictures.rglob("*.png"))
    with open(tmp_path / "table.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("file", "colour", "tags", "number"))
        for number, file in enumerate(files):
            tags = f"{file.parent.name}|{'even' if number % 2 else 'odd'}"
            writer.writerow((file, file.parent.name, tags, number / 3))
    return tmp_path / "table.csv"


LABELS = {
    "multi_label": ("--label", "tags", "--separator", "|"),
    "regression": ("--label", "number", "--task", "regression"),
    "tasks": (
        *("--label", "colour=colour", "--label", "number=number", "--task", "number=regression"),
    ),
}


def check_kind(report, kind):
    if kind == "tasks":
        kinds = {task: one["kind"] for task, one in report["tasks"].items()}
        assert kinds == {"colour": "classification", "number": "regression"}
    else:
        assert report["kind"] == kind


OTHERS_SPLITS = {
    "multi_label": ("--validation-split", 0),
    "regression": ("--validation-split", 0, "--test-split", 0),
}
"""Tasks are validated and tested with; one of them is a regression."""


@pytest.mark.parametrize(
    "kind",
    ["tasks", *(pytest.param(k, marks=pytest.mark.slow) for k in ("multi_label", "regression"))],
)
def test_tables_are_trained_on_and_evaluated(tl_keras_cli, tiny_backbone, table, tmp_path, kind):
    run, words = tmp_path / "run", ("--path-column", "file", *LABELS[kind])
    code, out, err = tl_keras_cli(
        *("train", table, "--output", run, "--backbone", tiny_backbone, *words),
        *("--schedule", "feature_extraction", "--epochs", 1, "--strategy", "one_device"),
        *OTHERS_SPLITS.get(kind, ()),
    )
    assert code == 0, err
    assert "ImageTable(" in out
    if kind != "regression":
        check_kind(json.loads((run / "report.json").read_text()), kind)
    if kind == "tasks":
        words = ("--path-column", "file")
    report = tmp_path / "report.json"
    code, _, err = tl_keras_cli("evaluate", run, table, *words, "--json", report)
    assert code == 0, err
    found = json.loads(report.read_text())
    check_kind(found, kind)
    assert (found["tasks"]["colour"] if kind == "tasks" else found)["examples"] == 24


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--label", "tag"), "--label: .* has no column 'tag'. Did you mean 'tags'"),
        (("--label", "number"), "--label: expected the class of each image"),
        (("--label", "tags", "--task", "labels"), "--task: expected 'classification'"),
        (("--label", "number", "--task", "regression", "--positive", "1"), "--positive: it needs"),
        (("--label", "tags", "--separator", "|", "--head", "cosine"), "--head: the labels need"),
    ],
)
def test_wrong_options(tl_keras_cli, tiny_backbone, table, tmp_path, words, text):
    code, _, err = tl_keras_cli(
        *("train", table, "--output", tmp_path / "run", "--backbone", tiny_backbone),
        *("--path-column", "file", *words),
    )
    assert code == 2 and re.search(text, err)


def test_options_as_columns():
    assert columns_of(None, [], [], None) is None
    assert columns_of("file", ["a", "b"], ["regression"], None) == Columns(
        "file", ["a", "b"], "regression"
    )
    assert columns_of(None, ["x=a", "x=b", "y=c"], ["x=regression"], None) == Columns(
        "path", {"x": ["a", "b"], "y": "c"}, {"x": "regression"}
    )
    with pytest.raises(InputError, match="--label: with several tasks, expected TASK=COLUMN"):
        columns_of(None, ["x=a", "b"], [], None)
    with pytest.raises(InputError, match=r"--task: .* are tasks, and --label names none"):
        columns_of(None, ["a"], ["x=regression"], None)


def test_splits_are_refused_with_the_command(tl_keras_cli, write_pictures, tiny_backbone, tmp_path):
    for split in ("train", "val", "test"):
        write_pictures(tmp_path / "data" / split, count=1)
    code, _, err = tl_keras_cli(
        *("train", tmp_path / "data", "--output", tmp_path / "run", "--backbone", tiny_backbone)
    )
    data = tmp_path / "data"
    command = f"tl-keras train {data / 'train'} --test {data / 'test'} --validation {data / 'val'}"
    parts = set(command.split(" --"))
    assert code == 2 and all(part in err for part in parts)
