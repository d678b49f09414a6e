"""Whatever is wrong in a run's directory, nothing is lost without a word and nothing blocks."""

import json
import os
import pathlib
import shutil
import warnings

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.training.runs import run as run_module
from tl_keras.training.runs.array_files import checked_state
from tl_keras.training.runs.found_run import Found, prepare
from tl_keras.training.runs.identity import config_digest
from tl_keras.training.runs.run import finished_run
from tl_keras.training.runs.run_directory import CONFIG_FILE, RunDirectory
from tl_keras.utils.errors import InputError
from tools.torture.run_directories import cases, contents

STAGES = (
    tl.Stage(2, unfreeze=0, learning_rate=1e-2),
    tl.Stage(2, unfreeze=2, learning_rate=1e-3),
)
STATES = ("stage 1", "between stages", "the end")


class Killed(keras.callbacks.Callback):
    """Copies the directory as it is at two moments, lock and all, as `kill -9` would leave it."""

    def __init__(self, run, folder):
        super().__init__()
        self.run, self.folder, self.epoch = run, folder, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        if epoch == STAGES[0].epochs:
            shutil.copytree(self.run, self.folder / "between stages")

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == (1, 1):
            shutil.copytree(self.run, self.folder / "stage 1")


def train(output, callbacks=(), **arguments):
    x = np.random.default_rng(0).integers(0, 255, (24, 16, 16, 3)).astype(np.uint8)
    y = np.arange(24) % 3
    keras.utils.set_random_seed(3)
    return tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3),
        (x, y),
        (x[::2], y[::2]),
        schedule=STAGES,
        batch_size=8,
        callbacks=callbacks,
        output=output,
        verbose=False,
        checkpoints=tl.Checkpoints(steps=1),
        **arguments,
    )


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """One directory for every state."""
    folder = tmp_path_factory.mktemp("directories")
    train(folder / "the end", [Killed(folder / "the end", folder)])
    return {state: folder / state for state in STATES}


@pytest.fixture(scope="module")
def model():
    return tl.build_transfer_model(tiny_network(), 3)


def kept_states(folder: pathlib.Path):
    return [
        state
        for path in folder.rglob("checkpoint-*.zip")
        if path.is_file() and (state := checked_state(path)) is not None and state["step"]
    ]


def decide(folder, config, model):
    """Do what `fine_tune` does before it trains; return the decision, an epoch, and lines said."""
    directory = RunDirectory(folder)
    directory.run = config_digest(config)
    with warnings.catch_warnings(record=True) as caught, directory.locked():
        warnings.simplefilter("always")
        try:
            found, _ = prepare(directory, config, resume=True, overwrite=False)
            if found == Found.FINISHED:
                directory.read_objectives()
                finished_run(directory, model, STAGES)
            if found == Found.BEGUN:
                _, state = directory.read_checkpoint()
                best = state["best_epoch"]
                if best is not None and directory.read_best_weights(best) is None:
                    found = "without best"
        except InputError as error:
            found = str(error)
    return found, [str(one.message) for one in caught]


@pytest.mark.parametrize("state", STATES)
def test_nothing_is_lost_without_a_word(directories, model, state, tmp_path, monkeypatch):
    whole = directories[state]
    config = json.loads((whole / CONFIG_FILE).read_text())
    load, outcomes = run_module.load_run_model, {}
    for number, (name, damage) in enumerate(cases(whole)):
        copy = tmp_path / str(number)
        shutil.copytree(whole, copy)
        damage(copy)
        if "model.keras" not in name:  # Loading a model that is whole takes a third of a second.
            monkeypatch.setattr(run_module, "load_run_model", lambda path: model)
        else:
            monkeypatch.setattr(run_module, "load_run_model", load)
        damaged, usable = contents(copy), kept_states(copy)
        outcome, lines = decide(copy, config, model)
        outcomes[name] = outcome
        after = list(contents(copy).values())
        for path, content in damaged.items():
            assert content in after or path == CONFIG_FILE, f"{name}: {path} is gone"
        if isinstance(outcome, str) and outcome != "without best":
            assert outcome.startswith("output: ") and "hoose another directory" in outcome, name
            assert "\n" not in outcome or "other settings" in outcome, outcome
            assert contents(copy) == damaged, name
        if outcome == Found.NOTHING:
            assert not usable, name
            # With config.json alone, nothing says that there was anything.
            said = any("The run begins at epoch 1" in line for line in lines)
            assert said or set(damaged) == {CONFIG_FILE}, name
        if outcome == "without best":
            assert any("cannot be read: the run resumes without" in line for line in lines), name
        if "a folder" in name:
            assert lines, name
        shutil.rmtree(copy)
    if state == "the end":
        assert outcomes["config.json lost"] == Found.FINISHED
        assert outcomes["model.keras lost"] == Found.NOTHING
        assert "its model is damaged" in outcomes["model.keras cut"]
    else:
        assert outcomes["config.json lost"] == outcomes["config.json zeroed"] == Found.BEGUN
        assert outcomes["all checkpoints cut"] == Found.NOTHING
        assert outcomes["config and the newest checkpoint cut"] == Found.BEGUN
        best = [
            outcome for name, outcome in outcomes.items() if name.startswith("checkpoints/best")
        ]
        assert best and all(one in (Found.BEGUN, "without best") for one in best)


