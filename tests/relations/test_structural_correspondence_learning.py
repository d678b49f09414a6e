import itertools
import pickle

import numpy as np
import pytest
import scipy.sparse
import tweets
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import check_estimator

from tests import oracles
from tl_keras.relations import StructuralCorrespondenceLearning
from tl_keras.utils.errors import InputError


def two_vocabularies(seed, samples=300):
    """Texts with shared mood words, and words for the same moods that one domain only has."""
    random = np.random.default_rng(seed)
    y = np.arange(2 * samples) % 2
    domain = np.repeat(["source", "target"], samples)

    def words(there, mood):
        on = np.where(y == mood, 0.3, 0.03)[:, None] * there[:, None]
        return random.random((2 * samples, 10)) < on

    everywhere = np.ones(2 * samples)
    groups = [
        words(0.35 * everywhere, 1),
        words(0.35 * everywhere, 0),
        words(domain == "source", 1),
        words(domain == "source", 0),
        words(domain == "target", 1),
        words(domain == "target", 0),
        random.random((2 * samples, 20)) < 0.03,
    ]
    X = scipy.sparse.csr_matrix(np.hstack(groups).astype(float))
    return X, np.where(domain == "target", -1, y), domain, y


def accuracy(Z, y, domain):
    source = domain == "source"
    model = LogisticRegression(max_iter=1000).fit(Z[source], y[source])
    return model.score(Z[~source], y[~source])


@pytest.mark.parametrize("pivots", ["mutual_information", "frequency"])
@pytest.mark.parametrize("loss", ["least_squares", "modified_huber"])
def test_carries_words_of_the_target_that_the_source_never_had(pivots, loss):
    gains = []
    for seed in range(4):
        X, y, domain, truth = two_vocabularies(seed)
        learning = StructuralCorrespondenceLearning(3, n_pivots=20, pivots=pivots, loss=loss)
        Z = learning.fit_transform(X, y, domain=domain)
        gains.append(accuracy(Z, truth, domain) - accuracy(X, truth, domain))
    assert min(gains) > 0.0 and np.mean(gains) > 0.1


@pytest.mark.parametrize("offset", [2.0**23, 2.0**27])
@pytest.mark.parametrize("loss", ["least_squares", "modified_huber"])
def test_far_from_the_origin_nothing_changes(loss, offset):
    random = np.random.default_rng(1)
    X = random.normal(size=(200, 6))
    X += X @ random.normal(size=(6, 6))
    X = np.round(X * 2**20) / 2**20  # Exact also where the offset is added.
    y = np.where(np.arange(200) < 100, X[:, 1] > 0, -1)
    domain = np.repeat(["source", "target"], 100)
    learning = StructuralCorrespondenceLearning(2, n_pivots=3, loss=loss, output="replace")
    near = learning.fit_transform(X, y, domain=domain)
    far = learning.fit_transform(X + offset, y, domain=domain)
    np.testing.assert_allclose(far, near, atol=1e-5)


def test_is_the_papers_recipe():
    X, y, domain, truth = two_vocabularies(0)
    learning = StructuralCorrespondenceLearning(
        3,
        n_pivots=6,
        min_count=4,
        loss="least_squares",
        regularization=0.05,
        scale=2.0,
        output="replace",
    )
    Z = learning.fit_transform(X, y, domain=domain)
    dense, source = X.toarray(), domain == "source"
    frequent = (dense[source].sum(0) >= 4) & (dense[~source].sum(0) >= 4)
    information = np.zeros(80)
    for word in np.flatnonzero(frequent):
        for mood in (0, 1):
            for there in (0, 1):
                both = np.mean((truth == mood) & (dense[:, word] == there), where=source)
                apart = np.mean(truth == mood, where=source) * np.mean(
                    dense[:, word] == there, where=source
                )
                information[word] += both * np.log(both / apart) if both else 0
    pivots = np.argsort(-information)[:6]
    np.testing.assert_array_equal(learning.pivots_, pivots)
    others = np.setdiff1d(np.arange(80), pivots)
    centred = dense[:, others] - dense[:, others].mean(0)
    size = (centred**2).sum(1).mean()
    W = np.linalg.solve(
        centred.T @ centred / 600 + 0.05 * size * np.eye(74),
        centred.T @ (dense[:, pivots] > 0) / 600,
    )
    theta = np.linalg.svd(np.maximum(W, 0))[0][:, :3]
    expected = centred @ theta
    expected *= 2.0 * np.sqrt(size / (expected**2).sum(1).mean())
    signs = np.sign((expected * Z).sum(0))
    np.testing.assert_allclose(Z, expected * signs, atol=1e-8)


