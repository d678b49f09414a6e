"""Optimizers and learning rates that a user brings to a stage."""

import json

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tests.training.crashes import Crash, Stop
from tl_keras.training.step.optimizers import build_optimizer, learning_rate_of

Schedules = keras.optimizers.schedules


def built(stage, total_steps=10, **arguments):
    kernel = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    bias = keras.Variable(np.ones(2, "float32"), name="bias")
    optimizer = build_optimizer(stage, [kernel, bias], total_steps, scale_loss=False, **arguments)
    return optimizer, kernel, bias


def updated(optimizer, kernel, bias):
    """Return both variables after three updates."""
    for step in range(3):
        gradients = [np.full(one.shape, 1.0 + step, "float32") for one in (kernel, bias)]
        optimizer.apply([keras.ops.convert_to_tensor(one) for one in gradients], [kernel, bias])
    return [one.numpy() for one in (kernel, bias)]


@pytest.mark.parametrize(
    "own",
    [
        keras.optimizers.SGD(0.1, momentum=0.5),
        keras.optimizers.RMSprop(0.05, rho=0.8, centered=True),
        keras.optimizers.Lion(0.02, beta_1=0.7),
        keras.optimizers.SGD(0.1, global_clipnorm=0.3),
    ],
    ids=lambda one: type(one).__name__,
)
def test_it_trains_as_the_object_would(own):
    optimizer, *variables = built(tl.Stage(1, optimizer=own, decay="constant"))
    assert optimizer is not own
    changed = updated(optimizer, *variables)
    fresh = [keras.Variable(np.ones((2, 2), "float32")), keras.Variable(np.ones(2, "float32"))]
    own.build(fresh)
    for one, other in zip(changed, updated(own, *fresh), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_what_is_not_given_is_that_of_the_object():
    own = keras.optimizers.AdamW(3e-3, weight_decay=0.02)
    stage = tl.Stage(2, optimizer=own)
    assert (stage.learning_rate, stage.weight_decay, stage.warmup_share) == (
        pytest.approx(3e-3),
        0.02,
        0.0,
    )
    assert tl.Stage(2, optimizer=own, learning_rate=1e-2).learning_rate == 1e-2
    assert tl.Stage(2).weight_decay == 1e-4
    assert tl.Stage(2, optimizer=keras.optimizers.SGD(0.1)).weight_decay == 0.0


def test_a_schedule_is_followed_as_it_is():
    schedule = Schedules.ExponentialDecay(0.5, 2, 0.5)
    for stage in (
        tl.Stage(2, learning_rate=schedule, optimizer="sgd"),
        tl.Stage(2, optimizer=keras.optimizers.SGD(schedule)),
    ):
        rate = learning_rate_of(stage, 10)
        found = [float(rate(step)) for step in range(5)]
        np.testing.assert_allclose(found, 0.5 ** (1 + np.arange(5) / 2), rtol=1e-6)
        assert stage.head_rate == pytest.approx(0.5)


def test_a_function_of_the_epoch_changes_with_it(blobs):
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model(tiny_network(), 3)
    stage = tl.Stage(3, optimizer="sgd", learning_rate=lambda epoch: 0.1 / (epoch + 1))
    run = tl.fine_tune(model, blobs, schedule=stage, batch_size=15, cache=None, verbose=False)
    np.testing.assert_allclose(run.history["learning_rate"], [0.1, 0.05, 0.1 / 3], rtol=1e-6)


def test_a_run_with_an_own_optimizer_resumes(blobs, tmp_path):
    def train(output, *, factor=0.5, callbacks=()):
        keras.utils.set_random_seed(0)
        model = tl.build_transfer_model(tiny_network(), 3)
        own = keras.optimizers.Nadam(Schedules.ExponentialDecay(0.02, 2, factor), beta_1=0.8)
        return tl.fine_tune(
            model,
            blobs,
            schedule=tl.Stage(3, optimizer=own),
            batch_size=15,
            cache=None,
            checkpoints=tl.Checkpoints(steps=1),
            output=tmp_path / output,
            callbacks=callbacks,
            verbose=False,
        )

    whole = train("whole")
    with pytest.raises(Stop):
        train("stopped", callbacks=[Crash(5)])
    resumed = train("stopped", callbacks=[Crash(-1)])
    for one, other in zip(whole.model.weights, resumed.model.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)
    with pytest.raises(tl.InputError, match=r"stages\[0\].*decay_rate: 0.5 before, 0.25 now"):
        train("stopped", factor=0.25, callbacks=[Crash(-1)])
    config = json.loads((tmp_path / "whole" / "config.json").read_text())
    assert config["stages"][0]["optimizer"]["class"].endswith("Nadam")


@pytest.mark.parametrize(
    "arguments, text",
    [
        (
            {"optimizer": keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))},
            "optimizer: expected one that wraps no other, got a LossScaleOptimizer",
        ),
        (
            {"optimizer": keras.optimizers.SGD(0.1, use_ema=True)},
            "optimizer: with use_ema=True .* ema_momentum=0.99",
        ),
        (
            {"optimizer": keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)},
            "optimizer: with gradient_accumulation_steps .* accumulation=",
        ),
        (
            {"optimizer": keras.optimizers.SGD(0.1), "weight_decay": 0.1},
            "weight_decay: the optimizer has its own, 0.0",
        ),
        (
            {"optimizer": keras.optimizers.SGD(0.1, clipnorm=1.0), "global_clipnorm": 1.0},
            "global_clipnorm: the optimizer clips by itself",
        ),
        (
            {"learning_rate": Schedules.ExponentialDecay(0.5, 2, 0.5), "warmup": 0.1},
            "warmup: the learning rate has a course of its own",
        ),
        (
            {"learning_rate": lambda epoch: -0.1},
            "learning_rate: expected a function of the epoch.*got -0.1 in epoch 0",
        ),
        ({"learning_rate": lambda epoch: 0.0}, "learning_rate: expected a rate above 0, got 0 in"),
        (
            {
                "learning_rate": Schedules.CosineDecay(0.0, 20, warmup_target=0.1, warmup_steps=3),
                "learning_rates": {"head": 0.1},
            },
            "learning_rates: rates of blocks are peaks",
        ),
        (
            {"learning_rate": lambda: 0.1},
            "learning_rate: expected a function of the epoch.*in epoch 0 it failed",
        ),
    ],
)
def test_what_a_stage_does_by_itself_is_refused(arguments, text):
    with pytest.raises(tl.InputError, match=text):
        tl.Stage(1, **arguments)
