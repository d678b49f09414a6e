import keras
import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier

import tl_keras as tl
from tl_keras.evaluation import adaptation_choice, adaptation_scores, choose_adapted
from tl_keras.evaluation.adaptation_choice import AdaptationScore
from tl_keras.evaluation.adaptation_scores import (
    SCORES,
    AdaptationScores,
    density_ratio,
    dev_risk,
    mean_entropy,
    mutual_information,
    reverse_risk,
)
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(0, 2, (50, 3))


def test_entropies_by_scipy():
    p = softmax(LOGITS, axis=1)
    entropy = stats.entropy(p, axis=1).mean()
    assert mean_entropy(LOGITS) == pytest.approx(entropy)
    assert mutual_information(LOGITS) == pytest.approx(stats.entropy(p.mean(axis=0)) - entropy)


def test_density_ratio_of_two_normals():
    """For N(0, 1) and N(1, 1) the ratio is exp(x − ½)."""
    source, target = RANDOM.normal(0, 1, (3000, 1)), RANDOM.normal(1, 1, (2000, 1))
    got = density_ratio(source, target)
    expected = np.exp(source[:, 0] - 0.5)
    assert np.corrcoef(np.log(got), np.log(expected))[0, 1] > 0.99
    assert got.mean() == pytest.approx(1.0, abs=0.1)
    np.testing.assert_array_equal(got, density_ratio(source, target))


def test_a_weighted_risk_is_that_of_the_target():
    source, target = RANDOM.normal(0, 1, (4000, 1)), RANDOM.normal(0.7, 1, (4000, 1))
    weights, losses = density_ratio(source, target), np.square(source[:, 0])
    truth = np.square(target).mean()
    assert np.mean(weights * losses) == pytest.approx(truth, rel=0.1)
    assert dev_risk(losses, weights) == pytest.approx(truth, rel=0.1)


def test_dev_by_its_formula():
    losses, weights = RANDOM.uniform(size=(2, 40))
    weighted = losses * weights
    covariance = ((weighted - weighted.mean()) * (weights - weights.mean())).sum() / 39
    eta = -covariance / weights.var(ddof=1)
    expected = weighted.mean() + eta * weights.mean() - eta
    assert dev_risk(losses, weights) == pytest.approx(expected)
    assert dev_risk(losses, np.ones(40)) == pytest.approx(losses.mean())


def test_dev_corrects_weights_whose_mean_is_not_1():
    losses, weights = np.full(30, 0.7), RANDOM.uniform(0.5, 1.0, 30)
    assert dev_risk(losses, weights) == pytest.approx(0.7)


def test_reverse_risk():
    target = RANDOM.normal(size=(60, 2)) + np.repeat([[-5, 0], [5, 0]], 30, axis=0)
    classes = np.repeat([0, 1], 30)
    assert reverse_risk(target, classes, target, classes) == 0.0
    assert reverse_risk(target, 1 - classes, target, classes) == 1.0
    assert reverse_risk(target, np.ones(60, int), target, classes) == 0.5
    assert reverse_risk(target, classes, target, classes, KNeighborsClassifier(3)) == 0.0


def vector_model(kernel=None, classes=3, **arguments):
    network = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    model = tl.build_transfer_model(network, classes, **arguments)
    if kernel is not None:
        model.head.stack[-1].kernel.assign(kernel)
    return model


KERNEL = 2 * np.eye(4, 3)
SOURCE = RANDOM.normal(size=(90, 4)) + np.eye(4)[np.repeat(np.arange(3), 30)] * 4
TARGET = SOURCE[::2] + 0.3
SOURCE_Y = np.repeat(np.arange(3), 30)


def test_scores_of_a_model():
    model = vector_model(KERNEL)
    scores = adaptation_scores(model, (SOURCE, SOURCE_Y), TARGET)
    logits = model.logits(TARGET.astype("float32"))
    assert scores.entropy == pytest.approx(mean_entropy(logits), rel=1e-4)
    assert scores.information == pytest.approx(-mutual_information(logits), rel=1e-4)
    p = softmax(SOURCE @ KERNEL, axis=1)
    assert scores.source_risk == pytest.approx(log_loss(SOURCE_Y, p), rel=1e-4)
    assert scores.reverse_risk < 0.1
    assert "weighted risk" in str(scores)
    assert adaptation_scores(model, (SOURCE, SOURCE_Y), TARGET, limit=40) == adaptation_scores(
        model, (SOURCE, SOURCE_Y), TARGET, limit=40
    )


def test_the_better_model_is_chosen_by_every_score(capsys, monkeypatch):
    def scored(model, *data, **options):
        if id(model) not in found:
            found[id(model)] = adaptation_scores(model, *data, **options)
        return found[id(model)]

    found = {}
    monkeypatch.setattr(adaptation_choice, "adaptation_scores", scored)
    models = {0.1: vector_model(KERNEL), 1.0: vector_model(KERNEL[:, [1, 0, 2]] * 0.1)}
    for score in SCORES:
        choice = choose_adapted(models, (SOURCE, SOURCE_Y), TARGET, score=score, verbose=False)
        assert choice.best == 0.1, score
    choose_adapted(models, (SOURCE, SOURCE_Y), TARGET)
    assert "0.1 ★" in capsys.readouterr().out


