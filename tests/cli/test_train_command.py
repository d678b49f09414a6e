import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import typer
from tensorflow.core.util import event_pb2

from tests.cli.conftest import OF_TRAINED
from tl_keras.cli.choices import MixedPrecision
from tl_keras.cli.output import patience
from tl_keras.cli.train_plan import dtype_policy, split_shares, stages_of, with_chosen
from tl_keras.schedules import Stage
from tl_keras.training import load_run_model
from tl_keras.utils.errors import InputError


def test_training_writes_model_report_and_pictures(trained):
    run, code = trained
    assert code == 0
    for name in ("model.keras", "report.json", "report.png", "curves.png", "config.json"):
        assert (run / name).stat().st_size > 100
    assert (run / "saved_model" / "saved_model.pb").is_file()
    config = json.loads((run / "config.json").read_text())
    assert config["labels"] == ["blue", "green", "red"]
    assert config["image_shape"] == [32, 32, 3]
    assert [stage["epochs"] for stage in config["stages"]] == [2]
    assert "horizontal" in json.dumps(config["augmentation"])
    assert load_run_model(run).class_names == ("blue", "green", "red")


def test_from_images_to_predictions(tl_keras_cli, trained, pictures, tmp_path):
    """The commands that follow `train`, one after the other."""
    (run, _), served = trained, tmp_path / "served"
    assert tl_keras_cli("evaluate", run, pictures, "--assert-accuracy-at-least", 0)[0] == 0
    assert tl_keras_cli("export", run, "--format", "saved_model", "--output", served)[0] == 0
    code, by_run, _ = tl_keras_cli("predict", run, pictures, "--format", "json")
    assert code == 0
    code, by_export, _ = tl_keras_cli("predict", served, pictures, "--format", "json")
    assert code == 0
    scores = [
        [result["predictions"][0]["score"] for result in json.loads(text)]
        for text in (by_run, by_export)
    ]
    assert len(scores[0]) == 24
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_controls_reach_every_stage(tl_keras_cli, tiny_backbone, pictures, tmp_path):
    run = tmp_path / "run"
    code, _, err = tl_keras_cli(
        *("train", pictures, "--output", run, "--backbone", tiny_backbone),
        *("--schedule", "two_stage", "--head-epochs", 1, "--epochs", 1, "--learning-rate", 1e-4),
        *("--layer-decay", 0.5, "--global-clipnorm", 1, "--ema-momentum", 0.9, "--accumulation", 2),
        *("--augment", "flips", "--augment", "mixup", "--deterministic", "--test-split", 0),
        *("--label-smoothing", 0.1, "--early-stopping", 3, "--strategy", "one_device"),
        "--tensorboard",
    )
    assert code == 0, err
    config = json.loads((run / "config.json").read_text())
    assert [stage["learning_rate"] for stage in config["stages"]] == [1e-3, 1e-4]
    for stage in config["stages"]:
        assert (stage["layer_decay"], stage["global_clipnorm"]) == (0.5, 1)
        assert (stage["ema_momentum"], stage["accumulation"]) == (0.9, 2)
    assert config["deterministic"] is True
    augmentation = json.dumps(config["augmentation"])
    assert augmentation.index("RandomFlip") < augmentation.index("MixUp")
    losses = tensorboard_values(run / "tensorboard", "epoch_loss")
    history = json.loads((run / "history.json").read_text())
    np.testing.assert_allclose(losses, history["loss"], rtol=1e-6)


def tensorboard_values(folder, tag):
    """Read the scalars that TensorBoard would show, with TensorFlow's own reader of its files."""
    values = {}
    for file in sorted(folder.rglob("events.out.tfevents.*")):
        for record in tf.data.TFRecordDataset(str(file)):
            event = event_pb2.Event.FromString(record.numpy())
            for value in event.summary.value:
                if value.tag == tag and "train" in file.parent.name:
                    values[event.step] = float(tf.make_ndarray(value.tensor))
    return [values[step] for step in sorted(values)]


def test_layers_are_built_in_the_precision_and_nothing_after_them():
    with dtype_policy(MixedPrecision.bfloat16):
        layer = keras.layers.Dense(2)
    assert (layer.compute_dtype, layer.variable_dtype) == ("bfloat16", "float32")
    assert keras.layers.Dense(2).compute_dtype == "float32"


