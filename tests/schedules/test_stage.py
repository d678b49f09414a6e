import dataclasses
import json

import pytest

import tl_keras as tl
from tl_keras.schedules import resolve_schedule
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"epochs": 0}, "epochs: expected a whole number ≥ 1, got 0"),
        ({"epochs": 1, "unfreeze": -1}, "unfreeze: expected 0, a number of blocks"),
        ({"epochs": 1, "unfreeze": 1.5}, "unfreeze: expected 0"),
        ({"epochs": 1, "learning_rate": 0.0}, "learning_rate: expected a number > 0"),
        ({"epochs": 1, "optimizer": "adamv"}, "Did you mean 'adam"),
        ({"epochs": 1, "batch_norm": "train"}, "batch_norm: expected one of"),
        ({"epochs": 1, "warmup": 1.0}, "warmup: expected a share from 0 to below 1, got 1.0"),
        ({"epochs": 1, "weight_decay": -0.1}, "weight_decay: expected a number ≥ 0, got -0.1"),
        ({"epochs": 1, "learning_rate": True}, "learning_rate: expected a number > 0, got True"),
        ({"epochs": 1, "layer_decay": 0.0}, "layer_decay: expected a factor above 0 and up to 1"),
        ({"epochs": 1, "layer_decay": 1.1}, "layer_decay: expected a factor .*, got 1.1"),
        ({"epochs": 1, "clip_norm": 1.0}, "clip_norm: Stage has no such .* called global_clipnorm"),
        ({"epochs": 1, "ema": 0.9}, "ema: Stage has no such .* called ema_momentum"),
        (
            {"epochs": 1, "global_clipnorm": 0},
            "global_clipnorm: expected a number > 0 or None, got 0",
        ),
        ({"epochs": 1, "accumulation": 0}, "accumulation: expected a whole number ≥ 1, got 0"),
        ({"epochs": 1, "accumulation": True}, "accumulation: expected a whole number"),
        (
            {"epochs": 1, "ema_momentum": 1.0},
            "ema_momentum: expected a number between 0 and 1 or None, got 1.0",
        ),
        (
            {"epochs": 1, "ema_momentum": float("nan")},
            "ema_momentum: expected a number between 0 and 1",
        ),
        ({"epochs": 1, "learning_rates": [1e-3]}, r"→ learning rate, got \[0.001\]"),
        ({"epochs": 1, "learning_rates": {"stem": 0.0}}, "→ number > 0, got 'stem': 0.0"),
    ],
)
def test_bad_stages_say_what_was_expected(arguments, text):
    with pytest.raises(InputError, match=text):
        tl.Stage(**arguments)


def test_stages_are_values_that_can_be_hashed_and_written_as_json():
    rates = {"stem": 1e-5, "head": 1}
    stage = tl.Stage(
        2, layer_decay=0.7, learning_rates=rates, global_clipnorm=1.0, ema_momentum=0.99
    )
    same = dataclasses.replace(stage)
    assert stage == same and hash(stage) == hash(same)
    assert len({stage, same, tl.Stage(2), tl.Stage(2, accumulation=2)}) == 3
    rates["stem"] = 1.0
    assert stage.learning_rates == {"stem": 1e-5, "head": 1.0}
    fields = json.loads(json.dumps(dataclasses.asdict(stage)))
    assert fields["learning_rates"] == {"stem": 1e-5, "head": 1.0}
    assert tl.Stage(**fields) == stage


def test_stages_name_themselves():
    names = [tl.Stage(1, unfreeze=u).name for u in (0, 3, 0.25, "all", "block6*")]
    assert names == [
        "head only",
        "upper 3 blocks",
        "upper 25% of the blocks",
        "all blocks",
        "blocks block6*",
    ]


@pytest.mark.parametrize("count", [10, 49, 50, 200, 399, 400, 1968, 9999, 10_000, 1_000_000])
def test_auto_trains_the_head_first_and_bounds_the_updates(count):
    stages = tl.schedules.auto(count)
    assert stages[0].unfreeze == 0
    assert [stage.unfreeze for stage in stages[1:]] == (["all"] if count >= 50 else [])
    for stage in stages[1:]:
        updates = stage.epochs * -(-count // 32)
        assert updates >= min(200, 80 * count // 50) and stage.epochs <= 40


def test_named_schedules_resolve_and_unknown_ones_are_named():
    for name in ("feature_extraction", "full_fine_tuning", "two_stage", "gradual_unfreezing"):
        stages = resolve_schedule(name, num_examples=100, batch_size=32)
        assert stages == getattr(tl.schedules, name)()
    with pytest.raises(InputError, match="Did you mean 'two_stage'"):
        resolve_schedule("twostage", num_examples=100, batch_size=32)
    with pytest.raises(InputError, match="schedule: expected one of"):
        resolve_schedule((), num_examples=100, batch_size=32)


def test_gradual_unfreezing_rises_and_slows():
    stages = tl.schedules.gradual_unfreezing((0.25, 1.0), learning_rate=1e-3, factor=0.1)
    assert [stage.unfreeze for stage in stages] == [0, 0.25, "all"]
    assert [stage.learning_rate for stage in stages[1:]] == pytest.approx([1e-3, 1e-4])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"shares": (0.5, 0.25)}, "rising shares from above 0 to 1"),
        ({"shares": (0.0, 0.5)}, "rising shares"),
        ({"shares": ()}, r"rising shares .*, got \(\)"),
        ({"shares": 0.5}, r"rising shares .*, such as \(0.5, 1.0\), got 0.5"),
        ({"shares": "all"}, "rising shares .*, got 'all'"),
        ({"shares": ("a",)}, "shares: expected a number, got 'a'"),
        ({"factor": "half"}, "factor: expected a number > 0"),
        ({"learning_rate": None}, "learning_rate: expected a number > 0, got None"),
    ],
)
def test_gradual_unfreezing_says_what_was_expected(arguments, text):
    with pytest.raises(InputError, match=text):
        tl.schedules.gradual_unfreezing(**arguments)
