"""Messages of the library name the options of the command that was called."""

import pytest

from tl_keras.cli.main import app
from tl_keras.cli.option_names import command_of, group_of, in_words_of


@pytest.mark.parametrize(
    ("command", "message", "expected"),
    [
        ("train", "batch_size: expected 1", "--batch-size: expected 1"),
        ("train", "path: 'a b' is empty", "DIR: 'a b' is empty"),
        ("train", "data['source']: odd", "DIR['source']: odd"),
        ("train", "seed: use seed=3, a good seed.", "--seed: use --seed 3, a good seed."),
        ("train", "output: Pass overwrite=True to", "--output: Pass --overwrite to"),
        ("train", "no; pass on_problem='skip'.", "no; pass --on-problem skip."),
        ("train", "x; pass augmentation=…, or", "x; pass --augment …, or"),
        ("train", "Use a batch_size of 4.", "Use a --batch-size of 4."),
        ("train", "path: my/batch_size.png is", "DIR: my/batch_size.png is"),
        ("train", "the weights and the head stay", "the weights and the head stay"),
        ("export", "path: exists; overwrite=True", "--output: exists; --overwrite"),
        ("export", "run: 'x' holds no", "RUN: 'x' holds no"),
        ("predict", "model: no", "RUN_OR_SAVEDMODEL: no"),
        ("predict", "run: no", "RUN_OR_SAVEDMODEL: no"),
        ("evaluate", "positive: expected", "--positive: expected"),
        ("backbones", "batch_size: no", "batch_size: no"),
        (
            "evaluate",
            "use tl.data.image_table(…, label='my tags', separator='|'), else task='regression'.",
            "use --label 'my tags' --separator '|', else --task regression.",
        ),
        (
            "train",
            "Or name those: tl.data.image_table('a.csv', path=…, label=…).",
            "Or name those: --path-column … --label ….",
        ),
        ("train", "cells; separator=',', or", "cells; --separator ,, or"),
    ],
)
def test_options(command, message, expected):
    assert in_words_of(command_of(group_of(app), ["--debug", command, "x"]), message) == expected


def test_unknown_commands_change_nothing():
    assert in_words_of(command_of(group_of(app), ["trian"]), "batch_size: 1") == "batch_size: 1"
    assert command_of(group_of(app), []) is None
