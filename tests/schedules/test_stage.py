import pytest

import tl_keras as tl
from tl_keras.errors import InputError
from tl_keras.schedules import resolve_schedule


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"epochs": 0}, "epochs: expected a whole number ≥ 1, got 0"),
        ({"epochs": 1, "unfreeze": -1}, "unfreeze: expected 0, a number of blocks"),
        ({"epochs": 1, "unfreeze": 1.5}, "unfreeze: expected 0"),
        ({"epochs": 1, "learning_rate": 0.0}, "learning_rate: expected a number > 0"),
        ({"epochs": 1, "optimizer": "adamv"}, "Did you mean 'adam"),
        ({"epochs": 1, "batch_norm": "train"}, "batch_norm: expected one of"),
        ({"epochs": 1, "warmup": 1.0}, "warmup"),
    ],
)
def test_bad_stages_say_what_was_expected(arguments, text):
    with pytest.raises(InputError, match=text):
        tl.Stage(**arguments)


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
    with pytest.raises(InputError, match="rising shares"):
        tl.schedules.gradual_unfreezing((0.5, 0.25))
