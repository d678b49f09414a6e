"""Training without labels: the same machinery as fine_tune."""

import dataclasses

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras.objectives import (
    EntropyMinimization,
    Reconstruction,
    RotationPrediction,
    SimCLR,
    Supervised,
    VICReg,
)
from tl_keras.utils.errors import InputError

STAGE = tl.Stage(1, unfreeze="all", learning_rate=0.01, optimizer="sgd", decay="constant")
IMAGES = np.random.default_rng(0).integers(0, 255, (10, 16, 16, 3)).astype(np.uint8)


def pretrained(model, objectives, **arguments):
    arguments = {"schedule": STAGE, "batch_size": 5, "verbose": False, **arguments}
    return tl.pretrain(model, IMAGES, objectives=objectives, **arguments)


def test_every_objective_trains_the_backbone_and_leaves_the_head():
    model = tl.build_transfer_model(tiny_network(), 3)
    before = model.get_weights()
    run = pretrained(model, [Reconstruction(), RotationPrediction(), SimCLR(), VICReg(weight=0.1)])
    names = ("reconstruction", "rotation_prediction", "sim_clr", "vicreg")
    assert all(np.isfinite(run.history[name]).all() for name in names)
    assert "accuracy" not in run.history
    assert np.abs(model.get_weights()[0] - before[0]).max() > 0
    for own, old in zip(model.head.get_weights(), before[-2:], strict=True):
        np.testing.assert_array_equal(own, old)


def test_a_model_without_a_head_then_one_with():
    encoder = tl.build_transfer_model(tiny_network())
    run = pretrained(encoder, [SimCLR()], augmentation=keras.layers.RandomFlip())
    assert run.model is encoder and run.best_epoch is None
    model = tl.build_transfer_model(encoder, 3)
    assert model.backbone is encoder.backbone
    y = np.arange(10) % 3
    tl.fine_tune(model, (IMAGES, y), schedule=tl.Stage(1), batch_size=5, verbose=False)


def test_labels_are_not_read():
    results = []
    for data in (IMAGES, (IMAGES, ["no", "labels", "of", "the", "model"] * 2)):
        model = tl.build_transfer_model(tiny_network())
        arguments = {"schedule": STAGE, "batch_size": 5, "verbose": False}
        tl.pretrain(model, data, objectives=[RotationPrediction()], **arguments)
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_devices_equal_one(two_devices):
    results = []
    for strategy in ("one_device", two_devices):
        model = tl.build_transfer_model(tiny_network())
        # Views differ with the number of replicas; what they weigh nothing for does not.
        objectives = [Reconstruction(), SimCLR(weight=0.0), VICReg(weight=0.0)]
        run = pretrained(model, objectives, strategy=strategy, batch_size=3)
        assert np.isfinite(run.history["sim_clr"]).all()
        assert np.isfinite(run.history["vicreg"]).all()
        results.append(model.get_weights())
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, atol=2e-6)


def test_a_run_that_was_stopped_goes_on(tmp_path):
    stage = dataclasses.replace(STAGE, epochs=2)

    def run(**arguments):
        model = tl.build_transfer_model(tiny_network())
        pretrained(model, [SimCLR(), RotationPrediction()], schedule=stage, **arguments)
        return model.get_weights()

    whole = run()
    checkpoints = tl.Checkpoints(steps=1)
    with pytest.raises(Stop):
        run(output=tmp_path / "run", checkpoints=checkpoints, callbacks=[Crash(2)])
    with pytest.raises(InputError, match="other settings"):
        run(output=tmp_path / "run", checkpoints=checkpoints, batch_size=2)
    resumed = run(output=tmp_path / "run", checkpoints=checkpoints)
    for one, other in zip(whole, resumed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    again = run(output=tmp_path / "run", checkpoints=checkpoints)
    for one, other in zip(resumed, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_needs_labels_or_a_head_is_refused():
    model = tl.build_transfer_model(tiny_network())
    with pytest.raises(InputError, match="Supervised learns from labels, and pretrain has none"):
        pretrained(model, [Supervised()])
    with pytest.raises(InputError, match="EntropyMinimization needs a head with one class"):
        pretrained(model, [EntropyMinimization()])
    with pytest.raises(InputError, match="unlabelled: the model takes inputs of shape"):
        tl.pretrain(model, IMAGES[:, :8], objectives=[SimCLR()])
    with pytest.raises(InputError, match="model: expected one made by build_transfer_model"):
        tl.pretrain(tiny_network(), IMAGES, objectives=[SimCLR()])
