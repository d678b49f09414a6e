"""Every Keras callback × one stage, two stages, resumed: it does what it does in `fit`.

A first callback writes the same losses and accuracies into the logs of `fine_tune` and of `fit`, so
that all that follows from them can be compared exactly. Two stages are two calls of `fit`, and a
run that was killed and resumed with fresh callbacks is one that was not.
"""

import dataclasses
import pathlib
import random
import warnings
from collections.abc import Callable

import keras
import numpy as np
import pytest

import tl_keras as tl
from tl_keras.training.keras_callbacks import direction_of
from tl_keras.utils.errors import InputError

RATE, FIRST, SECOND = 1e-3, 5, 5
SCRIPT = {
    "loss": [1.0, 0.9, 0.8, 0.85, 1.5, 1.4, 1.2, 1.3, 1.25, 1.1],
    "accuracy": [0.3, 0.4, 0.6, 0.5, 0.2, 0.3, 0.35, 0.3, 0.25, 0.2],
    "val_loss": [1.1, 0.7, 0.9, 0.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1],
    "val_accuracy": [0.5, 0.6, 0.55, 0.55, 0.3, 0.4, 0.45, 0.44, 0.43, 0.42],
    "val_own": [3.0, 4.0, 2.0, 1.0, 5.0, 6.0, 2.0, 1.0, 0.0, 0.0],
}
X = np.random.default_rng(0).integers(0, 255, (8, 8, 8, 3)).astype("uint8")
Y = np.arange(8) % 2


class Script(keras.callbacks.Callback):
    """Writes what was measured; dies at an epoch if asked."""

    def __init__(self, dies_at: int | None = None):
        super().__init__()
        self.dies_at = dies_at

    def on_epoch_end(self, epoch, logs=None):
        logs |= {name: values[epoch] for name, values in SCRIPT.items()}

    def on_train_batch_begin(self, batch, logs=None):
        if self.dies_at == self.epoch and batch == 1:
            raise InterruptedError

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch


@dataclasses.dataclass
class Done:
    """What callbacks left behind."""

    folder: pathlib.Path
    callbacks: dict[str, keras.callbacks.Callback]
    hooks: list[str]
    posted: list[dict]
    model: keras.Model
    history: dict[str, list[float]]
    best_epoch: int | None = None


def make_callbacks(folder: pathlib.Path, hooks: list[str]) -> dict[str, keras.callbacks.Callback]:
    found = keras.callbacks
    calls = (
        *("on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end"),
        *("on_train_batch_begin", "on_train_batch_end"),
    )
    noted = {name: (lambda *_, n=name, **__: hooks.append(n)) for name in calls}

    def kept(name, **arguments):
        path = folder / f"{name}.weights.h5"
        return found.ModelCheckpoint(path, save_weights_only=True, **arguments)

    return {
        "EarlyStopping": found.EarlyStopping("val_accuracy", patience=2, restore_best_weights=True),
        "ReduceLROnPlateau": found.ReduceLROnPlateau("accuracy", patience=1, factor=0.5),
        "LearningRateScheduler": found.LearningRateScheduler(lambda epoch, rate: 0.9 * rate),
        "best file": kept("best-{epoch}", monitor="val_accuracy", save_best_only=True),
        "own metric's file": kept(
            "own-{epoch}", monitor="val_own", mode="max", save_best_only=True
        ),
        "every file": kept("{epoch}-{val_loss:.2f}"),
        "whole model": found.ModelCheckpoint(folder / "best.keras", save_best_only=True),
        "CSVLogger": found.CSVLogger(folder / "log.csv", append=True),
        "TensorBoard": found.TensorBoard(folder / "board", profile_batch=0),
        "TerminateOnNaN": found.TerminateOnNaN(),
        "LambdaCallback": found.LambdaCallback(**noted),
        "History": found.History(),
        "ProgbarLogger": found.ProgbarLogger(),
        "RemoteMonitor": found.RemoteMonitor(send_as_json=True),
        "user's own": Asks(),
    }


class Asks(keras.callbacks.Callback):
    """Uses the model as callbacks do, in hooks that `fit` calls."""

    def on_train_begin(self, logs=None):
        self.begins_with = float(self.model.optimizer.learning_rate)
        self.tested = 0

    def on_test_batch_end(self, batch, logs=None):
        self.tested += 1

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            self.of_best = self.model.predict(X[:2], verbose=0)
        if not hasattr(self, "measured"):
            self.measured = self.model.evaluate(X, Y, verbose=0, return_dict=True)