def test_pivots_are_frequent_on_both_sides():
    there = np.zeros((40, 12))
    there[::2, 0] = 1  # half of each side
    there[:30, 1] = 1  # all of the source, half of the target
    there[:20, 2] = 1  # the source only
    there[18:22, 3] = 1  # twice on each side
    there[:, 4] = 1  # in every sample
    there[::3, 5] = 1
    there[:20, 6:] = np.random.default_rng(0).random((20, 6)) < 0.5
    domain = np.repeat(["source", "target"], 20)
    learning = StructuralCorrespondenceLearning(pivots="frequency", min_count=3)
    assert learning.fit(there, domain=domain).pivots_.tolist() == [0, 1, 5]
    assert learning.set_params(n_pivots=1).fit(there, domain=domain).pivots_.tolist() == [0]
    learning.set_params(min_count=2, n_pivots=300)
    assert learning.fit(there, domain=domain).pivots_.tolist() == [0, 1, 5, 3]
    some = there[:, [0, 1, 3, 5, 6]]
    assert learning.fit(some, domain=domain).pivots_.tolist() == [0, 1]  # at most half


def test_negative_features_keep_negative_weights():
    random = np.random.default_rng(0)
    hidden = random.normal(size=(200, 1))
    X = hidden * np.array([1, 1, -1, -1]) + 0.3 * random.normal(size=(200, 4))
    domain = np.repeat(["source", "target"], 100)
    learning = StructuralCorrespondenceLearning(1, n_pivots=2, pivots="frequency", output="replace")
    Z = learning.fit_transform(X, domain=domain)
    assert abs(np.corrcoef(Z[:, 0], hidden[:, 0])[0, 1]) > 0.9
    below = learning.projection_[learning.projection_ != 0]
    assert len(below) == 2
    turned = StructuralCorrespondenceLearning(1, n_pivots=2, pivots="frequency", output="replace")
    turned.fit(X * [1, 1, 1, -1], domain=domain)
    np.testing.assert_array_equal(turned.pivots_, learning.pivots_)


def test_pivots_tell_about_labels():
    X, y, domain, _ = two_vocabularies(1)
    learning = StructuralCorrespondenceLearning(2, n_pivots=12).fit(X, y, domain=domain)
    assert set(learning.pivots_) <= set(range(20))
    names = np.array(["bad", "good", None], dtype=object)[y]
    by_name = clone(learning).fit(X, names, domain=domain)
    np.testing.assert_array_equal(by_name.pivots_, learning.pivots_)


@pytest.mark.parametrize("output", ["append", "replace"])
def test_output(output):
    X, y, domain, _ = two_vocabularies(2)
    learning = StructuralCorrespondenceLearning(4, n_pivots=10, output=output)
    Z = learning.fit_transform(X, y, domain=domain)
    dense = clone(learning).fit_transform(X.toarray(), y, domain=domain)
    assert scipy.sparse.issparse(Z) == (output == "append") and isinstance(dense, np.ndarray)
    Z = Z.toarray() if scipy.sparse.issparse(Z) else Z
    np.testing.assert_allclose(dense, Z, atol=1e-8)
    new = Z[:, -4:]
    np.testing.assert_allclose(new.mean(0), 0, atol=1e-10)
    spread = X.toarray()[:, np.setdiff1d(np.arange(80), learning.pivots_)].var(0).sum()
    assert new.var(0).sum() == pytest.approx(spread)
    names = learning.get_feature_names_out().tolist()
    assert names[-4:] == [f"structuralcorrespondencelearning{i}" for i in range(4)]
    if output == "append":
        np.testing.assert_array_equal(Z[:, :80], X.toarray())
        assert names[:2] == ["x0", "x1"]
    assert len(names) == Z.shape[1] == (84 if output == "append" else 4)


