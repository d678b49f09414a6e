"""Arguments that users know from elsewhere end in one line that says what to write here."""

import inspect

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.utils.misplaced import (
    OF_BUILDING,
    OF_EVALUATION,
    OF_PRETRAINING,
    OF_STAGES,
    OF_TRAINING,
    points_from,
)

FUNCTIONS = {
    tl.fine_tune: OF_TRAINING,
    tl.pretrain: OF_PRETRAINING,
    tl.build_transfer_model: OF_BUILDING,
    tl.evaluate: OF_EVALUATION,
    tl.compare: OF_EVALUATION,
    tl.Stage: OF_STAGES,
}


@pytest.mark.parametrize(
    "name, written",
    [
        ("optimizer", "tl.Stage(10, optimizer="),
        ("loss", "objectives="),
        ("epochs", "schedule=tl.Stage(10)"),
        ("validation_data", "validation=…"),
        ("validation_split", "validation=…"),
        ("learning_rate", "tl.Stage(10, learning_rate="),
        ("class_weights", "class_weight=…"),
        ("x", "data=(x, y)"),
    ],
)
def test_training_points_to_the_argument_that_does_it(name, written):
    with pytest.raises(tl.InputError) as error:
        tl.fine_tune(None, None, **{name: 1})
    assert str(error.value).startswith(f"{name}: fine_tune has no such argument. ")
    assert written in str(error.value)


def test_what_is_advised_exists():
    for function, table in FUNCTIONS.items():
        known = set(inspect.signature(function).parameters)
        for remedy in table.values():
            if remedy.startswith("It is called "):
                assert remedy.removeprefix("It is called ").split("=")[0] in known
    tl.Stage(10, optimizer="sgd", learning_rate=0.01, weight_decay=1e-4, global_clipnorm=1.0)
    tl.schedules.two_stage(head_epochs=10, epochs=8)
    tl.heads.HeadSpec(pooling="max", dropout=0.2)


def test_a_misspelt_argument_is_guessed():
    with pytest.raises(tl.InputError, match="Did you mean 'batch_size'"):
        tl.fine_tune(None, None, batchsize=3)
    with pytest.raises(tl.InputError, match="Did you mean 'classifier_activation'"):
        tl.build_transfer_model("ResNet50", 3, classifier_activations="softmax")
    with pytest.raises(tl.InputError, match=r"pos_label: compare has no .* called positive=…"):
        tl.compare({}, None, pos_label=1)


def test_examples_and_labels_one_after_the_other_are_told_to_go_together(blobs):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 3)
    together = "examples and labels together"
    for labels in (y, y.tolist(), np.array(["a", "b", "c"])[y]):
        with pytest.raises(tl.InputError, match=f"validation: x must .* {together}"):
            tl.fine_tune(model, x, labels)
    with pytest.raises(tl.InputError, match=r"evaluate: expected at most 2 .*model, data, got 3\."):
        tl.evaluate(model, x, y)
    with pytest.raises(tl.InputError, match=f"got 3. Pass {together}: data="):
        tl.evaluate(model, x, y)
    with pytest.raises(tl.InputError, match=r"3 arguments .*, model, data, validation, got 5\."):
        tl.fine_tune(model, x, y, x, y)
    with pytest.raises(tl.InputError, match=r"Stage: expected at most 1 .*, epochs, got 2\."):
        tl.Stage(1, "all")


def test_the_signature_stays():
    parameters = inspect.signature(tl.fine_tune).parameters
    assert list(parameters)[:3] == ["model", "data", "validation"]
    assert not any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def test_a_table_must_not_name_an_own_argument():
    with pytest.raises(ValueError, match="has the arguments"):
        points_from({"a": "b"})(lambda a: a)


def test_a_compiled_model_says_what_is_not_used(blobs):
    model = tl.build_transfer_model(tiny_network(), 3)
    model.compile("sgd", "categorical_crossentropy")
    with pytest.warns(UserWarning, match=r"fine_tune does not use what model.compile") as said:
        tl.fine_tune(model, blobs, schedule=tl.Stage(1), verbose=False)
    assert len([one for one in said if "model.compile" in str(one.message)]) == 1


def test_a_model_trains_under_the_strategy_that_it_was_built_under(blobs, two_devices):
    keras.utils.set_random_seed(0)
    with two_devices.scope():
        model = tl.build_transfer_model(tiny_network(), 3)
    keras.utils.set_random_seed(0)
    alone = tl.build_transfer_model(tiny_network(), 3)
    for one in (model, alone):
        tl.fine_tune(one, blobs, schedule=tl.Stage(1), verbose=False)
    for ours, plain in zip(model.weights, alone.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), plain.numpy(), atol=1e-5)


def test_warnings_show_the_line_of_the_user(blobs):
    model = tl.build_transfer_model(tiny_network(), 3)
    model.compile("sgd", "categorical_crossentropy")
    with pytest.warns(UserWarning) as said:
        tl.fine_tune(model, blobs, schedule=tl.Stage(1), verbose=False)
    assert {one.filename for one in said if "fine_tune" in str(one.message)} == {__file__}
