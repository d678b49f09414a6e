import pytest


@pytest.mark.parametrize(
    ("format", "function", "options"),
    [
        ("saved_model", "saved_model", {}),
        ("tflite", "tflite", {}),
        ("onnx", "onnx", {}),
        ("tflite-int8", "tflite", {"quantize": "int8"}),
    ],
)
def test_each_format_calls_its_exporter(
    tl_keras_cli, monkeypatch, trained, pictures, tmp_path, format, function, options
):
    run, _ = trained
    calls = []

    def exporter(model, path, **keywords):
        calls.append((model, path, keywords))
        path.write_bytes(b"x" * 250_000)

    monkeypatch.setattr(f"tl_keras.export.{function}", exporter)
    target = tmp_path / "exported"
    words = ["export", run, "--format", format, "--output", target]
    if options:
        words += ["--representative", pictures]
    code, out, _ = tl_keras_cli(*words)
    assert code == 0
    assert out.endswith(f"written: {target} (0.2 MB)\n")
    ((model, path, keywords),) = calls
    assert model.class_names == ("blue", "green", "red")
    assert path == target
    representative = keywords.pop("representative", None)
    assert keywords == {"overwrite": False, **options}
    assert (representative is not None) == bool(options)
    if options:
        assert representative.image_size == (32, 32)
        assert len(representative) == 24


def test_representative_images_are_asked_for_and_refused(tl_keras_cli, trained, pictures, tmp_path):
    run, _ = trained
    words = ("export", run, "--output", tmp_path / "m.tflite", "--format")
    code, _, err = tl_keras_cli(*words, "tflite-int8")
    assert code == 2
    assert "--representative: tflite-int8 needs images" in err
    code, _, err = tl_keras_cli(*words, "tflite", "--representative", pictures)
    assert code == 2
    assert "--representative: tflite does not use it" in err


@pytest.mark.slow
def test_a_tflite_file_gives_what_the_run_gives(tl_keras_cli, trained, tmp_path):
    import numpy as np
    import tensorflow as tf

    from tl_keras.training import load_run_model

    run, _ = trained
    target = tmp_path / "model.tflite"
    assert tl_keras_cli("export", run, "-f", "tflite", "-o", target)[0] == 0
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    interpreter = tf.lite.Interpreter(str(target))
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    interpreter.set_tensor(given["index"], images.astype(given["dtype"]))
    interpreter.invoke()
    expected = load_run_model(run)(images).numpy()
    outputs = [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]
    (found,) = [output for output in outputs if output.shape == expected.shape]
    np.testing.assert_allclose(found, expected, atol=1e-3)
