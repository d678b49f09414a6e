import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from tl_keras.cli import predictors
from tl_keras.cli.predict import Format, _write
from tl_keras.predictions.files import find_files
from tl_keras.predictions.table import Predictions
from tl_keras.training import load_run_model
from tl_keras.utils.errors import InputError


def pixels_of(path, size):
    """Read a picture that has the model's size already."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape == (*size, 3)
    return pixels


@pytest.fixture(scope="module")
def predictors_by_path():
    return {}


@pytest.fixture(autouse=True)
def each_model_loaded_once(monkeypatch, predictors_by_path):
    """Load what is at a path for the first test that predicts with it, and keep it for others."""
    load = predictors.load_predictor

    def load_once(path, trust):
        if path not in predictors_by_path:
            predictors_by_path[path] = load(path, trust)
        return predictors_by_path[path]

    monkeypatch.setattr(predictors, "load_predictor", load_once)


@pytest.fixture
def small_pictures(tmp_path, pictures):
    """Four pictures of exactly the model's size, so that Pillow alone gives its input."""
    for index, source in enumerate(sorted(pictures.rglob("*.png"))[::6]):
        Image.open(source).resize((32, 32)).save(tmp_path / f"p{index}.png")
    return tmp_path


def expected(run, files):
    model = load_run_model(run)
    scores = model(np.stack([pixels_of(file, (32, 32)) for file in files])).numpy()
    return model.class_names, scores


def test_csv_agrees_with_the_model_on_pixels_read_by_pillow(tl_keras_cli, trained, small_pictures):
    run, _ = trained
    files = sorted(small_pictures.glob("*.png"))
    code, out, err = tl_keras_cli(
        "predict", run, small_pictures, "--format", "csv", "--top", 2, "--batch-size", 3
    )
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    labels, scores = expected(run, files)
    assert [row["file"] for row in rows] == [str(file) for file in files for _ in range(2)]
    assert [row["rank"] for row in rows] == ["1", "2"] * len(files)
    best = np.argsort(-scores, axis=1)[:, :2].ravel()
    assert [row["label"] for row in rows] == [labels[i] for i in best]
    np.testing.assert_allclose(
        [float(row["score"]) for row in rows], -np.sort(-scores, axis=1)[:, :2].ravel(), atol=1e-5
    )


def test_saved_model_gives_what_the_run_gives(tl_keras_cli, trained, small_pictures):
    run, _ = trained
    files = sorted(small_pictures.glob("*.png"))
    words = ("predict", run / "saved_model", *files, "--format", "json", "--top", 3)
    code, out, err = tl_keras_cli(*words)
    assert (code, err) == (0, "")
    labels, scores = expected(run, files)
    for result, row in zip(json.loads(out), scores, strict=True):
        found = {part["label"]: part["score"] for part in result["predictions"]}
        np.testing.assert_allclose([found[label] for label in labels], row, atol=1e-5)


@pytest.mark.parametrize("source", ["model.keras", "saved_model"])
def test_broken_files_are_reported_and_the_others_predicted(
    tl_keras_cli, trained, small_pictures, source
):
    run, _ = trained
    (small_pictures / "a.png").write_bytes(b"no picture")
    (small_pictures / "b.png").write_bytes(b"")
    code, out, err = tl_keras_cli(
        "predict", run / source, small_pictures, "absent.png", "--format", "json"
    )
    assert code == 1
    results = json.loads(out)
    assert ["error" in result for result in results] == [True, True, *[False] * 4, True]
    lines = err.splitlines()
    assert len(lines) == 4
    assert lines[0] == f"error: {small_pictures / 'a.png'}: not an image, begins with b'no picture'"
    assert lines[1] == f"error: {small_pictures / 'b.png'}: empty, the file has 0 bytes"
    assert "absent.png: No such file or directory" in lines[2]
    assert lines[3] == "error: 3 of 7 files could not be read"


def test_table_shows_file_label_and_score(tl_keras_cli, trained, small_pictures):
    run, _ = trained
    file = small_pictures / "p0.png"
    code, out, _ = tl_keras_cli("predict", run, file)
    labels, scores = expected(run, [file])
    assert code == 0
    assert out.splitlines()[0].split() == ["file", "label", "score"]
    assert out.split()[-3:] == [str(file), labels[scores.argmax()], f"{scores.max():.4f}"]


