"""What is found out only while the step is traced ends in an `InputError` all the same."""

import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import L2SP, MMD, AdaBN, Objective, Supervised
from tl_keras.utils.errors import InputError


def train(blobs, objectives, **settings):
    x, y = blobs
    data = {"source": (x[:8], y[:8]), "target": x[8:16]}
    model = tl.build_transfer_model(tiny_network(), 3)
    settings = {"schedule": tl.Stage(1), "batch_size": 8, "cache": None} | settings
    return tl.fine_tune(model, data, objectives=objectives, verbose=False, **settings)


def refused(text, *arguments, **settings):
    with pytest.raises(InputError, match=text) as caught:
        train(*arguments, **settings)
    assert type(caught.value) is InputError and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "accumulation"), [(AdaBN(), 1), (L2SP(), 2)], ids=["AdaBN", "L2SP"]
)
def test_objectives_that_train_nothing(blobs, objective, accumulation, tmp_path):
    output, stage = tmp_path / "run", tl.Stage(1, accumulation=accumulation)
    text = f"objectives: {type(objective).__name__} alone trains nothing in stage 1: .*Supervised"
    refused(text, blobs, [objective], output=output, schedule=stage)
    train(blobs, [Supervised(), objective], output=output, schedule=stage)


def test_the_stage_that_trains_nothing_is_named(blobs):
    stages = (tl.Stage(1, unfreeze="all"), tl.Stage(1))
    refused("L2SP alone trains nothing in stage 2", blobs, [L2SP()], schedule=stages)


class Silent(Objective):
    def losses(self, batch):
        return {"other": batch.per_batch(0.0)}


def test_what_an_objective_raises_comes_as_it_is(blobs, two_devices):
    for strategy in ("one_device", two_devices):
        refused("Silent returns no 'loss'", blobs, [Silent()], strategy=strategy)


class Broken(Objective):
    def losses(self, batch):
        raise RuntimeError("broken")


def test_other_errors_stay_what_they_are(blobs):
    with pytest.raises(RuntimeError, match="broken"):
        train(blobs, [Broken()])


class Branching(Objective):
    def losses(self, batch):
        loss = batch.per_batch(1.0)
        if loss > 0.5:
            loss = 2.0 * loss
        return {"loss": loss}


def test_an_if_on_a_tensor_is_named_with_its_line(blobs):
    text = r"an if or a loop in Python depends on a tensor \(.*test_nothing_to_train.py, line \d+\)"
    refused(text, blobs, [Supervised(), Branching()])


def later(progress):
    if progress >= 0.5:
        return 1.0
    return 0.0


def test_the_function_of_a_weight_may_branch(blobs):
    run = train(blobs, [Supervised(), MMD(weight=later)], schedule=tl.Stage(2, unfreeze="all"))
    first, second = run.history["loss"], run.history["supervised"]
    assert first[0] == pytest.approx(second[0]) and first[1] > second[1]


def test_class_weights_beside_objectives_are_sent_to_supervised(blobs):
    text = "class_weight is one weight per class, a list or a dict; instead of 'balanced'"
    refused(text, blobs, [Supervised()], class_weight="balanced")
