import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import accuracy_score, log_loss, r2_score

from tl_keras.data.examples import Examples
from tl_keras.evaluation import Comparison, TaskReports, compare, evaluate
from tl_keras.evaluation.predict import predict
from tl_keras.inputs import Images
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

SCALE = 1 / 51
LABELS = ("ant", "bee", "cat")


class Split(keras.layers.Layer):
    """Give a slice of the features to each task."""

    def call(self, features):
        return {"insect": features[:, :2], "weight": features[:, 2:]}

    def compute_output_shape(self, shape):
        return {"insect": (shape[0], 2), "weight": (shape[0], 1)}


def pixel_model(kind="classification", activation="softmax", order=(0, 1, 2), **spec):
    """A model whose logits are the channels of a one-pixel image, divided by 51."""
    head = keras.layers.Dense(3, use_bias=False)
    model = TransferModel(
        keras.layers.Rescaling(SCALE),
        keras.layers.Flatten(),
        head,
        modality=Images((1, 1, 3)),
        activation=activation,
        targets=TargetSpec(kind, 3, **{"class_names": LABELS, **spec}),
    )
    head.set_weights([np.eye(3, dtype=np.float32)[:, list(order)]])
    return model


def task_model():
    return TransferModel(
        keras.layers.Rescaling(SCALE),
        keras.layers.Flatten(),
        Split(),
        modality=Images((1, 1, 3)),
        activation={"insect": "softmax", "weight": None},
        targets={
            "insect": TargetSpec("classification", 2),
            "weight": TargetSpec("regression", 1),
        },
    )


def feature_model():
    return TransferModel(
        keras.layers.Rescaling(SCALE),
        keras.layers.Flatten(),
        keras.layers.Activation("linear"),
        modality=Images((1, 1, 3)),
        activation=None,
        targets=None,
    )