def test_the_report_is_of_the_test_split(trained, pictures):
    from tl_keras.data import image_folder

    run, _ = trained
    test = image_folder(pictures, image_size=32, split=(0.5, 0.2, 0.3), seed=0)[2]
    report = json.loads((run / "report.json").read_text())
    assert report["examples"] == len(test)
    images = np.concatenate([x for x, _ in test.batches(load_run_model(run).targets, 8)])
    right = load_run_model(run)(images).numpy().argmax(axis=1) == test.labels
    assert report["metrics"]["accuracy"] == pytest.approx(right.mean())


@pytest.fixture
def train(tl_keras_cli, tiny_backbone):
    """Run `tl-keras train` for one epoch."""

    def run(data, output, *options):
        return tl_keras_cli(
            *("train", data, "--output", output, "--backbone", tiny_backbone),
            *("--schedule", "feature_extraction", "--epochs", 1, *options),
        )

    return run


def test_the_accuracy_gate_decides_the_exit_code(
    trained, tl_keras_cli, tiny_backbone, monkeypatch, pictures, tmp_path
):
    """With a measured accuracy that the test chooses, of a run that is finished."""
    reached = 0.0

    class Report:
        @property
        def metrics(self):
            return {"accuracy": reached}

        def to_json(self, path):
            path.write_text("{}")

        plot = to_json

    monkeypatch.setattr("tl_keras.evaluation.evaluate", lambda *_, **__: Report())
    run = shutil.copytree(trained[0], tmp_path / "run")
    words = ("train", pictures, "--output", run, "--backbone", tiny_backbone, *OF_TRAINED)
    for reached, expected in ((0.5, 1), (0.75, 0)):
        code, out, err = tl_keras_cli(*words, "--assert-accuracy-at-least", 0.75)
        assert code == expected, err
        line = f"accuracy on the test split: wanted at least 0.75, reached {reached:.4f}\n"
        assert (f"error: {line}" in err) is bool(expected)
        assert (line in out) is not bool(expected)
        assert str(run / "model.keras") in out
        assert "this run is finished" in out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--head", "regression"), "--head: images in class folders need a classification head"),
        (("--head", "liner"), "Did you mean 'linear'"),
        (("--backbone", "MobilNetV2"), "Did you mean 'MobileNetV2'"),
        (("--positive", "red"), "only a model of two classes has a positive class"),
        (("--head-epochs", 3), "feature_extraction has no stage for the head alone"),
        (("--validation", "absent"), "--validation: 'absent' does not exist"),
        (("--test", "absent"), "--test: 'absent' does not exist"),
        (("--test", "tests", "--test-split", 0.2), "--test-split: the test images are those of --"),
        (("--batch-size", 1, "--accumulation", 2), "--batch-size: 1 example cannot be cut into --"),
        (
            ("--views", 2),
            "--views 2 stores augmented views, and there is no augmentation. Pass --au",
        ),
        (("--mixed-precision", "bfloat16"), "bring their own precision, float32"),
        (("--test-split", 0.5, "--validation-split", 0.5), "leaves nothing to train on"),
        (("--test-split", 0, "--assert-accuracy-at-least", 0.5), "--test-split is 0"),
        (("--validation-split", 0, "--early-stopping", 2), "--validation-split is 0"),
    ],
)
def test_mistakes_end_in_one_line_and_write_nothing(train, tmp_path, pictures, options, text):
    run = tmp_path / "run"
    code, _, err = train(pictures, run, *options)
    assert code == 2
    # On a slow machine the check of the images has shown a progress bar and wiped it out.
    assert err.rpartition("\r")[2].startswith("error: ")
    assert text in err
    assert err.count("\n") == 1
    assert not run.exists()


def test_missing_data_and_output_that_is_a_file(train, tmp_path, pictures):
    code, _, err = train(tmp_path / "absent", tmp_path / "run")
    assert code == 2
    assert "does not exist" in err
    (tmp_path / "file").write_text("")
    code, _, err = train(pictures, tmp_path / "file")
    assert code == 2
    assert "--output: expected a directory" in err


