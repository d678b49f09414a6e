"""The README runs as it stands there: every block, in order, on little data."""

import dataclasses
import importlib
import pathlib
import re
import shlex

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tl_keras.backbones import efficientnet_lite
from tl_keras.cli.main import main

ROOT = pathlib.Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
NOT_RUN = {
    "make demo": "sets up an environment from the internet; runs `tl-keras demo`",
    "make test": "sets up an environment from the internet; runs these tests",
}
"""Commands that are not run here, and why."""
SIZE = 64
"""Pixels of images here; the README has 224."""
OURS = {"image_size=224": f"image_size={SIZE}", "8, unfreeze=0.5": "2, unfreeze=0.5"}
"""What the blocks say, and the smaller number that stands here in its place."""
STAGES = ((1, 3, 1, 1, 16), (1, 3, 2, 6, 24), (1, 3, 2, 6, 40))
"""Those of `EfficientNetLite0` here: three blocks; most of the time is to trace all seventeen."""


def commands(text):
    """Return the words of each command in a block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def write_images(folder, brightness, count, seed):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    for index in range(count):
        pixels = generator.integers(-30, 31, (48, 48, 3)) + brightness
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:02}.png")


@pytest.fixture
def small_backbone(tmp_path_factory, monkeypatch):
    """Make `EfficientNetLite0` a network of three blocks, with a file for its weights.

    They are random, and its features as large as those of trained ones.
    """
    table, name = efficientnet_lite.EFFICIENTNET_LITE, "EfficientNetLite0"
    monkeypatch.setitem(table, name, dataclasses.replace(table[name], image_size=SIZE))
    monkeypatch.setattr(efficientnet_lite, "_STAGES", STAGES)
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.weights.h5"
    network = efficientnet_lite.efficientnet_lite(name, weights=None)
    network.get_layer("top_bn").gamma.assign(np.full(1280, 16.0))
    network.save_weights(path)
    monkeypatch.setattr(efficientnet_lite, "find_packaged_weights", lambda *_: str(path))


@pytest.fixture
def few_epochs(monkeypatch):
    """Give stages that `schedule="auto"` chooses a quarter of their epochs."""

    def shorter(*arguments, **named):
        stages = tl.schedules.auto(*arguments, **named)
        return tuple(dataclasses.replace(stage, epochs=stage.epochs // 4) for stage in stages)

    for module in ("tl_keras.schedules.named", "tl_keras.training.fine_tune"):
        monkeypatch.setattr(importlib.import_module(module), "auto", shorter)


@pytest.fixture
def names(tmp_path, monkeypatch, small_backbone, few_epochs):
    """What the text around the blocks speaks of, as small files and arrays."""
    monkeypatch.chdir(tmp_path)
    # TensorFlow forgets with each new seed what it has prepared, as the decoder of images.
    monkeypatch.setattr(tf.random, "set_seed", lambda seed: None)
    write_images(tmp_path / "cells" / "defective", 60, 14, 0)
    write_images(tmp_path / "cells" / "functional", 190, 14, 1)
    Image.open(tmp_path / "cells" / "defective" / "00.png").save(tmp_path / "photo.jpg")
    Image.open(tmp_path / "cells" / "functional" / "00.png").save(tmp_path / "another.png")
    rows = [f"cells/defective/{index:02}.png,{1000 + index}" for index in range(14)]
    (tmp_path / "goods.csv").write_text("\n".join(["path,price", *rows]), encoding="utf-8")
    random = np.random.default_rng(0)
    labels = np.arange(12) % 2
    photos = random.integers(0, 60, (12, SIZE, SIZE, 3)) + 120 * labels[:, None, None, None]
    return {
        "photos": photos.astype(np.uint8),
        "labels": labels,
        "sketches": (255 - photos).astype(np.uint8),
        "Xs": random.normal(size=(40, 3)),
        "ys": np.arange(40) % 2,
        "Xt": random.normal(1.0, size=(30, 3)),
    }


@pytest.mark.slow
def test_every_block_in_order(names, tmp_path, capsys):
    for number, (language, text) in enumerate(BLOCKS):
        if language == "python":
            for words, ours in OURS.items():
                text = text.replace(words, ours)
            exec(compile(text, f"README.md, block {number}", "exec"), names)
            continue
        for words in commands(text):
            if shlex.join(words) not in NOT_RUN:
                assert words[0] == "tl-keras"
                assert main(words[1:]) == 0, (shlex.join(words), capsys.readouterr().err)
    assert "positive class defective" in capsys.readouterr().out
    assert names["report"]["recall"] == names["report"].per_class[0]["recall"]
    for run in ("cells", "shell", "long"):
        assert (tmp_path / "runs" / run / "model.keras").is_file()
    assert (tmp_path / "cells_model" / "saved_model.pb").is_file()
    assert names["search"].best_params_
    assert names["weights"].shape == (70,)
    assert names["weights"][:40].mean() == pytest.approx(1)
    assert names["aligned"].shape == (70, 3)


def test_blocks_have_a_language_and_commands_that_are_not_run_exist():
    assert {language for language, _ in BLOCKS} == {"python", "console"}
    assert all(words in README for words in OURS)
    said = {
        shlex.join(words)
        for language, text in BLOCKS
        for words in commands(text)
        if language == "console"
    }
    assert set(NOT_RUN) <= said
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name.split()[1]}:", makefile, re.MULTILINE) for name in NOT_RUN)