def pixels(n=23, seed=0):
    """Images, the classes that they were made for, and the probabilities that are due."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    x = rng.integers(0, 256, (n, 1, 1, 3)).astype(np.uint8)
    x[np.arange(n), 0, 0, y] = np.maximum(x[np.arange(n), 0, 0, y], 150)
    exponentials = np.exp(x.reshape(n, 3) * np.float64(SCALE))
    return x, y, exponentials / exponentials.sum(axis=1, keepdims=True)


def test_a_report_of_arrays():
    x, y, probabilities = pixels()
    report = evaluate(pixel_model(), (x, y), batch_size=5, verbose=False)
    np.testing.assert_allclose(report.probabilities, probabilities, rtol=1e-4)
    assert report.targets.argmax(axis=1).tolist() == y.tolist()
    assert 0.3 < report["accuracy"] < 1
    assert report["accuracy"] == pytest.approx(accuracy_score(y, probabilities.argmax(axis=1)))
    assert report["log_loss"] == pytest.approx(log_loss(y, probabilities), rel=1e-4)
    assert report.labels == LABELS


def test_labels_may_be_names():
    x, y, _ = pixels()
    names = np.array(LABELS)[y]
    by_name = evaluate(pixel_model(), (x, names), verbose=False)
    assert by_name.to_dict() == evaluate(pixel_model(), (x, y), verbose=False).to_dict()


@pytest.mark.parametrize("batch_size", [1, 4, 23, 100])
def test_batches_do_not_change_the_result(batch_size):
    x, y, _ = pixels()
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)
    report = evaluate(pixel_model(), dataset, batch_size=batch_size, verbose=False)
    expected = evaluate(pixel_model(), (x, y), verbose=False)
    np.testing.assert_allclose(report.probabilities, expected.probabilities, rtol=1e-5)
    assert len(report) == 23


def test_a_model_is_traced_once_for_all_batch_sizes():
    traces = []

    class Counted(keras.layers.Layer):
        def call(self, inputs):
            traces.append(inputs.shape)
            return inputs

    x, y, _ = pixels()
    model = TransferModel(
        Counted(),
        keras.layers.Flatten(),
        keras.layers.Dense(3),
        modality=Images((1, 1, 3)),
        activation="softmax",
        targets=TargetSpec("classification", 3),
    )
    traces.clear()
    evaluate(model, (x, y), batch_size=4, verbose=False)
    assert len(traces) == 1
    assert traces[0][0] is None


@pytest.mark.parametrize(
    ("kind", "closing"), [("classification", "softmax"), ("multi_label", "sigmoid")]
)
def test_logits_become_probabilities(kind, closing):
    x, y, _ = pixels()
    targets = np.eye(3)[y]
    closed = evaluate(pixel_model(kind, closing), (x, targets), verbose=False)
    opened = evaluate(pixel_model(kind, None), (x, targets), verbose=False)
    assert not np.allclose(closed.probabilities[0], closed.probabilities[1])
    np.testing.assert_allclose(opened.probabilities, closed.probabilities, rtol=1e-5)


def test_regression():
    x, _, _ = pixels()
    y = x.reshape(-1, 3) * SCALE + np.random.default_rng(1).normal(size=(23, 3))
    report = evaluate(pixel_model("regression", None), (x, y), verbose=False)
    assert report["r2"] == pytest.approx(r2_score(y, x.reshape(-1, 3) * SCALE), rel=1e-4)


def test_several_tasks():
    x, y, _ = pixels()
    targets = {"insect": y % 2, "weight": x[:, 0, 0, 2] * SCALE + 1}
    report = evaluate(task_model(), (x, targets), verbose=False)
    assert isinstance(report, TaskReports)
    assert report["weight"]["mean_absolute_error"] == pytest.approx(1, rel=1e-5)
    right = (x[:, 0, 0, 1] > x[:, 0, 0, 0]) == y % 2
    assert report["insect"]["accuracy"] == pytest.approx(right.mean())


def test_tasks_are_measured_where_they_have_labels():
    x, y, _ = pixels()
    insect, weight = (y % 2).astype(int), x[:, 0, 0, 2] * SCALE + np.arange(23.0)
    insect[:5], weight[10:] = -1, np.nan
    report = evaluate(task_model(), (x, {"insect": insect, "weight": weight}), verbose=False)
    assert report["weight"]["mean_absolute_error"] == pytest.approx(4.5, rel=1e-5)
    right = (x[:, 0, 0, 1] > x[:, 0, 0, 0]) == y % 2
    assert report["insect"]["accuracy"] == pytest.approx(right[5:].mean())
    weight[:] = np.nan
    with pytest.raises(InputError, match="data: no example has a label of task 'weight'"):
        evaluate(task_model(), (x, {"insect": insect, "weight": weight}), verbose=False)


def test_verbose_prints_the_table_once(capsys):
    x, y, _ = pixels()
    report = evaluate(pixel_model(), (x, y))
    out = capsys.readouterr().out
    assert out.strip() == str(report).strip()
    evaluate(pixel_model(), (x, y), verbose=False)
    assert capsys.readouterr().out == ""


def test_a_plain_model_is_told_to_be_wrapped():
    plain = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten()])
    with pytest.raises(InputError, match=r"got Sequential.*build_transfer_model\(model"):
        evaluate(plain, pixels()[:2])


def test_a_model_without_head_has_nothing_to_evaluate():
    with pytest.raises(InputError, match=r"features only\. Pass num_classes"):
        evaluate(feature_model(), pixels()[:2])


def test_data_without_labels():
    with pytest.raises(InputError, match="data: expected examples with labels"):
        evaluate(pixel_model(), pixels()[0])


def test_images_of_another_size():
    with pytest.raises(InputError, match=r"shape \(1, 1, 3\).*got \(2, 2, 3\)"):
        evaluate(pixel_model(), (np.zeros((4, 2, 2, 3), np.uint8), [0, 1, 2, 0]))


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True])
def test_batch_size_is_checked(batch_size):
    with pytest.raises(InputError, match="batch_size: expected a whole number ≥ 1"):
        evaluate(pixel_model(), pixels()[:2], batch_size=batch_size)


def test_no_examples():
    class Nothing(Examples):
        has_labels = True
        spec = tf.TensorSpec((1, 1, 3), tf.uint8)

        def __len__(self):
            return 0

        def encoded_targets(self, spec):
            return np.zeros((0, spec.size), np.float32)

        def batches(self, spec, batch_size, *, shuffle=False, seed=0):
            x = np.zeros((0, 1, 1, 3), np.uint8)
            y = self.encoded_targets(spec)
            return tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)

    with pytest.raises(InputError, match="at least one example, got none"):
        predict([pixel_model()], Nothing(), pixel_model().targets, 4)


def two_models():
    return {"pretrained": pixel_model(order=(1, 2, 0)), "fine-tuned": pixel_model()}


def test_models_side_by_side():
    x, y, probabilities = pixels()
    comparison = compare(two_models(), (x, y), batch_size=5, verbose=False)
    assert isinstance(comparison, Comparison)
    before = accuracy_score(y, probabilities[:, [1, 2, 0]].argmax(axis=1))
    after = accuracy_score(y, probabilities.argmax(axis=1))
    assert comparison.metrics["accuracy"] == pytest.approx(
        {"pretrained": before, "fine-tuned": after}
    )
    assert comparison.differences["accuracy"]["fine-tuned"] == pytest.approx(after - before)
    assert comparison.best["accuracy"] == comparison.best["log_loss"] == ("fine-tuned",)
    was_right = probabilities[:, [1, 2, 0]].argmax(axis=1) == y
    is_right = probabilities.argmax(axis=1) == y
    split = (was_right & ~is_right).sum(), (is_right & ~was_right).sum()
    tail = sum(math.comb(sum(split), k) for k in range(min(split) + 1)) / 2.0 ** sum(split)
    assert comparison.p_values == pytest.approx({"fine-tuned": 2 * tail})
    beside, alone = comparison["fine-tuned"], evaluate(pixel_model(), (x, y), verbose=False)
    # Batches of another size are rounded in another order.
    assert beside.metrics == pytest.approx(alone.metrics, rel=1e-6)
    assert beside.to_dict() | {"metrics": alone.metrics} == alone.to_dict()


def test_shuffled_data_stay_paired():
    x, y, _ = pixels()
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(23).batch(4)
    comparison = compare({"a": pixel_model(), "b": pixel_model()}, data, verbose=False)
    np.testing.assert_array_equal(comparison["a"].probabilities, comparison["b"].probabilities)
    assert comparison.p_values == {"b": 1.0}
    assert comparison.best["accuracy"] == ()


def test_printed_comparison(capsys):
    x, y, _ = pixels()
    comparison = compare(two_models(), (x, y))
    out = capsys.readouterr().out
    assert out.strip() == str(comparison).strip()
    rows = [line.split() for line in out.splitlines()]
    row = next(row for row in rows if row[:1] == ["accuracy"])
    values = comparison.metrics["accuracy"]
    change = values["fine-tuned"] - values["pretrained"]
    assert row == [
        "accuracy",
        f"{values['pretrained']:.4f}",
        "★",
        f"{values['fine-tuned']:.4f}",
        f"({change:+.4f})",
    ]
    assert "fine-tuned against pretrained: p = " in out


def test_comparison_as_json_and_markdown(tmp_path):
    comparison = compare(two_models(), pixels()[:2], verbose=False)
    values = json.loads(comparison.to_json(tmp_path / "comparison.json"))
    assert values == comparison.to_dict()
    assert values["models"] == ["pretrained", "fine-tuned"]
    lines = comparison.to_markdown().splitlines()
    assert lines[:2] == ["| metric | pretrained | fine-tuned |", "| --- | ---: | ---: |"]
    # The weighted recall is the accuracy, and is left out.
    assert len(lines) == 2 + len(comparison.metrics) - 1 + 2


def test_comparison_plot(tmp_path):
    comparison = compare(two_models(), pixels()[:2], verbose=False)
    figure = comparison.plot(tmp_path / "comparison.png")
    assert (tmp_path / "comparison.png").stat().st_size > 10_000
    scores, errors = figure.axes
    assert [text.get_text() for text in errors.get_xticklabels()] == [
        "log loss",
        "expected calibration error",
    ]
    first = scores.containers[0][0].get_height()
    assert first == pytest.approx(comparison["pretrained"]["accuracy"])


def test_comparison_of_tasks():
    x, y, _ = pixels()
    targets = {"insect": y % 2, "weight": x[:, 0, 0, 2] * SCALE}
    comparison = compare({"a": task_model(), "b": task_model()}, (x, targets), verbose=False)
    assert comparison.p_values == {"insect/b": 1.0}
    assert "weight/r2" in comparison.metrics


@pytest.mark.parametrize("models", [{}, [pixel_model()]])
def test_models_come_as_a_dict(models):
    with pytest.raises(InputError, match="models: expected a dict from name to model"):
        compare(models, pixels()[:2])


def test_models_must_predict_the_same():
    other = pixel_model(class_names=("ant", "cat", "bee"))
    with pytest.raises(InputError, match=r"models\['b'\]: predicts .*same classes in the same"):
        compare({"a": pixel_model(), "b": other}, pixels()[:2])


def test_errors_name_the_model():
    with pytest.raises(InputError, match=r"models\['b'\]: expected a model with a head"):
        compare({"a": pixel_model(), "b": feature_model()}, pixels()[:2])