def test_broken_files_are_refused_on_request(train, tmp_path, write_pictures):
    data = write_pictures(tmp_path / "data", count=2)
    (data / "red" / "broken.png").write_bytes(b"no picture")
    code, _, err = train(data, tmp_path / "run", "--on-problem", "refuse")
    assert code == 2
    lines = err.splitlines()
    assert "red/broken.png" in err
    assert lines[-1].startswith("error: DIR: 1 problem in")
    assert sum(line.startswith("error: ") for line in lines) == 1


def test_split_shares_leave_out_empty_parts():
    assert split_shares(0.15, 0.15, None, None) == pytest.approx((0.7, 0.15, 0.15))
    assert split_shares(0, 0.25, 0.9, None) == (0.75, 0.25)
    assert split_shares(0, 0, None, None) == (1,)


def test_epochs_go_to_the_named_schedule():
    def epochs(*arguments):
        return [stage.epochs for stage in stages_of(*arguments)]

    assert stages_of("auto", None, None) == "auto"
    assert epochs("full_fine_tuning", 4, None) == [4]
    rates = [stage.learning_rate for stage in stages_of("two_stage", None, None, 0.5)]
    assert rates == [1e-3, 0.5]
    assert epochs("feature_extraction", 4, None) == [4]
    assert epochs("two_stage", 4, 2) == [2, 4]
    assert epochs("gradual_unfreezing", 2, 7) == [7, 2, 2, 2]
    assert stages_of("auto", None, 3) == "auto"


def test_what_auto_chose_takes_epochs_and_learning_rate():
    def stages(*arguments):
        found = with_chosen(*arguments)
        return [(stage.epochs, stage.head_rate) for stage in found]

    head, blocks = Stage(5), Stage(7, unfreeze=0.5, learning_rate=1e-3)
    rest = Stage(9, unfreeze="all", learning_rate=5e-4)
    assert stages((head,), 2, None, 0.1) == [(2, 0.1)]
    assert stages((head, blocks, rest), 2, None, None) == [(5, 1e-3), (2, 1e-3), (2, 5e-4)]
    assert stages((head, blocks, rest), 2, 3, 0.1) == [(3, 1e-3), (2, 0.1), (2, 0.05)]
    assert stages((head, blocks), None, 4, None) == [(4, 1e-3), (7, 1e-3)]


def test_the_image_size_is_the_backbones_own():
    from tl_keras.cli.train_plan import backbone_and_size

    assert backbone_and_size("EfficientNetLite1", None, None)[1] == (240, 240)
    backbone, size = backbone_and_size("MobileNetV2", None, 64)
    assert size == (64, 64)
    assert backbone.input_shape == (64, 64, 3)


def test_the_image_size_of_a_model_file(tmp_path):
    import keras

    from tl_keras.cli.train_plan import backbone_and_size

    def save(*shape):
        inputs = keras.Input(shape)
        path = tmp_path / "own.keras"
        keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs)).save(path)
        return str(path)

    backbone, size = backbone_and_size(save(48, 40, 3), "imagenet", None)
    assert size == (48, 40)
    assert backbone.input_shape == (48, 40, 3)
    with pytest.raises(InputError, match=r"RGB images of one size, .* the shape \(48, 40, 1\)"):
        backbone_and_size(save(48, 40, 1), "imagenet", None)


def test_a_misspelt_backbone_is_noticed_before_images_are_checked(train, monkeypatch, pictures):
    from tl_keras import data

    def checked(*_, **__):
        raise AssertionError("images were checked first")

    monkeypatch.setattr(data, "image_folder", checked)
    for name, text in (
        ("MobilNetV2", "--backbone: unknown name 'MobilNetV2'. Did you mean 'MobileNetV2'"),
        ("absent.keras", "--backbone: "),
    ):
        code, _, err = train(pictures, "run", "--backbone", name, "--image-size", 32)
        assert (code, err.startswith(f"error: {text}")) == (2, True), err


