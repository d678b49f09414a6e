"""Two classes: which one the metrics are about is named everywhere and can be chosen."""

import json

import numpy as np
import pytest
from sklearn import metrics as reference

import tl_keras as tl
from tl_keras.evaluation import Comparison, Report, TaskReports
from tl_keras.evaluation.positive import positive_class, positive_classes
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

NAMES = ("defective", "functional")
SPEC = TargetSpec("classification", 2, NAMES)


def scores(seed=0, n=60):
    """True classes, rare ones in the first place, and float32 probabilities of both."""
    rng = np.random.default_rng(seed)
    true = (rng.uniform(size=n) < 0.75).astype(int)
    second = 1 / (1 + np.exp(-(1.5 * true + rng.normal(size=n))))
    return true, np.stack([1 - second, second], axis=1).astype(np.float32)


def report(positive=None, seed=0):
    true, probabilities = scores(seed)
    return Report.of(SPEC, SPEC.encode(true), probabilities, positive)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("positive", "index"),
    [("defective", 0), (0, 0), ("functional", 1), (np.int64(1), 1), (None, 1)],
)
def test_metrics_are_scikit_learns_of_the_class(positive, index, seed):
    true, probabilities = scores(seed)
    predicted = probabilities.argmax(axis=1)
    found = report(positive, seed)
    for name, function in (
        ("precision", reference.precision_score),
        ("recall", reference.recall_score),
        ("f1", reference.f1_score),
    ):
        assert found[name] == pytest.approx(function(true, predicted, pos_label=index))
    area = reference.roc_auc_score(true == index, probabilities[:, index])
    assert found["auc"] == pytest.approx(area)
    assert found.positive == NAMES[index]


def test_table_json_and_picture_name_the_class():
    found = report("defective")
    lines = str(found).splitlines()
    assert lines[0] == "60 examples, positive class defective"
    cells = [line.split() for line in lines]
    assert ["recall", "(defective)", f"{found['recall']:.4f}"] in cells
    assert json.loads(found.to_json())["positive"] == "defective"
    assert "ROC of defective" in [axes.get_title() for axes in found.plot().axes]
    curve = found.plot().axes[2].lines[0]
    true, probabilities = scores()
    rates = reference.roc_curve(true == 0, probabilities[:, 0])
    np.testing.assert_allclose(curve.get_ydata(), rates[1])


def test_the_default_says_which_and_why():
    assert str(report()).startswith(
        "60 examples, positive class functional (the last; `positive` chooses)\n"
    )


def test_redundant_rows_leave_the_table_and_stay_in_the_json():
    found = report()
    first = str(found).partition("by class")[0]
    assert "macro" not in first and "weighted" not in first
    assert {"f1_macro", "recall_weighted"} <= set(json.loads(found.to_json())["metrics"])
    comparison = Comparison({"a": found, "b": found})
    assert "macro" not in str(comparison) and "macro" not in comparison.to_markdown()
    assert "f1_macro" in comparison.to_dict()["metrics"]


def test_more_classes_keep_their_means_and_lose_the_accuracy_under_another_name():
    spec = TargetSpec("classification", 3)
    found = Report.of(spec, spec.encode([0, 1, 2, 2]), np.eye(3)[[0, 1, 2, 1]])
    assert found.positive is None
    assert found["recall_weighted"] == found["accuracy"]
    assert "f1 macro" in str(found) and "recall weighted" not in str(found)


def test_one_label_is_the_positive_class():
    spec = TargetSpec("multi_label", 1, ("cat",))
    found = Report.of(spec, np.array([[1.0], [0.0], [1.0]]), np.array([[0.9], [0.6], [0.2]]))
    assert str(found).startswith("3 examples, positive class cat\n")
    assert "f1 micro (cat)" in str(found) and "macro" not in str(found)


def test_comparisons_name_the_class():
    comparison = Comparison({"a": report("defective"), "b": report("defective", seed=1)})
    first = str(comparison).splitlines()[0]
    assert first == (
        "60 examples, positive class defective, ★ best, in brackets the difference to a"
    )
    assert "| precision (defective) |" in comparison.to_markdown()
    assert comparison.to_dict()["positive"] == "defective"
    ticks = [text.get_text() for text in comparison.plot().axes[0].get_xticklabels()]
    assert "recall (defective)" in ticks