def new_model() -> tl.TransferModel:
    # Where Keras takes its seeds from; one set in TensorFlow would make it forget its kernels.
    random.seed(0)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, strides=2, name="conv")]
    model = tl.build_transfer_model(keras.Sequential(layers), 2)
    model.compile(
        keras.optimizers.SGD(RATE),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
    )
    return model


def tuned(folder, posted, lengths, dies_at=None) -> Done:
    stages = tuple(
        tl.Stage(n, unfreeze=0 if i == 0 else "all", optimizer="sgd", learning_rate=RATE,
                 decay="constant", warmup=0.0)
        for i, n in enumerate(lengths)
    )  # fmt: skip
    hooks: list[str] = []
    for death in (None,) if dies_at is None else (dies_at, None):
        model, callbacks = new_model(), make_callbacks(folder, hooks)
        arguments = {} if dies_at is None else {"output": folder / "run"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                run = tl.fine_tune(
                    model, (X, Y), (X, Y), schedule=stages, batch_size=4, cache=None,
                    callbacks=[Script(death), *callbacks.values()], verbose=False,
                    checkpoints=tl.Checkpoints(steps=1), **arguments,
                )  # fmt: skip
        except InterruptedError:
            continue
    return Done(folder, callbacks, hooks, posted, model, run.history, run.best_epoch)


def fitted(folder, posted, lengths) -> Done:
    hooks: list[str] = []
    model, callbacks = new_model(), make_callbacks(folder, hooks)
    done = 0
    for length in lengths:
        model.optimizer.learning_rate = RATE
        last = model.fit(
            X, Y, batch_size=4, validation_data=(X, Y), validation_batch_size=4, verbose=0,
            initial_epoch=done, epochs=done + length, callbacks=[Script(), *callbacks.values()],
        )  # fmt: skip
        done = last.epoch[-1] + 1
    return Done(folder, callbacks, hooks, posted, model, {})


SCENARIOS = {"one stage": [FIRST], "two stages": [FIRST, SECOND]}


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory) -> dict[str, tuple[Done, Done]]:
    """For each scenario, what `fine_tune` did and what `fit` did."""
    found, patch = {}, pytest.MonkeyPatch()
    with patch.context() as patched:
        for name, lengths in SCENARIOS.items():
            pair = []
            for train in (tuned, fitted):
                posted: list[dict] = []
                patched.setattr("requests.post", lambda *_, json, p=posted, **__: p.append(json))
                pair.append(train(tmp_path_factory.mktemp("done"), posted, lengths))
            found[name] = tuple(pair)
        posted = []
        patched.setattr("requests.post", lambda *_, json, p=posted, **__: p.append(json))
        killed = tuned(tmp_path_factory.mktemp("done"), posted, SCENARIOS["two stages"], dies_at=6)
        found["resumed"] = (killed, found["two stages"][1])
    return found


def files(done: Done, pattern: str) -> list[str]:
    return sorted(path.name for path in done.folder.glob(pattern))


def weights_in(done: Done, pattern: str) -> list[np.ndarray]:
    model = new_model()
    model.load_weights(next(iter(done.folder.glob(pattern))))
    return model.get_weights()


def rows(done: Done) -> list[str]:
    return (done.folder / "log.csv").read_text(encoding="utf-8").splitlines()


def check_early_stopping(ours: Done, theirs: Done):
    assert len(ours.history["loss"]) == len(rows(theirs)) - 1
    for name in ("stopped_epoch", "best", "wait"):
        pair = [getattr(one.callbacks["EarlyStopping"], name) for one in (ours, theirs)]
        assert pair[0] == pytest.approx(pair[1]), name
    assert ours.best_epoch == int(np.argmax(SCRIPT["val_accuracy"]))
    for one, other in zip(ours.model.get_weights(), weights_in(ours, "2-*.h5"), strict=True):
        np.testing.assert_array_equal(one, other)


def check_best_file(ours: Done, theirs: Done):
    wanted = ["best-1.weights.h5", "best-2.weights.h5"]
    assert files(ours, "best-*") == files(theirs, "best-*") == wanted


def check_own_metric(ours: Done, theirs: Done):
    assert files(ours, "own-*") == files(theirs, "own-*")
    assert ours.history["val_own"] == SCRIPT["val_own"][: len(ours.history["loss"])]


def check_whole_model(ours: Done, _: Done):
    if not hasattr(ours.callbacks["user's own"], "of_best"):
        return
    saved = keras.saving.load_model(ours.folder / "best.keras", compile=False)
    best = ours.callbacks["user's own"].of_best
    np.testing.assert_allclose(saved(X[:2]), best, atol=1e-6)