def test_own_validation_and_test_images(tl_keras_cli, tiny_backbone, write_pictures, tmp_path):
    """Classes of the parts are matched by name, and `--epochs` needs no `--schedule`."""
    data = write_pictures(tmp_path / "data", count=6, size=32)
    held_out = write_pictures(tmp_path / "val", ("green", "red"), count=2, size=32, seed=1)
    test = write_pictures(tmp_path / "test", ("blue", "red"), count=3, size=32, seed=2)
    run, words = tmp_path / "run", ("--backbone", tiny_backbone, "--epochs", 1)
    options = ("--validation", held_out, "--test", test)
    code, out, err = tl_keras_cli("train", data, "--output", run, *words, *options)
    assert code == 0, err
    rows = [line.split() for line in out.splitlines()]
    assert rows[0] == ["class", "training", "validation", "test"]
    assert rows[2:5] == [["blue", *"603"], ["green", *"620"], ["red", *"623"]]
    report = json.loads((run / "report.json").read_text())
    assert [row["support"] for row in report["per_class"]] == [3, 0, 3]
    assert str(run / "report.json") in out
    stages = json.loads((run / "config.json").read_text())["stages"]
    assert [stage["epochs"] for stage in stages] == [1]
    code, _, err = tl_keras_cli("train", data, "--output", run, *words, "--test-split", 0)
    assert code == 2
    assert "validation_examples: 4 before, 3 now" in err
    assert "or pass --overwrite to replace the run" in err
    before = (run / "model.keras").stat().st_mtime_ns
    words = ("train", data, "--output", run, *words, "--overwrite")
    code, _, err = tl_keras_cli(*words, "--test-split", 0, "--accumulation", 33)
    assert code == 2 and (run / "model.keras").stat().st_mtime_ns == before, err
    code, _, err = tl_keras_cli(*words, "--test-split", 0, "--validation-split", 0)
    assert code == 0, err
    assert (run / "model.keras").stat().st_mtime_ns > before
    assert not (run / "report.json").exists()


def test_ctrl_c_names_the_command_that_resumes(
    tl_keras_cli, tiny_backbone, pictures, tmp_path, monkeypatch
):
    """A run without a test split, with stored views; what ends it, resumes it and refuses it."""
    import os
    import shlex
    import signal

    from tl_keras.training.stage_epochs import StageEpochs

    epoch = StageEpochs.check_loss

    def interrupt(self):
        if not self.signals.received:
            os.kill(os.getpid(), signal.SIGINT)
        return epoch(self)

    run = tmp_path / "my run"
    words = ("train", pictures, "--output", run, "--backbone", tiny_backbone)
    words += ("--schedule", "feature_extraction", "--epochs", 2, "--augment", "flips", "--views", 2)
    options = ("--test-split", 0, "--validation-split", 0, "--class-weight", "balanced")
    words = [str(word) for word in (*words, *options)]
    # Tests that were started in the background ignore the signal, as all that they start does.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(StageEpochs, "check_loss", interrupt)
        code, out, err = tl_keras_cli(*words, "--overwrite")
    signal.signal(signal.SIGINT, before)
    assert code == 130, err
    assert out.splitlines()[0].split() == ["class", "training"]
    assert "features of 24 images" in out
    assert json.loads((run / "config.json").read_text())["cache"]
    (line,) = [one for one in err.splitlines() if one.startswith("error: ")]
    assert line == (
        f"error: interrupted; the state is saved in {str(run)!r}. Resume with: "
        f"{shlex.join(['tl-keras', *words])}"
    )
    code, out, err = tl_keras_cli(*shlex.split(line.partition("Resume with: tl-keras ")[2]))
    assert (code, "error" in err) == (0, False), err
    assert "resumed in epoch" in out
    assert (run / "model.keras").is_file()
    assert not (run / "report.json").exists()
    code, out, _ = tl_keras_cli(*words)
    assert code == 0 and "this run is finished" in out
    code, _, err = tl_keras_cli(*words[: -len(options)])
    assert code == 2
    assert "holds a run with other settings" in err


def test_early_stopping_is_a_number_auto_or_none():
    assert [patience(word) for word in ("3", "auto", "none")] == [3, "auto", None]
    for word in ("0", "-1", "2.5", "yes"):
        with pytest.raises(typer.BadParameter, match="auto or none"):
            patience(word)
