"""Runs whose configuration was written when fields of stages had other names."""

import json

import numpy as np

import tl_keras as tl
from tl_keras.training.runs.identity import check_same_run, config_digest
from tl_keras.training.runs.run_directory import CONFIG_FILE

NAMES = {"global_clipnorm": "clip_norm", "ema_momentum": "ema"}


def test_they_are_taken_up(network, tmp_path):
    model = tl.build_transfer_model(network, 2)
    x = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("uint8")
    stage = tl.Stage(1, global_clipnorm=1.0, ema_momentum=0.9)
    arguments = (model, (x, [0, 1, 0, 1]))
    run = tl.fine_tune(*arguments, schedule=stage, cache=None, output=tmp_path / "a", verbose=False)
    path = tmp_path / "a" / CONFIG_FILE
    config = json.loads(path.read_text())
    before = config | {
        "stages": [{NAMES.get(k, k): v for k, v in one.items()} for one in config["stages"]]
    }
    assert before != config
    assert check_same_run(before, config) == []
    # What checkpoints were marked with then, they are looked up by now.
    assert config_digest(config) == config_digest(before)
    path.write_text(json.dumps(before))
    again = tl.fine_tune(
        *arguments, schedule=stage, cache=None, output=tmp_path / "a", verbose=False
    )
    assert again.history == run.history
