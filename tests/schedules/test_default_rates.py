"""A stage that unfreezes is safe by default, and a loss that leaves its range is said."""

import warnings

import keras
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.schedules import apply_freezing, factors_of
from tl_keras.training.step.optimizers import build_optimizer, learning_rate_of


@pytest.mark.parametrize(("optimizer", "head"), [("adamw", 1e-3), ("adam", 1e-3), ("sgd", 1e-3)])
@pytest.mark.parametrize("unfreeze", ["all", 1, 0.5])
def test_unfrozen_blocks_have_a_tenth_of_the_heads_rate(network, optimizer, head, unfreeze):
    stage = tl.Stage(5, unfreeze=unfreeze, optimizer=optimizer)
    *blocks, last = apply_freezing(tl.build_transfer_model(network, 3), stage)
    assert last.learning_rate == pytest.approx(head)
    rates = {row.learning_rate for row in blocks if row.trainable}
    assert list(rates) == [pytest.approx(head / 10)]
    assert float(learning_rate_of(stage, 100)(0)) == 0.0
    assert float(learning_rate_of(stage, 100)(10)) == pytest.approx(head)


@pytest.mark.parametrize(("optimizer", "rate"), [("adamw", 1e-3), ("adam", 1e-3), ("sgd", 1e-2)])
def test_the_head_alone_trains_at_the_optimizers_usual_rate(optimizer, rate):
    stage = tl.Stage(5, optimizer=optimizer)
    assert (stage.head_rate, stage.warmup_share) == (rate, 0.0)


def test_a_rate_that_was_given_is_that_of_all(network):
    stage = tl.Stage(5, unfreeze="all", learning_rate=2e-3)
    rows = apply_freezing(tl.build_transfer_model(network, 3), stage)
    assert {row.learning_rate for row in rows if row.trainable} == {2e-3}
    assert float(learning_rate_of(stage, 100)(0)) == pytest.approx(2e-3)


def test_decay_and_named_rates_begin_at_the_default(network):
    stage = tl.Stage(5, unfreeze="all", layer_decay=0.5, learning_rates={"head": 5e-3})
    *_, top, head = apply_freezing(tl.build_transfer_model(network, 3), stage)
    assert top.learning_rate == pytest.approx(0.5e-4)
    assert head.learning_rate == pytest.approx(5e-3)


def test_the_first_update_of_a_block_is_a_tenth_of_the_heads(network):
    """Adam's first step is as long as its rate, whatever the gradient."""
    model = tl.build_transfer_model(network, 3)
    stage = tl.Stage(1, unfreeze="all", decay="constant", weight_decay=0.0)
    apply_freezing(model, stage)
    variables = model.trainable_variables
    optimizer = build_optimizer(
        stage, variables, 1, scale_loss=False, factors=factors_of(model, stage)
    )
    before = [variable.numpy() for variable in variables]
    optimizer.apply([keras.ops.ones_like(variable) for variable in variables], variables)
    heads = {id(variable) for variable in model.head.trainable_variables}
    for old, variable in zip(before, variables, strict=True):
        step = 1e-3 if id(variable) in heads else 1e-4
        assert (old - variable.numpy()).mean() == pytest.approx(step, rel=1e-2)


def test_a_loss_that_leaves_its_range_is_said_once_with_advice(blobs):
    def said(rate):
        keras.utils.set_random_seed(0)
        model = tl.build_transfer_model(tiny_network(), 3)
        stages = (tl.Stage(2), tl.Stage(3, unfreeze="all", optimizer="sgd", learning_rate=rate))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tl.fine_tune(model, blobs, schedule=stages, verbose=False, cache=None, batch_size=5)
        return [str(one.message) for one in caught if "probably too large" in str(one.message)]

    (line,) = said(2.0)
    assert "stage 'all blocks' rose from" in line
    assert "tl.find_learning_rate" in line
    assert said(1e-3) == []