def check_hooks(ours: Done, theirs: Done):
    """The run as a whole begins and ends once; a killed one begins twice and repeats a step."""
    wanted = theirs.hooks
    ends = ("on_train_begin", "on_train_end")
    found = [[hook for hook in hooks if hook not in ends] for hooks in (ours.hooks, wanted)]
    if "run" in files(ours, "run"):
        return
    assert found[0] == found[1]
    assert [ours.hooks.count(hook) for hook in ends] == [1, 1]


def check_uses(ours: Done, theirs: Done):
    own, other = ours.callbacks["user's own"], theirs.callbacks["user's own"]
    assert own.begins_with == pytest.approx(RATE)
    assert set(own.measured) == set(other.measured)
    assert own.tested > 0
    assert own.tested % 2 == 0


CHECKS: dict[str, Callable[[Done, Done], None]] = {
    "EarlyStopping": check_early_stopping,
    "best file": check_best_file,
    "own metric's file": check_own_metric,
    "every file": lambda a, b: _same(files(a, "[0-9]*.h5"), files(b, "[0-9]*.h5")),
    "whole model": check_whole_model,
    "CSVLogger, ReduceLROnPlateau, LearningRateScheduler": lambda a, b: _same(rows(a), rows(b)),
    "TensorBoard": lambda a, b: _same(*(files(one, "board/*/*.v2") != [] for one in (a, b))),
    "TerminateOnNaN": lambda a, _: _same(np.isfinite(a.history["loss"]).all(), True),
    "LambdaCallback": check_hooks,
    "History": lambda a, b: _same(
        a.callbacks["History"].epoch[-1], b.callbacks["History"].epoch[-1]
    ),
    "RemoteMonitor": lambda a, b: _same(a.posted, b.posted),
    "user's own": check_uses,
}


def _same(one, other):
    assert one == other


@pytest.mark.parametrize("callback", CHECKS)
@pytest.mark.parametrize("scenario", [*SCENARIOS, "resumed"])
def test_a_callback_does_what_it_does_in_fit(scenarios, scenario, callback):
    CHECKS[callback](*scenarios[scenario])


def quick(callbacks, stages=None, **arguments) -> tl.Run:
    stages = tl.Stage(3, optimizer="sgd", learning_rate=RATE) if stages is None else stages
    arguments = {"batch_size": 4, "verbose": False, "cache": None, **arguments}
    return tl.fine_tune(
        new_model(), (X, Y), (X, Y), schedule=stages, callbacks=callbacks, **arguments
    )


def test_backup_and_restore_continues_a_killed_stage(tmp_path):
    whole = quick([])
    backup = tmp_path / "backup"
    with pytest.raises(InterruptedError):
        quick([Script(dies_at=1), keras.callbacks.BackupAndRestore(backup)])
    run = quick([keras.callbacks.BackupAndRestore(backup)])
    assert np.isnan(run.history["loss"][:1]).all()
    np.testing.assert_allclose(run.history["loss"][1:], whole.history["loss"][1:], rtol=1e-5)


def test_moving_averages_are_measured_with_and_without_swap_ema_weights():
    stage = tl.Stage(2, optimizer="sgd", learning_rate=RATE, ema_momentum=0.5)
    losses = [
        quick(callbacks, stage).history["val_loss"]
        for callbacks in ([], [keras.callbacks.SwapEMAWeights()])
    ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ("callback", "stages", "text"),
    [
        (keras.callbacks.SwapEMAWeights(), None, "ema_momentum=0.99"),
        (keras.callbacks.BackupAndRestore("x"), (tl.Stage(1), tl.Stage(1)), "output="),
    ],
)
def test_what_has_nothing_to_work_with_is_refused(callback, stages, text):
    with pytest.raises(InputError, match=text):
        quick([callback], stages)


def test_a_misspelt_monitor_warns_and_an_unknown_one_asks_for_its_mode():
    misspelt = keras.callbacks.EarlyStopping("val_acuracy", restore_best_weights=True)
    with pytest.warns(UserWarning, match="`val_acuracy` which is not available"):
        quick([misspelt], tl.Stage(1))
    own = keras.callbacks.EarlyStopping("val_own", patience=5)
    with pytest.raises(InputError, match=r"EarlyStopping\(monitor='val_own'\).*mode='min' or"):
        quick([Script(), own], tl.Stage(2))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"), ("val_loss", "min"), ("val_accuracy", "max"), ("color_accuracy", "max"),
        ("val_target_accuracy", "max"), ("val_mae", "min"), ("price_mae", "min"),
        ("val_color_loss", "min"), ("dann", "min"), ("val_auc", "max"), ("kappa", None),
    ],
)  # fmt: skip
def test_directions(name, mode):
    assert direction_of(name, ["dann"]) == mode
