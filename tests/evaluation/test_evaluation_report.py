import json
import math

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix

from tl_keras.evaluation import Report, TaskReports
from tl_keras.evaluation.tables import number, text_table
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

CLASSES = TargetSpec("classification", 3, ("ant", "bee", "[cat]"))
TRUE = [0, 0, 1, 1, 2, 2]
PROBABILITIES = np.array(
    [
        [0.8, 0.1, 0.1],
        [0.2, 0.7, 0.1],
        [0.1, 0.8, 0.1],
        [0.95, 0.05, 0.0],
        [0.3, 0.3, 0.4],
        [0.2, 0.6, 0.2],
    ],
    np.float32,
)


def three_classes():
    return Report.of(CLASSES, CLASSES.encode(TRUE), PROBABILITIES)


def multi_label(size=3, n=40):
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(n, size)) < 0.5).astype(np.float32)
    return Report.of(
        TargetSpec("multi_label", size), targets, rng.uniform(size=(n, size)).astype(np.float32)
    )


def two_classes():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, 80)
    score = 1 / (1 + np.exp(-(2 * true - 1 + rng.normal(size=80))))
    spec = TargetSpec("classification", 2, ("healthy", "ill"))
    return Report.of(spec, spec.encode(true), np.stack([1 - score, score], axis=1))


def regression(size=1):
    rng = np.random.default_rng(0)
    targets = rng.normal(size=(25, size)).astype(np.float32)
    predictions = targets + rng.normal(scale=0.2, size=(25, size)).astype(np.float32)
    return Report.of(TargetSpec("regression", size), targets, predictions)


def test_classification():
    report = three_classes()
    assert len(report) == 6
    assert report["accuracy"] == pytest.approx(3 / 6)
    assert np.array_equal(report.confusion, confusion_matrix(TRUE, PROBABILITIES.argmax(axis=1)))
    assert [row["class"] for row in report.per_class] == ["ant", "bee", "[cat]"]
    assert [row["support"] for row in report.per_class] == [2, 2, 2]


def test_multi_label_confusion_has_one_table_for_each_label():
    report = multi_label()
    for table, true, score in zip(
        report.confusion, report.targets.T, report.probabilities.T, strict=True
    ):
        chosen = score >= 0.5
        expected = [[(~chosen & (true == 0)).sum(), (chosen & (true == 0)).sum()]]
        expected += [[(~chosen & (true == 1)).sum(), (chosen & (true == 1)).sum()]]
        assert table.tolist() == expected


def test_printed_tables():
    lines = str(three_classes()).splitlines()
    assert lines[0] == "6 examples"
    assert any(line.split() == ["accuracy", "0.5000"] for line in lines)
    assert any(line.split()[:2] == ["[cat]", "1.0000"] for line in lines if line)
    assert all(line == line.rstrip() for line in lines)


def test_many_classes_show_the_worst_rows():
    size = 40
    true = np.repeat(np.arange(size), 2)
    probabilities = np.eye(size)[true]
    probabilities[[74, 75]] = np.eye(size)[[36, 36]]
    spec = TargetSpec("classification", size)
    text = str(Report.of(spec, spec.encode(true), probabilities))
    rows = text[text.index("by class, the 30 worst of 40 by f1") :].splitlines()
    cells = [row.split() for row in rows if row.strip()]
    assert [cell[0] for cell in cells[3:5]] == ["37", "36"]
    assert len(cells) == 3 + 30


