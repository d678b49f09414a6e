"""Numbers and lists in sentences: singular and plural."""

import importlib.util

import numpy as np
import pytest

import tl_keras as tl
from tl_keras.evaluation import Report
from tl_keras.schedules import Stage
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError, counted, listed


def test_counted():
    assert [counted(count, "epoch") for count in (0, 1, 2, 1200)] == [
        *("0 epochs", "1 epoch", "2 epochs", "1,200 epochs")
    ]
    assert [counted(count, "class", "classes") for count in (1, 3)] == ["1 class", "3 classes"]


def test_listed():
    words = ("a", "b", "c")
    assert [listed(words[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        (("onnx",), "the package onnx is not installed"),
        (("tf2onnx", "onnx"), "the packages tf2onnx and onnx are not installed"),
    ],
)
def test_missing_packages(monkeypatch, missing, text):
    import keras

    images = keras.Input((4, 4, 3))
    model = tl.build_transfer_model(
        keras.Model(images, keras.layers.Conv2D(2, 1)(images)), num_classes=2
    )
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in missing else find(name)
    )
    with pytest.raises(InputError, match=text):
        tl.export.onnx(model, "model.onnx")


def test_one_of_everything():
    spec = TargetSpec("classification", 2)
    report = Report.of(spec, spec.encode([1]), np.array([[0.2, 0.8]]))
    assert str(report).startswith("1 example, ")
    assert Stage(1, unfreeze=1).name == "upper 1 block"
    with pytest.raises(InputError, match="y: 1 label is None"):
        spec.encode([None, "a"])
    with pytest.raises(InputError, match="y: 2 labels are None"):
        spec.encode([None, None, "a"])
