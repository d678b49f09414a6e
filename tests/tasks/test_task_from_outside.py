"""A kind of target that the package does not have: counts, with the loss of Poisson regression."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import mean_poisson_deviance

import tl_keras as tl
from tl_keras.models.head_specs import HeadSpec
from tl_keras.tasks.kinds import task_config, task_of_config
from tl_keras.tasks.targets import TargetSpec

RANDOM = np.random.default_rng(0)
LEVELS = RANDOM.uniform(0, 1, 48)
IMAGES = np.broadcast_to(255 * LEVELS[:, None, None, None], (48, 4, 4, 3)).astype(np.uint8)
COUNTS = RANDOM.poisson(np.exp(3 * LEVELS))


@keras.saving.register_keras_serializable("tests")
class Counts(tl.tasks.Task):
    """Numbers of things, Poisson distributed; a logit is the logarithm of the mean."""

    name = "counts"
    nouns = ("count", "counts")
    closing = "exponential"
    best_metric = "deviance"
    worst_by = ("deviance", -1)
    lower_is_better = frozenset({"deviance"})

    def __init__(self, per=1.0):
        self.per = per

    def get_config(self):
        return {"per": self.per}

    def loss(self, y, logits, label_smoothing=0.0):
        return keras.ops.mean(keras.ops.exp(logits) - y * logits, axis=-1) / self.per

    def example_metrics(self, y, predictions):
        return {"mae": keras.losses.mean_absolute_error(y, predictions)}

    def metrics(self, targets, predictions, positive=None):
        return {"deviance": float(mean_poisson_deviance(targets.ravel(), predictions.ravel()))}

    def rows(self, targets, predictions):
        return [{"deviance": self.metrics(*pair)["deviance"]} for pair in [(targets, predictions)]]


@pytest.fixture(scope="module")
def model():
    """A model of counts, trained."""
    keras.utils.set_random_seed(0)
    images = keras.Input((4, 4, 3))
    network = keras.Model(images, keras.layers.Rescaling(1 / 255)(images))
    built = tl.build_transfer_model(network, 1, head=HeadSpec(task=Counts(per=2.0)))
    stage = tl.Stage(40, learning_rate=0.1)
    tl.fine_tune(built, (IMAGES, COUNTS), schedule=stage, batch_size=16, verbose=False)
    return built


def test_it_learns_and_is_evaluated(model, tmp_path):
    report = tl.evaluate(model, (IMAGES, COUNTS), verbose=False)
    constant = mean_poisson_deviance(COUNTS, np.full(48, COUNTS.mean()))
    assert report["deviance"] < 0.5 * constant
    predicted = model.predict(IMAGES, verbose=0)
    assert report["deviance"] == pytest.approx(mean_poisson_deviance(COUNTS, predicted[:, 0]))
    np.testing.assert_allclose(predicted, np.exp(model.logits(IMAGES)), rtol=1e-5)
    assert report.to_dict()["kind"] == "counts"
    report.plot(tmp_path / "counts.png")


def test_it_is_saved_loaded_and_exported(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.targets == TargetSpec(Counts(per=2.0), 1) != TargetSpec(Counts(), 1)
    expected = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(loaded.predict(IMAGES, verbose=0), expected, rtol=1e-6)
    served = tf.saved_model.load(str(tl.export.saved_model(loaded, tmp_path / "served")))
    found = served.signatures["serving_default"](tf.constant(IMAGES.astype(np.float32)))
    np.testing.assert_allclose(found["values"], expected, rtol=1e-5)


def test_a_file_with_a_class_that_is_not_there_says_what_to_do():
    config = json.loads(json.dumps(task_config(Counts())))
    gone = {**config, "module": "gone", "class_name": "Gone", "registered_name": "tests>Gone"}
    with pytest.raises(
        tl.InputError, match=r"'tests>Gone' says, which Keras does not know.*Import it"
    ):
        task_of_config(gone)
    assert task_of_config(config) == Counts()


def test_the_spelling_of_former_files_is_read_and_refused_in_code():
    old = {"kind": "multi_label", "size": 2, "labels": ["x", "y"], "partly": False}
    assert TargetSpec.from_config(old) == TargetSpec("multi_label", 2, ("x", "y"))
    assert HeadSpec.from_config({"kind": "regression", "dropout": 0.5}) == tl.heads.regression(
        dropout=0.5
    )
    with pytest.raises(tl.InputError, match=r"kind: HeadSpec has no such argument.*task="):
        HeadSpec(kind="regression")
    with pytest.raises(tl.InputError, match=r"labels: .* It is called class_names"):
        tl.build_transfer_model("MobileNetV2", labels=["a", "b"])
    with pytest.raises(tl.InputError, match=r"task: expected .*'multi_label'"):
        HeadSpec(task="multilabel")
