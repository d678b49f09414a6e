import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.evaluation import soups
from tl_keras.utils.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 16, 16, 3)).astype(np.uint8)


def copies(count=3):
    models = [tl.build_transfer_model(tiny_network(), 3) for _ in range(count)]
    random = np.random.default_rng(1)
    for model in models[1:]:
        model.set_weights([w + random.normal(0, 0.1, w.shape) ** 2 for w in model.get_weights()])
    return models


def test_means_by_numpy():
    lists = [[np.full(3, 1.0, "float32"), np.int64(7)], [np.full(3, 4.0, "float32"), np.int64(9)]]
    plain, weighted = soups.mean_weights(lists), soups.mean_weights(lists, [1, 2])
    np.testing.assert_allclose(plain[0], 2.5)
    np.testing.assert_allclose(weighted[0], 3.0)
    assert plain[0].dtype == np.float32 and plain[1] == 7


def test_a_uniform_soup_has_the_mean_of_all_weights_and_changes_nobody():
    models = copies()
    before = [model.get_weights() for model in models]
    soup = tl.uniform_soup(models)
    for own, *others in zip(soup.get_weights(), *before, strict=True):
        np.testing.assert_allclose(own, np.mean(others, axis=0), rtol=1e-5)
    for model, weights in zip(models, before, strict=True):
        for own, old in zip(model.get_weights(), weights, strict=True):
            np.testing.assert_array_equal(own, old)
    same = tl.uniform_soup(models, shares=(1, 0, 0))
    np.testing.assert_allclose(
        same.predict(IMAGES, verbose=0), models[0].predict(IMAGES, verbose=0)
    )


def test_a_greedy_soup_takes_what_does_no_harm(monkeypatch, capsys):
    models = copies(4)
    bias = [0.0, 3.0, -2.0, 1.0]
    for model, value in zip(models, bias, strict=True):
        model.head.stack[-1].bias.assign([value, 0, 0])

    def score(model, *_, **__):
        return {"accuracy": -abs(float(model.head.stack[-1].bias[0]) - 1.0)}

    monkeypatch.setattr(soups, "evaluate", score)
    soup = tl.greedy_soup(models, None)
    # Alone: −1, −2, −3, 0. In order 3, 0, 1, 2: 3 with 0 is −.5 and left out, with 1 is −1.
    assert soup.members == (3,) and soup.score == 0
    assert soup.scores == pytest.approx((-1, -2, -3, 0))
    assert "soup of 1 of 4 models" in capsys.readouterr().out
    soup = tl.greedy_soup(models[:3], None, verbose=False)
    # In order 0, 1, 2: 0 with 1 is −.5 and better; with 2 the mean is 1/3: −.67, left out.
    assert soup.members == (0, 1) and soup.score == pytest.approx(-0.5)
    np.testing.assert_allclose(soup.model.head.stack[-1].bias[0], 1.5)


def test_of_an_error_less_is_better(monkeypatch, capsys):
    models = copies(3)
    for model, value in zip(models, [0.0, 3.0, -2.0], strict=True):
        model.head.stack[-1].bias.assign([value, 0, 0])

    def error(model, *_, **__):
        return {"log_loss": abs(float(model.head.stack[-1].bias[0]) - 1.0)}

    monkeypatch.setattr(soups, "evaluate", error)
    soup = tl.greedy_soup(models, None, metric="log_loss")
    # Alone: 1, 2, 3. In order 0, 1, 2: 0 with 1 is .5 and better; with 2 it is .67, left out.
    assert soup.members == (0, 1) and soup.score == pytest.approx(0.5)
    assert soup.scores == pytest.approx((1, 2, 3))
    assert "log_loss 0.5000, the best alone 1.0000" in capsys.readouterr().out


def test_a_greedy_soup_on_real_data_is_no_worse_than_the_best():
    soup = tl.greedy_soup(copies(), (IMAGES, np.arange(6) % 3), verbose=False)
    assert soup.score >= max(soup.scores)
    report = tl.evaluate(soup.model, (IMAGES, np.arange(6) % 3), verbose=False)
    assert report["accuracy"] == pytest.approx(soup.score)


def test_what_cannot_be_averaged_is_refused():
    one, two = copies(2)
    with pytest.raises(InputError, match="expected a list of two models or more"):
        tl.uniform_soup([one])
    with pytest.raises(InputError, match="shares: expected 2 numbers"):
        tl.uniform_soup([one, two], shares=[1])
    other = tl.build_transfer_model(tiny_network(), 4)
    with pytest.raises(InputError, match=r"models\[1\]: its weights or outputs do not match"):
        tl.uniform_soup([one, other])
    with pytest.raises(InputError, match=r"models\[1\]: expected one made by build_transfer_model"):
        tl.uniform_soup([one, tiny_network()])
