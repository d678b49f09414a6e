"""Every estimator on arrays goes through one list of checks."""

import functools
import inspect
import pickle

import numpy as np
import pytest
import scipy.sparse
from array_cases import (
    CLASSES,
    TARGET_LABELS,
    check_same,
    data,
    every,
    fitted,
    is_learner,
    is_transformer,
    made,
    outcome,
    regression,
    transformers,
    weighters,
)
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object

from tl_keras import InputError
from tl_keras.arrays import DomainWeighter

pytestmark = pytest.mark.filterwarnings("ignore::tl_keras.arrays.DegenerateWeights")


@functools.cache
def usual(name, sources=("a",)):
    """Return what the usual data give, which several tests compare with."""
    X, y, domain = data(name, sources=sources)
    return outcome(fitted(made(name), X, y, domain), X, domain)


@every
def test_the_target_is_a_parameter_and_domain_is_asked_for(name):
    model = made(name)
    parameters = model.get_params(deep=True)
    assert [v for k, v in parameters.items() if k.split("__")[-1] == "target"] == ["target"]
    if name != "WeightedEstimator":
        assert inspect.signature(CLASSES[name]).parameters["target"].default == "target"
    assert get_routing_for_object(model).consumes("fit", ["domain"]) == {"domain"}
    if is_transformer(name):
        assert get_routing_for_object(model).consumes("transform", ["domain"]) == {"domain"}


@every
def test_fit_returns_the_estimator_and_leaves_its_parameters(name):
    X, y, domain = data(name)
    model = made(name)
    before = {key: repr(value) for key, value in model.get_params(deep=True).items()}
    assert fitted(model, X, y, domain) is model
    assert {key: repr(value) for key, value in model.get_params(deep=True).items()} == before
    result = outcome(model, X, domain)
    assert np.isfinite(result).all()
    assert len(result) == len(X)
    assert model.n_features_in_ == 5


@every
def test_copies_and_second_fits_give_the_same(name):
    X, y, domain = data(name)
    model = fitted(made(name), X, y, domain)
    expected = outcome(model, X, domain)
    assert np.array_equal(outcome(pickle.loads(pickle.dumps(model)), X, domain), expected)
    assert np.array_equal(outcome(fitted(clone(model), X, y, domain), X, domain), expected)
    assert np.array_equal(outcome(fitted(model, X, y, domain), X, domain), expected)


@every
def test_the_input_is_not_changed(name):
    X, y, domain = data(name)
    before = X.copy(), y.copy(), domain.copy()
    for array in (X, y, domain):
        array.setflags(write=False)
    outcome(fitted(made(name), X, y, domain), X, domain)
    for array, copy in zip((X, y, domain), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@every
@pytest.mark.parametrize("kind", ["integers", "objects", "list", "mixed"])
def test_domains_may_have_any_labels(name, kind):
    X, y, domain = data(name, sources=("a", "b"))
    expected = usual(name, ("a", "b"))
    number = np.select([domain == "a", domain == "b"], [0, 1], 2)
    labels, target = {
        "integers": (number, 2),
        "objects": (number.astype(object), 2),
        "list": (domain.tolist(), "target"),
        "mixed": (np.where(domain == "a", 1, domain.astype(object)), "target"),
    }[kind]
    model = fitted(made(name, target=target), X, y, labels)
    check_same(outcome(model, X, labels), expected)


@every
@pytest.mark.parametrize(
    ("sources", "targets"), [(("a", "b"), ("t",)), (("a",), ("t", "u")), (("a", "b"), ("t", "u"))]
)
def test_several_sources_and_targets(name, sources, targets):
    X, y, domain = data(name, sources=sources, targets=targets, n=30)
    model = made(name, target=list(targets) if len(targets) > 1 else targets[0])
    try:
        result = outcome(fitted(model, X, y, domain), X, domain)
    except InputError as error:
        assert "target" in str(error) or "source" in str(error)
        return
    assert np.isfinite(result).all()
    assert len(result) == len(X)
    if hasattr(model, "sources_"):
        assert model.sources_ == sources
        assert model.targets_ == targets


@every
def test_without_domains_nothing_has_shifted(name):
    X, y, _ = data(name, labelled=40)
    result = outcome(fitted(made(name), X, y, None), X, None)
    assert np.isfinite(result).all()


@every
@pytest.mark.parametrize("mark", ["nan", "none", "strings"])
def test_marks_of_unlabelled_samples(name, mark):
    if regression(name) and mark == "strings":
        pytest.skip("Values are no strings.")
    X, y, domain = data(name)
    hidden = np.isnan(y) if regression(name) else y == -1
    other = {
        "nan": lambda: np.where(hidden, np.nan, y),
        "none": lambda: np.where(hidden, None, y.astype(object)),
        "strings": lambda: np.where(hidden, None, np.char.add("class", y.astype(str)).astype("O")),
    }[mark]()
    expected = usual(name)
    model = fitted(made(name), X, other, domain)
    check_same(outcome(model, X, domain), expected)
    if is_learner(name) and not regression(name):
        assert len(model.classes_) == 2
        assert set(model.predict(X)) <= set(other)


@every
def test_targets_without_any_label(name):
    X, y, domain = data(name, labelled=0)
    if name in TARGET_LABELS:
        with pytest.raises(InputError, match=r"y: .*target.* label"):
            fitted(made(name), X, y, domain)
    else:
        assert np.isfinite(outcome(fitted(made(name), X, y, domain), X, domain)).all()


@every
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: np.full(len(d), "a"), "target: no sample belongs to domain 'target'; .* 'a'"),
        (lambda d: np.full(len(d), "target"), "domain: all samples belong to target domains"),
        (lambda d: d[:3], r"domain: expected one label per sample, .*got shape \(3,\)"),
        (lambda d: np.where(d == "a", None, d.astype(object)), "domain: expected a label for ev"),
    ],
)
def test_domains_that_do_not_fit(name, change, text):
    X, y, domain = data(name)
    with pytest.raises(InputError, match=text):
        fitted(made(name), X, y, change(domain))


