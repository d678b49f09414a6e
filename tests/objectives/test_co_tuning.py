"""Co-tuning: the relationship against its definition, the loss against NumPy."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

import tl_keras as tl
from tests.conftest import tiny_network
from tests.objectives.passes import images, one_pass, setup_of
from tests.objectives.test_lwf import source_head
from tl_keras.objectives import CoTuning, learn_relationship
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
Y = np.arange(60) % 3
LOGITS = RANDOM.normal(0, 1, (60, 5)) + 4.0 * np.eye(5)[[0, 1, 3]][Y]


def test_the_direct_way_averages_over_each_class():
    p = softmax(LOGITS / 1.5, axis=1)
    expected = [p[index == Y].mean(axis=0) for index in range(3)]
    found = learn_relationship(LOGITS, Y, 3, temperature=1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32 and list(found.argmax(axis=1)) == [0, 1, 3]


def test_the_reverse_way_is_bayes_rule():
    p = softmax(LOGITS / 1.25, axis=1)
    target_given_source = (
        LogisticRegression(C=2.0, max_iter=1000).fit(p, Y).predict_proba(np.eye(5))
    )
    found = learn_relationship(LOGITS, Y, 3, reverse=True, inverse_strength=2.0)
    for t in range(3):
        joint = [target_given_source[s, t] * p[:, s].mean() for s in range(5)]
        np.testing.assert_allclose(found[t], np.array(joint) / np.sum(joint), rtol=1e-5)
    assert list(found.argmax(axis=1)) == [0, 1, 3]


def test_cross_entropy_against_translated_labels():
    model = tl.build_transfer_model(tiny_network(), 3)
    data = {"source": (images(4), [0, 1, 2, 0]), "target": (images(3, 1), [-1, 2, -1])}
    relationship = softmax(RANDOM.normal(size=(3, 5)), axis=1)
    head = source_head()
    objective = CoTuning(head, relationship)
    objective.begin(setup_of(model, data))
    batch = one_pass(model, data)
    kernel, bias = (variable.numpy() for variable in head.weights)
    maps = np.concatenate([one.feature_map for one in batch.values()])
    logs = log_softmax(maps.mean(axis=(1, 2)) @ kernel + bias, axis=1)
    labels = np.array([0, 1, 2, 0, 2])
    parts = -(relationship[labels] * logs[[0, 1, 2, 3, 5]]).sum(axis=1)
    assert float(objective.losses(batch)["loss"]) == pytest.approx(parts.mean(), rel=1e-4)
    assert len(objective.trainable_variables()) == 2


def test_bad_arguments():
    with pytest.raises(InputError, match=r"without an example are \[2\], and no classes are \[\]"):
        learn_relationship(LOGITS[:2], [0, 1], 3)
    with pytest.raises(InputError, match=r"source_logits: expected logits \(n, source classes\)"):
        learn_relationship(LOGITS, Y[:4], 3)
    with pytest.raises(InputError, match="source_logits: expected logits, got rows that are"):
        learn_relationship([[0.9, 0.1], [0.2, 0.8]], [1, 0], 2)
    with pytest.raises(InputError, match="relationship: expected probabilities"):
        CoTuning(source_head(), np.ones((3, 5)))
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match=r"relationship: expected shape \(3, 5\)"):
        CoTuning(source_head(), np.eye(5)).begin(setup_of(model, {"data": (images(1), [0])}))
