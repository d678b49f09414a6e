"""Each bad input ends in one clear error, before anything is trained or written."""

import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.domains import as_domains
from tl_keras.objectives import Supervised
from tl_keras.training.data_checks import check_classes, checked_domains
from tl_keras.utils.errors import InputError


@pytest.fixture
def model():
    return tl.build_transfer_model(tiny_network(), 3, class_names=("red", "green", "blue"))


def refused(text, *arguments, **keywords):
    with pytest.raises(InputError, match=text) as caught:
        tl.fine_tune(*arguments, verbose=False, **keywords)
    assert "\n" not in str(caught.value)


def test_models_that_cannot_train(blobs):
    refused(
        "model: expected one made by build_transfer_model, got Functional", tiny_network(), blobs
    )
    refused("it has no head to train", tl.build_transfer_model(tiny_network()), blobs)


def test_labels_that_do_not_fit(model, blobs):
    x, y = blobs
    refused("expected integer class numbers from 0 to 2, got 3", model, (x, y + 1))
    refused("unknown labels", model, (x, np.array(["red", "pink", "blue"] * 15)))
    refused(r"expected labels of shape \(n, 3\)", model, (x, np.eye(4)[y]))
    refused("expected examples with labels, got images only", model, x)
    refused("all examples are of one class, 'red'", model, (x, np.zeros(45, int)))
    halves = {"red": (x[:9], np.zeros(9, int)), "target": (x[9:18], np.zeros(9, int))}
    refused("all examples are of one class, 'red'", model, halves)
    halves["target"][1][:] = 2
    refused("all examples are of one class, 'red'", model, halves, target_labels=False)
    encoded = checked_domains(model, as_domains(halves), model.targets, "data", [Supervised()])
    check_classes(list(encoded.values()), model.targets, "data")
    refused("labels are NaN or infinite", model, (x, np.where(y == 1, np.nan, y)))


def test_images_that_are_not_finite(model, blobs):
    x, y = blobs
    broken = x.astype("float32")
    broken[7, 3, 3, 0] = np.nan
    refused("NaN or infinity in 1 of 45 examples", model, (broken, y))


def test_class_weights(model, blobs):
    x, y = blobs
    refused("no weight for the classes", model, blobs, class_weight={0: 1.0, "green": 2.0})
    refused("'pink' is no class", model, blobs, class_weight={"pink": 1.0})
    refused(
        r"class_weight\[0\]: expected a number ≥ 0, got -1",
        model,
        blobs,
        class_weight={0: -1.0, 1: 1.0, 2: 1.0},
    )
    refused("expected 'balanced', a dict or None", model, blobs, class_weight="balance")
    two = y < 2
    refused("none of", model, (x[two], y[two]), class_weight="balanced")


def test_balanced_weights_are_inverse_to_frequency(model):
    from sklearn.utils.class_weight import compute_class_weight

    from tl_keras.training.class_weights import resolve_class_weight

    y = np.array([0] * 5 + [1] * 2 + [2] * 13)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y)
    got = resolve_class_weight("balanced", model.targets, np.eye(3)[y])
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_settings(model, blobs):
    refused("batch_size: expected a whole number ≥ 1, got 0", model, blobs, batch_size=0)
    refused("early_stopping: it needs validation data", model, blobs, early_stopping=3)
    refused("label_smoothing: expected a share", model, blobs, label_smoothing=1.0)
    refused("strategy: expected one of .* Did you mean", model, blobs, strategy="mirorred")
    refused("expected at most 3 blocks", model, blobs, schedule=tl.Stage(1, unfreeze=9))
    refused("objectives: expected a list", model, blobs, objectives=["supervised"])


@pytest.mark.parametrize("path", [3, None, ["run"]])
def test_runs_that_are_no_path(path):
    with pytest.raises(InputError, match="run: expected the path of a run directory"):
        tl.load_run_model(path)


def test_an_output_that_is_no_path(model, blobs):
    refused("output: expected the path of a directory, got 3", model, blobs, output=3)


def test_an_output_that_cannot_be_written(model, blobs, tmp_path):
    (tmp_path / "file").write_text("")
    refused("cannot be written", model, blobs, output=tmp_path / "file" / "run")


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(blobs, tmp_path):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 1, head="regression")
    extreme = np.where(y == 1, 3e38, 1.0)
    refused(
        r"the loss became .* in epoch \d, step \d.* Lower the stage's learning_rate",
        model,
        (x, extreme),
        schedule=tl.Stage(3, unfreeze="all", learning_rate=1e3, optimizer="sgd"),
        output=tmp_path / "run",
    )
    assert (tmp_path / "run" / "history.json").exists()


def test_a_backbone_that_gives_no_numbers(blobs):
    network = tiny_network()
    network.get_layer("stem").kernel.assign(np.full((3, 3, 3, 8), np.nan, "float32"))
    model = tl.build_transfer_model(network, 3)
    refused("gives NaN or infinity for 45 of 45 images", model, blobs, schedule=tl.Stage(2))


def test_an_endless_dataset(model, blobs):
    data = tf.data.Dataset.from_tensor_slices(blobs).repeat()
    refused("take", model, data)
