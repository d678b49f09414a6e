"""Shapes and types that are known without a pipeline are those of its batches."""

import numpy as np
import pytest

from tests.data.images import write_folder
from tl_keras.data import image_folder
from tl_keras.data.arrays import ArrayExamples
from tl_keras.tasks.targets import TargetSpec

CLASSES = TargetSpec("classification", 3)
TASKS = {"kind": CLASSES, "size": TargetSpec("regression", 2)}
LABELS = np.arange(6) % 3


@pytest.mark.parametrize("spec", [None, CLASSES])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, bool])
@pytest.mark.parametrize("y", [None, LABELS])
def test_arrays(dtype, y, spec):
    examples = ArrayExamples(np.zeros((6, 5, 4), dtype), y)
    assert examples.element_spec(spec) == examples.batches(spec, 2).element_spec


def test_several_tasks():
    examples = ArrayExamples(np.zeros((6, 5)), {"kind": LABELS, "size": np.zeros((6, 2))})
    assert examples.element_spec(TASKS) == examples.batches(TASKS, 2).element_spec


@pytest.mark.parametrize("pixel_range", [None, (0, 4095)])
@pytest.mark.parametrize("spec", [None, TargetSpec("classification", 2)])
def test_image_files(tmp_path, spec, pixel_range):
    write_folder(tmp_path, {"a": 2, "b": 2})
    examples = image_folder(tmp_path, image_size=(6, 8), pixel_range=pixel_range)
    assert examples.element_spec(spec) == examples.batches(spec, 2).element_spec
