import numpy as np
import pytest
from scipy.special import expit, log_softmax

from tests.objectives.eager import setup
from tests.objectives.passes import images, one_pass
from tl_keras.objectives import Supervised
from tl_keras.tasks.losses import sigmoid_cross_entropy, softmax_cross_entropy, squared_error
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 3, (5, 4)).astype("float32")
ONE_HOT = np.eye(4, dtype="float32")[[0, 3, 1, 1, 2]]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_softmax_cross_entropy_by_its_formula(smoothing):
    y = ONE_HOT * (1 - smoothing) + smoothing / 4
    expected = -(y * log_softmax(LOGITS, axis=1)).sum(axis=1)
    got = softmax_cross_entropy(ONE_HOT, LOGITS, smoothing)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_sigmoid_cross_entropy_by_its_formula(smoothing):
    y = RANDOM.integers(0, 2, (5, 4)).astype("float32")
    smooth = y * (1 - smoothing) + smoothing / 2
    p = expit(LOGITS.astype("float64"))
    expected = -(smooth * np.log(p) + (1 - smooth) * np.log1p(-p)).mean(axis=1)
    np.testing.assert_allclose(sigmoid_cross_entropy(y, LOGITS, smoothing), expected, rtol=1e-4)


def test_squared_error_is_the_mean_over_outputs():
    np.testing.assert_allclose(
        squared_error(ONE_HOT, LOGITS), ((LOGITS - ONE_HOT) ** 2).mean(axis=1), rtol=1e-5
    )


def test_extreme_logits_stay_finite():
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], "float32")
    y = np.array([[0, 1], [0, 1]], "float32")
    assert np.isfinite(softmax_cross_entropy(y, logits)).all()
    np.testing.assert_allclose(sigmoid_cross_entropy(y, logits), [1e4, 0.0], atol=1e-3)


def test_class_weights_multiply_the_loss_of_their_class():
    spec = TargetSpec("classification", 4)
    plain = Supervised().per_example(ONE_HOT, LOGITS, spec).numpy()
    weighted = Supervised(class_weight=[1, 2, 3, 4]).per_example(ONE_HOT, LOGITS, spec)
    np.testing.assert_allclose(weighted, plain * [1, 4, 2, 2, 3], rtol=1e-6)


@pytest.mark.parametrize(
    "given",
    [
        [3.0, 0.0, 0.5],
        np.array([3, 0, 0.5], "float32"),
        {0: 3.0, 1: 0.0, 2: 0.5},
        {"blue": 0.5, np.int64(0): 3, "green": 0.0},
    ],
    ids=["list", "array", "numbers", "labels"],
)
def test_every_class_has_the_weight_that_was_given_for_it(given):
    begun = setup(class_names=("red", "green", "blue"))
    objective = Supervised(class_weight=given)
    objective.begin(begun)
    y = np.array([2, 0, 1, 2])
    batch = one_pass(begun.model, {"source": (images(4), y)})
    each = -log_softmax(batch["source"].logits, axis=1)[np.arange(4), y]
    expected = (each * np.array([3, 0, 0.5])[y]).mean()
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("balanced", r"expected one weight per class.*got 'balanced'.*compute_class_weight\("),
        (2.0, "expected one weight per class, as a list or a dict, got 2.0"),
        ([1.0, np.nan], r"class_weight\[1\]: expected a number ≥ 0, got nan"),
        ({"red": -1.0}, r"class_weight\['red'\]: expected a number ≥ 0, got -1.0"),
        ([1.0, np.inf], r"class_weight\[1\]: expected a number ≥ 0, got inf"),
    ],
)
def test_class_weights_that_are_none_are_refused(given, text):
    with pytest.raises(InputError, match=text):
        Supervised(class_weight=given)


@pytest.mark.parametrize(
    ("given", "build", "text"),
    [
        ([1, 2], {}, "expected 3 weights, one per class, got 2"),
        ({0: 1.0, 2: 1.0}, {}, r"no weight for the classes \['1'\]"),
        ({0: 1.0, 1: 1.0, 3: 1.0}, {}, "3 is no class"),
        ([1, 1, 1], {"head": "multi_label"}, "only single-label heads can weight classes"),
        ([1, 1, 1], {"head": "regression"}, "only single-label heads can weight classes"),
        ([1, 1, 1], {"classes": {"a": 3, "b": 3}}, "only single-label heads can weight classes"),
    ],
)
def test_class_weights_that_do_not_fit_the_model_are_refused(given, build, text):
    with pytest.raises(InputError, match=f"class_weight: {text}"):
        Supervised(class_weight=given).begin(setup(**build))


def test_label_smoothing_out_of_range_is_refused():
    with pytest.raises(InputError, match="label_smoothing: expected a share"):
        Supervised(label_smoothing=-0.1)


def test_label_smoothing_of_values_is_refused():
    with pytest.raises(InputError, match="label_smoothing: the model predicts values"):
        Supervised(label_smoothing=0.1).begin(setup(head="regression"))
    Supervised(label_smoothing=0.1).begin(setup(head="multi_label"))