def copied(directories, state, tmp_path):
    return pathlib.Path(shutil.copytree(directories[state], tmp_path / "run"))


def assert_same(first, second):
    for one, two in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_lost_config_is_written_again_and_the_run_resumes(directories, tmp_path):
    run = copied(directories, "stage 1", tmp_path)
    config = (run / CONFIG_FILE).read_text()
    (run / CONFIG_FILE).unlink()
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(1))
    with pytest.warns(UserWarning, match="config.json is written again"):
        resumed = train(run, [count])
    # Callbacks are noted in the configuration and do not make another run.
    written = json.loads((run / CONFIG_FILE).read_text())
    assert written | {"callbacks": 0} == json.loads(config) | {"callbacks": 0}
    assert 0 < len(steps) < 12
    assert_same(resumed, train(directories["the end"]))


def test_a_lost_config_of_another_run_is_refused(directories, tmp_path):
    for state in ("stage 1", "the end"):
        run = copied(directories, state, tmp_path / state)
        (run / CONFIG_FILE).unlink()
        before = contents(run)
        with pytest.raises(InputError, match=r"whose config\.json cannot be read, which has other"):
            train(run, seed=1)
        assert contents(run) == before


def test_damaged_checkpoints_are_kept_and_the_run_starts_again(directories, tmp_path):
    run = copied(directories, "stage 1", tmp_path)
    for path in run.glob("checkpoints/checkpoint-*.zip"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match=r"are damaged and are passed over.*begins at epoch 1"):
        again = train(run)
    assert len(list(run.glob("set-aside-1/checkpoints/checkpoint-*.zip"))) == 2
    assert_same(again, train(directories["the end"]))


def test_a_configuration_without_checkpoints_is_said(directories, tmp_path):
    run = copied(directories, "stage 1", tmp_path)
    directory, config = RunDirectory(run), json.loads((run / CONFIG_FILE).read_text())
    directory.run = config_digest(config)
    shutil.rmtree(run / "checkpoints")
    found, lines = prepare(directory, config, resume=True, overwrite=False)
    assert found == Found.NOTHING
    assert lines == [
        f"{run} holds the configuration of a run and no checkpoint to resume from: this run "
        "begins at epoch 1"
    ]
    fresh = RunDirectory(tmp_path / "fresh")
    fresh.run = directory.run
    assert prepare(fresh, config, resume=True, overwrite=False) == (Found.NOTHING, [])


def test_a_damaged_best_epoch_does_not_block(directories, tmp_path):
    run = copied(directories, "between stages", tmp_path)
    for path in run.glob("checkpoints/best-epoch-*.zip"):
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="the run resumes without them"):
        resumed = train(run)
    assert len(resumed.history["loss"]) == 4 and resumed.best_epoch in (2, 3)


@pytest.mark.parametrize("name", ["config.json", "history.json", "summary.json", "model.keras"])
def test_a_pipe_in_place_of_a_file_does_not_block(tmp_path, name, no_waiting):
    os.mkfifo(tmp_path / name)
    directory = RunDirectory(tmp_path)
    config = {"stages": []}
    directory.run = config_digest(config)
    assert prepare(directory, config, resume=True, overwrite=False) == (Found.NOTHING, [])
    with pytest.raises(InputError, match="a named pipe"):
        os.mkfifo(tmp_path / "other.json")
        directory.read_json("other.json")


def test_a_link_in_place_of_the_lock_is_refused(tmp_path):
    precious = tmp_path / "thesis.txt"
    precious.write_text("years of work")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.lock").symlink_to(precious)
    lock = RunDirectory(tmp_path / "run").locked()
    with pytest.raises(InputError, match=r"cannot be written \(run\.lock is a link\)"), lock:
        pass
    assert precious.read_text() == "years of work"