def test_a_run_stops_and_keeps_the_best_epoch(monkeypatch):
    values = iter([3.0, 1.0, 2.0, 2.5, 9.0])

    def scored(model, *_, **__):
        return AdaptationScores(*[next(values)] * 6)

    monkeypatch.setattr(adaptation_choice, "adaptation_scores", scored)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            own = adversary.discriminator.get_weights()
            seen.append([*self.model.get_weights(), *own])

    callback = AdaptationScore((SOURCE, SOURCE_Y), TARGET, "entropy", patience=2)
    model, adversary = vector_model(), tl.objectives.DANN(hidden_units=())
    run = tl.fine_tune(
        model,
        {"source": (SOURCE, SOURCE_Y), "target": TARGET},
        schedule=tl.Stage(5, learning_rate=0.1),
        objectives=[tl.objectives.Supervised(), adversary],
        callbacks=[Watch(), callback],
        batch_size=45,
        verbose=False,
    )
    assert len(run.history["loss"]) == 4
    assert callback.best_epoch == 1 and [one.entropy for one in callback.history][1] == 1.0
    assert not np.array_equal(seen[1][-1], seen[3][-1])
    ended = [*model.get_weights(), *adversary.discriminator.get_weights()]
    for own, best in zip(ended, seen[1], strict=True):
        np.testing.assert_array_equal(own, best)


@pytest.mark.parametrize("crash_in", [None, 3])
def test_patience_counts_from_the_stages_start(monkeypatch, tmp_path, crash_in):
    """As `early_stopping` does: what the first stage missed is not the second one's."""
    monkeypatch.setattr(
        adaptation_choice,
        "adaptation_scores",
        lambda *_, **__: AdaptationScores(*[1.0 + len(callback.history)] * 6),
    )

    def train(*others):
        return tl.fine_tune(
            vector_model(),
            {"source": (SOURCE, SOURCE_Y), "target": TARGET},
            schedule=[tl.Stage(2), tl.Stage(5)],
            callbacks=[callback, *others],
            batch_size=45,
            verbose=False,
            **kept,
        )

    kept = {"output": tmp_path, "checkpoints": tl.Checkpoints(steps=1)} if crash_in else {}
    callback = AdaptationScore((SOURCE, SOURCE_Y), TARGET, "entropy", patience=2)
    if crash_in is not None:
        with pytest.raises(KeyboardInterrupt):
            train(Crash(crash_in))
        callback = AdaptationScore((SOURCE, SOURCE_Y), TARGET, "entropy", patience=2)
    assert len(train().history["loss"]) == 4
    assert callback.best_epoch == 0


class Crash(keras.callbacks.Callback):
    """Raises when an epoch begins."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


def test_a_killed_run_goes_on_with_its_scores_and_its_best_weights(monkeypatch, tmp_path):
    values = [3.0, 1.0, 2.0, 2.5, 9.0]
    scored = []

    def score(model, *_, **__):
        scored.append(values[len(scored)])
        return AdaptationScores(*[scored[-1]] * 6)

    monkeypatch.setattr(adaptation_choice, "adaptation_scores", score)

    def train(output, *others):
        keras.utils.set_random_seed(0)
        callback, model = AdaptationScore((SOURCE, SOURCE_Y), TARGET, "entropy"), vector_model()
        adversary = tl.objectives.DANN(hidden_units=())
        tl.fine_tune(
            model,
            {"source": (SOURCE, SOURCE_Y), "target": TARGET},
            schedule=tl.Stage(5, learning_rate=0.1),
            objectives=[tl.objectives.Supervised(), adversary],
            callbacks=[callback, *others],
            batch_size=45,
            output=output,
            **({} if output is None else {"checkpoints": tl.Checkpoints(steps=1)}),
            verbose=False,
        )
        return callback, [*model.get_weights(), *adversary.discriminator.get_weights()]

    whole, expected = train(None)
    for killed_in in (1, 3):  # Before the best epoch and after it.
        scored.clear()
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / str(killed_in), Crash(killed_in))
        # The last checkpoint is from before that epoch's score, which is asked again.
        del scored[killed_in - 1 :]
        resumed, found = train(tmp_path / str(killed_in))
        assert resumed.history == whole.history and len(resumed.history) == 5
        assert resumed.best_epoch == whole.best_epoch == 1
        for own, best in zip(found, expected, strict=True):
            np.testing.assert_array_equal(own, best)


def test_a_run_is_scored_after_every_epoch():
    callback = AdaptationScore((SOURCE, SOURCE_Y), TARGET, "dev")
    tl.fine_tune(
        vector_model(),
        {"source": (SOURCE, SOURCE_Y), "target": TARGET},
        schedule=tl.Stage(2, learning_rate=0.1),
        callbacks=callback,
        batch_size=45,
        verbose=False,
    )
    assert len(callback.history) == 2
    assert callback.history[1].source_risk < callback.history[0].source_risk


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="score: expected one of"):
        AdaptationScore(SOURCE, TARGET, score="accuracy")
    with pytest.raises(InputError, match="models: expected a dict"):
        choose_adapted({}, SOURCE, TARGET)
    with pytest.raises(InputError, match="defined for classifiers"):
        adaptation_scores(vector_model(head="regression"), SOURCE, TARGET)
    with pytest.raises(InputError, match="source: expected examples with labels"):
        adaptation_scores(vector_model(), SOURCE, TARGET)
    for source, target, text in (
        ((SOURCE[:1], SOURCE_Y[:1]), TARGET, "source: expected at least 2 examples.*got 1"),
        ((SOURCE, SOURCE_Y), TARGET[:1], "target: expected at least 2 examples.*got 1"),
    ):
        with pytest.raises(InputError, match=text):
            choose_adapted({"one": vector_model()}, source, target)
    with pytest.raises(InputError, match="limit: expected a whole number ≥ 2, got 1"):
        adaptation_scores(vector_model(), (SOURCE, SOURCE_Y), TARGET, limit=1)
    with pytest.raises(InputError, match="target: the model takes inputs of shape"):
        adaptation_scores(vector_model(), (SOURCE, SOURCE_Y), TARGET[:, :3])
