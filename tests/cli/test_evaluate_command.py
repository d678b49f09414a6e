import json
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from tl_keras.training import load_run_model


def test_a_folder_with_some_of_the_classes_is_matched_by_name(
    tl_keras_cli, trained, tmp_path, write_pictures
):
    run, _ = trained
    data = write_pictures(tmp_path / "data", classes=("blue", "red"), count=3, size=32, seed=1)
    target, figure = tmp_path / "report.json", tmp_path / "report.png"
    code, out, err = tl_keras_cli("evaluate", run, data, "--json", target, "--plot", figure)
    assert (code, "error" in err) == (0, False)
    files = [file for name in ("blue", "red") for file in sorted((data / name).iterdir())]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    predicted = load_run_model(run)(images).numpy().argmax(axis=1)
    accuracy = (predicted == np.repeat([0, 2], 3)).mean()
    report = json.loads(target.read_text())
    assert report["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert [row["support"] for row in report["per_class"]] == [3, 0, 3]
    assert Image.open(figure).format == "PNG"
    assert f"{accuracy:.4f}" in out


def test_unknown_classes_are_an_error(tl_keras_cli, trained, tmp_path, write_pictures):
    run, _ = trained
    data = write_pictures(tmp_path / "data", count=1)
    (data / "green").rename(data / "grün")
    code, _, err = tl_keras_cli("evaluate", run, data)
    assert code == 2
    assert err == (
        "error: DIR: class 'grün' not found among those of the model, 'blue', 'green', 'red'. "
        "Rename or remove this folder.\n"
    )


@pytest.mark.parametrize(("reached", "expected"), [(0.89, 1), (0.9, 0)])
def test_the_accuracy_gate(tl_keras_cli, monkeypatch, trained, pictures, reached, expected):
    run, _ = trained

    class Report:
        metrics: ClassVar = {"accuracy": reached}
        to_json = plot = None

    monkeypatch.setattr("tl_keras.evaluation.evaluate", lambda *_, **__: Report())
    code, _, err = tl_keras_cli("evaluate", run, pictures, "--assert-accuracy-at-least", 0.9)
    assert code == expected
    assert ("wanted at least 0.9, reached 0.8900" in err) is bool(expected)


def test_what_cannot_be_evaluated(tl_keras_cli, trained, pictures, tmp_path):
    run, _ = trained
    code, _, err = tl_keras_cli("evaluate", run, tmp_path / "absent")
    assert code == 2
    assert "DIR: expected a folder or a CSV file" in err
    code, _, err = tl_keras_cli("evaluate", run / "saved_model", pictures)
    assert code == 2
    assert "which only `tl-keras predict` takes" in err
    code, _, err = tl_keras_cli("evaluate", run / "config.json", pictures)
    assert code == 2
    assert "RUN: expected the directory of a run or a .keras file, got the file" in err
    code, _, err = tl_keras_cli("evaluate", tmp_path, pictures)
    assert code == 2
    assert err.count("\n") == 1