def test_output_is_written(tl_keras_cli, trained, small_pictures):
    run, _ = trained
    target = small_pictures / "new" / "predictions.csv"
    words = ("predict", run, small_pictures / "p0.png", "-f", "csv", "-o", target)
    code, out, _ = tl_keras_cli(*words)
    assert code == 0
    assert target.read_text().startswith("file,task,rank,label,score,error\n")
    assert out == f"written: {target} (1 file)\n"


def test_the_name_of_the_output_says_its_format(tl_keras_cli, trained, small_pictures):
    run, _ = trained
    words = ("predict", run, small_pictures / "p0.png")
    folder = small_pictures / "named"
    assert tl_keras_cli(*words, "-o", folder / "p.CSV")[0] == 0
    assert (folder / "p.CSV").read_text().startswith("file,task,rank,label,score,error\n")
    assert tl_keras_cli(*words, "-o", folder / "p.json")[0] == 0
    assert len(json.loads((folder / "p.json").read_text())) == 1
    assert tl_keras_cli(*words, "-f", "json", "-o", folder / "j.csv")[0] == 0
    assert len(json.loads((folder / "j.csv").read_text())) == 1
    for refused in (("-o", folder / "p.txt"), ("-f", "table", "-o", folder / "p.csv")):
        code, _, err = tl_keras_cli(*words, *refused)
        assert code == 2
        assert "Add --format csv" in err


def test_missing_model_is_an_error(tl_keras_cli, tmp_path):
    code, _, err = tl_keras_cli("predict", tmp_path / "nothing", "x.png")
    assert code == 2
    assert "RUN_OR_SAVEDMODEL: expected the directory of a run or a .keras file" in err
    assert err.count("\n") == 1


def test_other_saved_models_are_refused(tl_keras_cli, tmp_path):
    import tensorflow as tf

    tf.saved_model.save(tf.Module(), str(tmp_path / "plain"))
    code, _, err = tl_keras_cli("predict", tmp_path / "plain", "x.png")
    assert code == 2
    assert "expected a SavedModel with the signature 'serve_bytes'" in err


def test_names_folders_and_patterns_give_files_once(tmp_path):
    for name in ("b.jpg", "a.PNG", "notes.txt", ".hidden.png", "deep/c.webp", "[1].png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def names(*words):
        found = find_files([str(tmp_path / word) for word in words])
        return [path.relative_to(tmp_path).as_posix() for path in found]

    assert names(".") == ["[1].png", "a.PNG", "b.jpg", "deep/c.webp"]
    assert names("*.jpg", "b.jpg", "absent.jpg") == ["b.jpg", "absent.jpg"]
    assert names("[1].png") == ["[1].png"]
    assert names("**/*.webp", "notes.txt") == ["deep/c.webp", "notes.txt"]
    assert names("d*p") == ["deep/c.webp"]
    with pytest.raises(InputError, match=r"FILES: .*stands for no image file"):
        names("*.gif")


def test_several_tasks_are_listed_by_task(tl_keras_cli, tmp_path, small_pictures, tiny_backbone):
    from tl_keras.models.builder import build_transfer_model

    model = build_transfer_model(
        tiny_backbone,
        {"colour": 2, "size": 3},
        class_names={"colour": ["red", "blue"], "size": ["s", "m", "l"]},
    )
    model.save(tmp_path / "tasks.keras")
    file = small_pictures / "p0.png"
    code, out, _ = tl_keras_cli("predict", tmp_path / "tasks.keras", file, "-f", "json")
    assert code == 0
    scores = model(pixels_of(file, (32, 32))[None])
    tasks = json.loads(out)[0]["tasks"]
    assert set(tasks) == {"colour", "size"}
    for task, values in scores.items():
        best = int(np.argmax(values[0]))
        assert tasks[task][0]["label"] == model.class_names[task][best]
        assert tasks[task][0]["score"] == pytest.approx(float(values[0][best]), abs=1e-5)
    code, out, _ = tl_keras_cli("predict", tmp_path / "tasks.keras", file)
    assert out.splitlines()[0].split() == ["file", "task", "label", "score"]


def test_a_score_of_zero_is_shown(capsys):
    rows = [{"file": "a.png", "predictions": [{"label": "0", "score": 0.0}]}]
    _write(Predictions(rows), Format.table, None)
    heading, *_, last = capsys.readouterr().out.splitlines()
    assert (heading.split(), last.split()) == (["file", "label", "score"], ["a.png", "0", "0.0000"])
