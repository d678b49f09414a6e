"""The description of an objective tells runs apart, and is the same in every process."""

import json
import subprocess
import sys

import keras
import pytest

from tl_keras.objectives import MCC, Joint, Linear
from tl_keras.objectives.description import described

CODE = """
def falling(progress, names=("a", "b")):
    return 1.0 - progress if "a" in {"a", "b", "c"} else (lambda: progress)()

def powered(power):
    return lambda progress: progress**power

class Steps:
    def __init__(self, edge):
        self.edge = edge

    def __call__(self, progress):
        return self.edge
"""


def functions(power=2, edge=0.5):
    space = {"__name__": "weights_of_mine"}
    exec(CODE, space)
    return [space["falling"], space["powered"](power), space["Steps"](edge)]


def test_functions_are_known_by_what_they_do():
    for one, same in zip(functions(), functions(), strict=True):
        assert one is not same
        assert described(one) == described(same)
    others = [described(one) for k in range(3) for one in functions(power=k, edge=k)]
    assert len({json.dumps(one) for one in others}) == 7


@pytest.mark.slow
def test_another_process_gives_the_same_description():
    code = (
        "import json\n"
        "from tests.objectives.test_description import described, functions\n"
        "print(json.dumps([described(one) for one in functions()]))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(found.splitlines()[-1]) == [described(one) for one in functions()]


def test_arguments_are_in_the_configuration():
    configuration = Joint(alpha=Linear(1.0, 0.1), source_weights={"a": 2}).config()
    assert configuration["objective"] == "Joint" and configuration["source_weights"] == {"a": 2.0}
    assert "start=1.0" in str(configuration["alpha"])
    first, second = (MCC(weight=lambda progress, k=k: k * progress).config() for k in (1, 2))
    assert first != second and "0x" not in str(first)


def test_layers_are_known_by_their_weights():
    one = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    before = described(one)
    one.set_weights([weight + 1 for weight in one.get_weights()])
    assert "2 weights" in before and described(one) != before
