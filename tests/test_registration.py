"""A file that names classes of this package loads once the package is imported, and not before."""

import pathlib
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

import tl_keras as tl
from tl_keras.utils.registration import CLASSES

ROOT = pathlib.Path(tl.__file__).parent
LOAD = (
    "model = keras.saving.load_model(sys.argv[1]); print(type(model).__name__, model.class_names)"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    inputs = keras.Input((4, 4, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    model = tl.build_transfer_model(backbone, class_names=["a", "b"])
    path = tmp_path_factory.mktemp("saved") / "best.keras"
    model.save(path)
    return path


@pytest.mark.parametrize("first", ["keras, tl_keras", "tl_keras, keras"])
def test_importing_the_package_is_enough_in_a_new_process(saved, first):
    code = f"import sys, {first}; {LOAD}"
    done = subprocess.run(
        [sys.executable, "-c", code, saved], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "TransferModel ('a', 'b')", done.stderr[-500:]


def test_the_table_names_every_registered_class():
    pattern = re.compile(r'register_keras_serializable\("tl_keras"\)\n(?:@\w+\n)*class (\w+)')
    found = {
        name: ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in ROOT.rglob("*.py")
        for name in pattern.findall(path.read_text(encoding="utf-8"))
    }
    assert found == CLASSES


def test_importing_a_class_replaces_its_stand_in():
    from tl_keras.models.pooling import GeneralizedMeanPooling

    assert keras.saving.get_registered_object("tl_keras>GeneralizedMeanPooling") is (
        GeneralizedMeanPooling
    )


def test_optimizers_of_stages_load_with_a_compiled_model(saved, tmp_path):
    model = keras.saving.load_model(saved)
    model.compile("adam", "categorical_crossentropy")
    model.fit(np.zeros((2, 4, 4, 3), np.uint8), np.eye(2), verbose=0)
    model.save(tmp_path / "compiled.keras")
    assert keras.saving.load_model(tmp_path / "compiled.keras").optimizer.iterations == 1
