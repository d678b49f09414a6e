"""Refused settings: the difference, and nothing of what is the same."""

import dataclasses

import pytest

from tl_keras.schedules import Stage
from tl_keras.training.runs.differences import differences
from tl_keras.training.runs.identity import check_same_run
from tl_keras.utils.errors import InputError


def refusal(before, now):
    with pytest.raises(InputError) as caught:
        check_same_run(before, now)
    return str(caught.value)


@pytest.mark.parametrize("count", [1, 2, 6])
def test_one_field_of_the_last_stage(count):
    rates = {"learning_rate": 1e-3}
    stages = [dataclasses.asdict(Stage(2, unfreeze=0.1 * (i + 1), **rates)) for i in range(count)]
    after = [*stages[:-1], {**stages[-1], "learning_rate": 3e-4}]
    line = f"  stages[{count - 1}].learning_rate: 0.001 before, 0.0003 now"
    lines = refusal({"stages": stages}, {"stages": after}).splitlines()
    assert lines[1:-1] == [line]


def test_before_and_now_are_never_alike():
    long = "x" * 500
    for before, now in (
        (long + "a", long + "b"),
        ([long, long], [long, long + "!"]),
        ({"a": long}, {"a": long, "b": 1}),
        ([1, 2, 3], [1, 2]),
        (1, True),
        ("1", 1),
        (None, {"a": [long]}),
    ):
        for line in differences("name", before, now):
            one, other = line.partition(": ")[2].removesuffix(" now").split(" before, ")
            assert one != other
            assert len(line) < 200
        assert differences("name", before, now)


def test_text_is_shown_around_its_first_difference():
    (line,) = differences("name", "x" * 500 + "old" + "y" * 500, "x" * 500 + "new" + "y" * 500)
    assert "xold" in line and "xnew" in line


def test_many_differences_are_counted():
    lines = differences("labels", list("abcdefghij"), list("ABCDEFGHIJ"))
    assert lines[0] == 'labels[0]: "a" before, "A" now'
    assert lines[-1] == "labels: 4 more"
    assert len(lines) == 7


def test_added_stages_are_counted_and_shown():
    lines = differences("stages", [{"epochs": 1}], [{"epochs": 1}, {"epochs": 2}])
    assert lines[0] == "stages: 1 of them before, 2 of them now"
    assert lines[1] == 'stages[1]: nothing before, {"epochs": 2} now'