def test_scale_is_relative_to_the_features():
    X, y, domain, _ = two_vocabularies(3)
    new = [
        StructuralCorrespondenceLearning(
            3, n_pivots=10, scale=scale, output="replace"
        ).fit_transform(factor * X, y, domain=domain)
        for factor, scale in ((1, 1), (10, 1), (1, 0.5))
    ]
    np.testing.assert_allclose(new[1], 10 * new[0], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(new[2], 0.5 * new[0], rtol=1e-6, atol=1e-8)


def test_several_sources_and_targets():
    X, y, domain, truth = two_vocabularies(4, samples=400)
    parts = np.char.add(domain, np.tile(np.repeat(["0", "1"], 200), 2))
    many = StructuralCorrespondenceLearning(3, n_pivots=20, target=["target0", "target1"])
    one = StructuralCorrespondenceLearning(3, n_pivots=20)
    Z, expected = many.fit_transform(X, y, domain=parts), one.fit_transform(X, y, domain=domain)
    np.testing.assert_allclose(Z.toarray(), expected.toarray(), atol=1e-10)
    np.testing.assert_array_equal(many.transform(X).toarray(), Z.toarray())
    assert accuracy(Z, truth, domain) > accuracy(X, truth, domain)


def test_moods_of_tweets_by_what_they_are_about():
    tweets_about = oracles.tweets()
    gains = []
    for source, target in itertools.permutations(tweets_about, 2):
        texts, y, domain, test, truth = tweets.draw(tweets_about, source, target, seed=0)
        words = TfidfVectorizer(min_df=3, ngram_range=(1, 2), sublinear_tf=True)
        X, X_test = words.fit_transform(texts), words.transform(test)
        learning = StructuralCorrespondenceLearning()
        Z = learning.fit_transform(X, y, domain=domain)
        before, after = (
            LogisticRegression(C=3, max_iter=1000).fit(train[y >= 0], y[y >= 0]).score(new, truth)
            for train, new in ((X, X_test), (Z, learning.transform(X_test)))
        )
        gains.append(after - before)
    assert np.mean(gains) > 0.005  # .014 for this seed, .008 … .028 for others


def test_pickle_and_clone():
    X, y, domain, _ = two_vocabularies(5)
    learning = StructuralCorrespondenceLearning(3, n_pivots=10).fit(X, y, domain=domain)
    loaded = pickle.loads(pickle.dumps(learning))
    np.testing.assert_array_equal(loaded.transform(X).toarray(), learning.transform(X).toarray())
    again = clone(learning).fit(X, y, domain=domain)
    np.testing.assert_array_equal(again.projection_, learning.projection_)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"n_components": 0}, "n_components: expected a whole number of 1 or more, got 0"),
        ({"n_pivots": 2.0}, "n_pivots: expected a whole number of 1 or more, got 2.0"),
        ({"min_count": 200}, "min_count: no feature is there in 200 or more of the 300 source"),
        ({"regularization": -1.0}, "regularization: expected a number above 0, got -1.0"),
        ({"scale": 0}, "scale: expected a number above 0, got 0"),
        ({"loss": "huber"}, "loss: expected 'modified_huber' or 'least_squares', got 'huber'"),
        ({"pivots": "frequent"}, "pivots: expected .* Did you mean 'frequency'"),
        ({"output": "add"}, "output: expected 'append' or 'replace', got 'add'"),
    ],
)
def test_bad_arguments(changes, text):
    X, y, domain, _ = two_vocabularies(6)
    with pytest.raises(InputError, match=text):
        StructuralCorrespondenceLearning(**changes).fit(X, y, domain=domain)


def test_bad_samples(little_memory):
    X, y, domain, _ = two_vocabularies(7)
    learning = StructuralCorrespondenceLearning(3)
    with pytest.raises(InputError, match=r"requires y to be passed.*or use pivots='frequency'"):
        learning.fit(X, domain=domain)
    with pytest.raises(InputError, match=r"y: expected one label per sample of X, 600 of them"):
        learning.fit(X, y[:-1], domain=domain)
    with pytest.raises(InputError, match="300 of 300 samples of source domain 'source' have no"):
        learning.fit(X, np.full(600, -1), domain=domain)
    with pytest.raises(InputError, match="two classes or more in the source domains"):
        learning.fit(X, np.minimum(y, 0), domain=domain)
    with pytest.raises(InputError, match=r"two features or more, got n_samples=600, n_features=1"):
        learning.fit(X[:, :1], y, domain=domain)
    constant = X.toarray()
    constant[:, 20:] = 1.0
    with pytest.raises(InputError, match="all features but the pivots are constant"):
        learning.fit(constant, y, domain=domain)
    with pytest.raises(InputError, match="there in 5 or more of the 300 source"):
        learning.fit(np.ones((600, 4)), y, domain=domain)
    little_memory(10_000)
    with pytest.raises(InputError, match="Use fewer pivots, or fewer features"):
        learning.fit(X, y, domain=domain)


@pytest.mark.parametrize("pivots", ["mutual_information", "frequency"])
@pytest.mark.parametrize("output", ["append", "replace"])
def test_scikit_learns_checks(pivots, output):
    check_estimator(StructuralCorrespondenceLearning(pivots=pivots, output=output, min_count=1))
