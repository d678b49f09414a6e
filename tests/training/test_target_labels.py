"""What training makes of labels of a target domain."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conformance.test_objectives import images, model_of
from tests.conftest import tiny_network
from tl_keras.utils.errors import InputError

found = tl.objectives
Y = np.arange(12) % 3
SOURCE, TARGET = (images(0), Y), images(1)


def trained(target, objectives=(), **settings):
    """Return the weights and the run on a source and a target."""
    model = model_of("adaptation")
    settings = {"verbose": False, "batch_size": 4} | settings
    run = tl.fine_tune(
        model,
        {"source": SOURCE, "target": target},
        schedule=tl.Stage(1, unfreeze="all", optimizer="sgd", learning_rate=0.1),
        objectives=[found.Supervised(), *objectives],
        **settings,
    )
    return model.get_weights(), run


def test_unused_labels_change_nothing_and_are_measured(capsys):
    own = [found.MCC(), found.PseudoLabel(threshold=0.1, weight=1.0)]
    without, _ = trained(TARGET, own)
    some = np.where(Y < 2, Y, -1)
    unused, run = trained((TARGET, some), own, target_labels=False, verbose=True)
    for one, other in zip(without, unused, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(run.history["target_accuracy"]) == 1
    assert (
        "target: training uses 0 of 8 labels; they are for metrics only" in capsys.readouterr().out
    )


def test_a_line_says_how_many_labels_are_used(capsys):
    without, _ = trained(TARGET)
    used, _ = trained((TARGET, np.where(Y < 2, Y, -1)), verbose=True)
    line = "target: 8 of 12 examples have labels, and training uses these 8; target_labels=False"
    assert line in capsys.readouterr().out
    assert any(not np.array_equal(a, b) for a, b in zip(without, used, strict=True))


def test_objectives_for_unlabelled_examples_say_where_there_are_none(recwarn):
    own = [found.PseudoLabel(), found.FixMatch(), found.EntropyMinimization(), found.SelfTraining()]
    trained((TARGET, Y), own)
    lines = [str(one.message) for one in recwarn if "target_labels=False" in str(one.message)]
    names = {line.split()[1] for line in lines if "all 12 of 'target' have one" in line}
    assert names == {type(one).__name__ for one in own}


def test_no_label_is_left():
    model = model_of("adaptation")
    with pytest.raises(InputError, match="target_labels: False leaves no labels to learn from"):
        tl.fine_tune(model, {"target": SOURCE}, target_labels=False, verbose=False)
    with pytest.raises(InputError, match="target_labels: expected True or False, got 'no'"):
        tl.fine_tune(model, {"target": SOURCE}, target_labels="no", verbose=False)


def test_values_of_targets_that_are_not_learned_set_neither_unit_nor_start():
    values = np.linspace(200, 300, 12)

    def large(seed):
        return np.random.default_rng(seed).integers(0, 256, (12, 16, 16, 3)).astype(np.uint8)

    def weights(target, **settings):
        model = tl.build_transfer_model(tiny_network(), 1, head="regression")
        data = {"source": (large(0), values), "target": target}
        tl.fine_tune(model, data, schedule=tl.Stage(1), verbose=False, **settings)
        return model.get_weights()

    keras.utils.set_random_seed(0)
    without = weights(large(1))
    keras.utils.set_random_seed(0)
    unused = weights((large(1), values + 1e4), target_labels=False)
    for one, other in zip(without, unused, strict=True):
        np.testing.assert_array_equal(one, other)