def test_json_is_strict_and_complete(tmp_path):
    report = Report.of(CLASSES, CLASSES.encode([0, 0, 0]), PROBABILITIES[:3])
    path = tmp_path / "out" / "report.json"
    text = report.to_json(path)
    assert path.read_text(encoding="utf-8") == text

    def refuse(constant):
        raise ValueError(constant)

    values = json.loads(text, parse_constant=refuse)
    assert values == report.to_dict()
    assert math.isnan(report["auc"]) and values["metrics"]["auc"] is None
    assert values["labels"] == ["ant", "bee", "[cat]"]
    assert values["confusion"] == [[1, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert values["examples"] == 3


def test_most_confident_errors():
    assert three_classes().most_confident_errors().tolist() == [3, 1, 5]
    assert three_classes().most_confident_errors(1).tolist() == [3]
    values = Report.of(
        TargetSpec("regression", 1), np.zeros((3, 1)), np.array([[1.0], [-3.0], [0.0]])
    )
    assert values.most_confident_errors().tolist() == [1, 0]
    labels = Report.of(
        TargetSpec("multi_label", 2),
        np.array([[1.0, 0], [0, 0], [1, 1]]),
        np.array([[0.6, 0.4], [0.7, 0.2], [0.1, 0.9]]),
    )
    assert labels.most_confident_errors().tolist() == [2, 1]


def test_unknown_metric():
    with pytest.raises(InputError, match=r"no such metric\. Did you mean 'accuracy'"):
        three_classes()["acuracy"]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (np.full((6, 3), 0.5), "sum to 1, got a row that sums to 1.500"),
        (PROBABILITIES * 9 - 3, "expected probabilities from 0 to 1, got outputs from -3"),
        (np.full((6, 3), np.nan), "6 of 6 examples are NaN or infinite, the first for example 0"),
        (PROBABILITIES[:, :2], r"expected outputs of shape \(6, 3\), got \(6, 2\)"),
    ],
)
def test_outputs_that_cannot_be_evaluated(outputs, message):
    with pytest.raises(InputError, match=message):
        Report.of(CLASSES, CLASSES.encode(TRUE), outputs)


@pytest.mark.parametrize(
    ("make", "titles"),
    [
        (three_classes, ["Confusion matrix", "Reliability"]),
        (two_classes, ["Confusion matrix", "Reliability", "ROC of ill"]),
        (multi_label, ["F1 by label", "average precision by label"]),
        (regression, ["Predicted: 0"]),
        (lambda: regression(2), ["Predicted: 0", "Predicted: 1"]),
    ],
)
def test_figures(tmp_path, make, titles):
    figure = make().plot(tmp_path / "report.png")
    drawn = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert [title.split(" (")[0] for title in drawn] == titles
    with Image.open(tmp_path / "report.png") as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_reliability_bars_are_the_accuracy_of_their_bin():
    figure = three_classes().plot()
    accuracy, gaps = figure.axes[1].containers
    heights = [bar.get_height() for bar in accuracy]
    # Confidences 0.4 | 0.6 | 0.7 | 0.8, 0.8 | 0.95 lie in five bins of fifteen.
    assert heights == pytest.approx([1, 0, 0, 1, 0])
    # What bars lack to the mean confidence, and no dots that repeat them.
    assert [gap.get_height() for gap in gaps] == pytest.approx([-0.6, 0.6, 0.7, -0.2, 0.95])
    assert [line.get_linestyle() for line in figure.axes[1].get_lines()] == ["--"]


def test_the_share_of_examples_has_a_panel_of_its_own():
    figure = two_classes().plot()
    (below,) = [axes for axes in figure.axes if axes.get_ylabel() == "share of\nexamples"]
    assert sum(bar.get_height() for bar in below.patches) == pytest.approx(1)
    assert len(figure.axes[1].containers) == 2


def test_tasks(tmp_path):
    reports = TaskReports({"insect": three_classes(), "weight": regression()})
    assert reports["insect"]["accuracy"] == reports["insect/accuracy"] == 0.5
    assert "weight/r2" in reports.metrics
    assert "insect: 6 examples" in str(reports)
    assert json.loads(reports.to_json())["tasks"]["insect"] == three_classes().to_dict()
    reports.plot(tmp_path / "tasks.png")
    assert (tmp_path / "tasks.png").stat().st_size > 10_000
    with pytest.raises(InputError, match=r"no such task\. Did you mean 'insect'"):
        reports["insects"]


def test_text_table_aligns_and_keeps_markup():
    text = text_table("t", ("name", "value"), [("[b]x[/b]", "1"), ("y", "22")])
    lines = [line for line in text.splitlines() if "x" in line or "y" in line]
    assert lines[0].split() == ["[b]x[/b]", "1"]
    assert len(lines[0]) == len(lines[1])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5000"), (1234, "1,234"), (float("nan"), "–"), (None, "–"), (1e-5, "1.000e-05")],
)
def test_numbers(value, text):
    assert number(value) == text


def test_signed_numbers():
    assert number(0.25, signed=True) == "+0.2500"