@every
def test_no_target_at_all(name):
    X, y, domain = data(name)
    with pytest.raises(InputError, match="target: expected the label of a domain or a list"):
        fitted(made(name, target=[]), X, y, domain)


@every
@pytest.mark.parametrize(("value", "text"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_features_that_are_not_finite(name, value, text):
    X, y, domain = data(name)
    model = fitted(made(name), X, y, domain)
    X[3, 1] = value
    with pytest.raises(ValueError, match=text):
        fitted(made(name), X, y, domain)
    if is_transformer(name):
        with pytest.raises(ValueError, match=text):
            model.transform(X, domain=domain)


@every
def test_samples_and_labels_that_do_not_fit(name):
    X, y, domain = data(name)
    model = fitted(made(name), X, y, domain)
    if is_transformer(name) or is_learner(name):
        call = model.transform if is_transformer(name) else model.predict
        with pytest.raises(ValueError, match=r"features.*expecting 5 features"):
            call(X[:, :3])
    with pytest.raises(ValueError, match=r"Expected 2D array|expected 2"):
        fitted(made(name), X[:, 0], y, domain)
    if not isinstance(model, DomainWeighter):  # These ignore y.
        with pytest.raises(ValueError, match=r"y: expected|inconsistent numbers of samples"):
            fitted(made(name), X, y[:3], domain)


@every
def test_constant_features(name):
    X, y, domain = data(name)
    X[:, 2] = 3.0
    X[:, 4] = 0.0
    assert np.isfinite(outcome(fitted(made(name), X, y, domain), X, domain)).all()
    X[:] = 1.0
    try:
        result = outcome(fitted(made(name), X, y, domain), X, domain)
    except InputError as error:
        assert ":" in str(error)
    else:
        assert np.isfinite(result).all()


@every
def test_more_features_than_samples(name):
    X, y, domain = data(name, n=12, labelled=6)
    X = np.hstack([X, np.random.default_rng(1).normal(size=(len(X), 60))])
    assert np.isfinite(outcome(fitted(made(name), X, y, domain), X, domain)).all()


@every
def test_few_samples(name):
    X, y, domain = data(name, n=2, labelled=2)
    try:
        result = outcome(fitted(made(name), X, y, domain), X, domain)
    except InputError as error:
        assert ":" in str(error)
    else:
        assert np.isfinite(result).all()


@every
def test_sparse_samples(name):
    X, y, domain = data(name)
    X = np.maximum(X - 0.7, 0.0)
    dense = fitted(made(name), X, y, domain)
    if not get_tags(made(name)).input_tags.sparse:
        with pytest.raises(TypeError, match="Sparse data was passed"):
            fitted(made(name), scipy.sparse.csr_matrix(X), y, domain)
        return
    expected = outcome(dense, X, domain)
    for form in (scipy.sparse.csr_matrix, scipy.sparse.csc_array):
        model = fitted(made(name), form(X), y, domain)
        result = outcome(model, scipy.sparse.csr_matrix(X), domain)
        if regression(name):  # Trees split sparse and dense features in another order.
            assert np.corrcoef(result, expected)[0, 1] > 0.9
            continue
        check_same(np.abs(result), np.abs(expected), rtol=1e-3)  # A solver stops at 1e-4.


@every
def test_single_precision(name):
    X, y, domain = data(name)
    expected = usual(name)
    X = X.astype(np.float32)
    result = outcome(fitted(made(name), X, y, domain), X, domain)
    assert np.isfinite(result).all()
    assert np.median(np.abs(np.abs(result) - np.abs(expected))) < 0.02 * np.abs(expected).max()


@transformers
def test_feature_names(name):
    X, y, domain = data(name)
    model = fitted(made(name), X, y, domain)
    names = model.get_feature_names_out()
    assert len(names) == len(set(names)) == model.transform(X, domain=domain).shape[1]
    assert all(isinstance(name, str) for name in names)


@transformers
def test_tables(name):
    pandas = pytest.importorskip("pandas", reason="pip install pandas")
    X, y, domain = data(name)
    table = pandas.DataFrame(X, columns=[f"f{i}" for i in range(5)])
    model = made(name).set_output(transform="pandas")
    mapped = model.fit_transform(table, y, domain=pandas.Series(domain))
    assert isinstance(mapped, pandas.DataFrame)
    assert list(mapped.columns) == list(model.get_feature_names_out())
    assert list(model.feature_names_in_) == list(table.columns)
    check_same(mapped.to_numpy(), usual(name))
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(table[table.columns[::-1]], domain=domain)


@transformers
def test_a_map_answers_sample_by_sample_and_in_their_order(name):
    X, y, domain = data(name, sources=("a", "b"))
    model = fitted(made(name), X, y, domain)
    whole = outcome(model, X, domain)
    order = np.random.default_rng(0).permutation(len(X))
    check_same(outcome(model, X[order], domain[order]), whole[order])
    check_same(outcome(model, X[:1], domain[:1]), whole[:1])
    of_target = np.flatnonzero(domain == "target")
    check_same(outcome(model, X[of_target], None), whole[of_target])
    with pytest.raises(InputError, match=r"domain: 'z' was not seen in fit, .*'a', 'b', 'target'"):
        model.transform(X[:1], domain=["z"])


@weighters
def test_weights(name):
    X, y, domain = data(name, sources=("a", "b"))
    model = fitted(made(name), X, y, domain)
    of_source = domain != "target"
    assert (model.weights_ >= 0).all()
    if name != "BalancedWeighting":
        assert model.weights_[of_source].mean() == pytest.approx(1.0)
        assert (model.weights_[~of_source] == 1).all()
        w = model.weights_[of_source]
        expected = w.sum() ** 2 / np.sum(w**2)
        assert model.effective_sample_size_ == pytest.approx(expected)
    assert 1 <= model.effective_sample_size_ <= len(X)


@weighters
def test_without_a_shift_the_weights_are_even(name):
    sizes = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        X, domain = random.normal(size=(240, 2)), np.repeat(["a", "target"], 120)
        model = fitted(made(name), X, np.zeros(240, int), domain)
        sizes.append(effective(model.weights_[:120]))
    # The kernel means match best with few, large weights: the optimum is sparse.
    least = 0.08 if name == "KernelMeanMatching" else 0.35
    assert np.mean(sizes) > least * 120


@weighters
def test_weights_bring_the_source_to_the_target(name):
    if name == "BalancedWeighting":
        pytest.skip("Looks at numbers of samples only.")
    gained = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        X, domain = random.normal(size=(300, 2)), np.repeat(["a", "target"], 150)
        X[domain == "target"] = X[domain == "target"] * 0.7 + [0.8, 0.0]
        model = fitted(made(name), X, np.zeros(300, int), domain)
        weighted = np.average(X[:150], axis=0, weights=model.weights_[:150])
        goal = X[150:].mean(axis=0)
        before, after = (np.linalg.norm(m - goal) for m in (X[:150].mean(axis=0), weighted))
        gained.append(after / before)
    assert np.mean(gained) < 0.6


def effective(w):
    return w.sum() ** 2 / np.sum(w**2)


@every
def test_docstrings_say_what_they_must(name):
    text = inspect.getdoc(CLASSES[name])
    for part in ("Args:", "Attributes:", "Example:"):
        assert part in text, f"{name} lacks {part}"