@pytest.fixture(scope="module")
def model():
    import keras

    images = keras.Input((4, 4, 3))
    network = keras.Model(images, keras.layers.Conv2D(2, 1)(images))
    return tl.build_transfer_model(network, class_names=NAMES)


def test_evaluate_and_compare_take_it(model, capsys):
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (12, 4, 4, 3)).astype(np.uint8), rng.integers(0, 2, 12)
    found = tl.evaluate(model, data, positive="defective")
    assert found.positive == "defective"
    both = tl.compare({"a": model, "b": model}, data, positive=0)
    assert both["b"].metrics == pytest.approx(found.metrics, rel=1e-5)
    assert capsys.readouterr().out.count("positive class defective") == 2
    with pytest.raises(InputError, match="Did you mean 'defective'"):
        tl.evaluate(model, data, positive="defectiv")


@pytest.mark.parametrize("positive", ["ill", 2, -1, True, 1.0, ["defective"]])
def test_no_such_class(positive):
    with pytest.raises(
        InputError, match=r"positive: expected one of the classes \['defective', 'f"
    ):
        report(positive)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (TargetSpec("classification", 3), "3 classes. Leave it out; the table by class has"),
        (TargetSpec("multi_label", 2), "2 labels. Leave it out; the table by class has"),
        (TargetSpec("regression", 1), "1 value. Leave it out.$"),
    ],
)
def test_only_two_classes_have_a_positive_one(spec, text):
    assert positive_class(spec, None) is None
    with pytest.raises(InputError, match=f"only a model of two classes .* predicts {text}"):
        positive_class(spec, 0)


def test_numbers_as_names_are_names_first():
    spec = TargetSpec("classification", 2, ("1", "0"))
    assert positive_class(spec, "1") == 0
    assert positive_class(spec, 1) == 1


def test_several_tasks():
    specs = {"cell": SPEC, "kind": TargetSpec("classification", 3)}
    two = {**specs, "made": TargetSpec("classification", 2, ("here", "there"))}
    assert positive_classes(specs, None) == {"cell": 1, "kind": None}
    assert positive_classes(specs, "defective") == {"cell": 0, "kind": None}
    assert positive_classes(two, {"made": "here"}) == {"cell": 1, "kind": None, "made": 0}
    with pytest.raises(InputError, match=r"2 have two classes\. Pass a dict from task to class"):
        positive_classes(two, "here")
    with pytest.raises(InputError, match=r"there is no task 'cel'\. Did you mean 'cell'"):
        positive_classes(two, {"cel": 0})
    with pytest.raises(InputError, match=r"positive\['cell'\]: expected one of the classes"):
        positive_classes(two, {"cell": "here"})
    reports = TaskReports({"cell": report("defective"), "other": report()})
    assert reports.to_dict()["tasks"]["cell"]["positive"] == "defective"
    comparison = str(Comparison({"a": reports, "b": reports}))
    assert "cell: positive class defective" in comparison
    assert "cell/recall (defective)" in comparison and "macro" not in comparison


def test_differences_of_rounding_are_equal():
    true, probabilities = scores()
    after = probabilities.astype(np.float64) * (1 + 1e-15)
    reports = [Report.of(SPEC, SPEC.encode(true), part) for part in (probabilities, after)]
    comparison = Comparison(dict(zip(("a", "b"), reports, strict=True)))
    text = str(comparison)
    assert "e-" not in text.partition("against")[0]
    assert text.count("(equal)") == len(comparison.headings)
    assert set(comparison.best.values()) == {()}


def test_tiny_errors_are_told_apart():
    spec = TargetSpec("regression", 1, ("farad",))
    true = np.linspace(1e-12, 5e-12, 9)[:, None]
    reports = {
        name: Report.of(spec, true, true + shift) for name, shift in (("a", 2e-13), ("b", 1e-13))
    }
    assert Comparison(reports).best["mean_absolute_error"] == ("b",)
    assert "(-1.000e-13)" in str(Comparison(reports))
