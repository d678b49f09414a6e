"""The README's Python runs as it stands there, on little data."""

import pathlib
import re

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network

README = pathlib.Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def block(words: str) -> str:
    """Return the one block with these words in it."""
    (found,) = [one for one in BLOCKS if words in one]
    return found


@pytest.fixture
def names(blobs) -> dict:
    """What the text around the blocks speaks of."""
    images, labels = blobs
    model = tl.build_transfer_model(tiny_network(), 3)
    return {"tl": tl, "keras": keras, "model": model, "photos": images, "labels": labels}


def test_every_block_is_run_here_or_in_the_quickstart():
    tested = ("image_folder(", "objectives.MMD()", "stack_domains(", "layer_decay=0.8")
    assert [sum(words in one for one in BLOCKS) for words in tested] == [1] * len(BLOCKS)


def test_another_domain(names):
    names["sketches"] = 255 - names["photos"]
    before = names["model"].get_weights()
    exec(block("objectives.MMD()"), names)
    assert any(
        not np.array_equal(one, two)
        for one, two in zip(before, names["model"].get_weights(), strict=True)
    )


def test_arrays():
    random = np.random.default_rng(0)
    names = {"tl": tl, "Xs": random.normal(size=(40, 3)), "ys": np.arange(40) % 2}
    names["Xt"] = random.normal(1.0, size=(30, 3))
    exec(block("stack_domains("), names)
    assert names["weights"].shape == (70,)
    assert names["weights"][:40].mean() == pytest.approx(1)
    assert names["aligned"].shape == (70, 3)


def test_stages(names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names["train"] = names["validation"] = (names["photos"], names["labels"])
    exec(block("layer_decay=0.8"), names)
    assert (tmp_path / "runs" / "cells" / "model.keras").is_file()
