"""ONNX files, run by ONNX Runtime."""

import sys

import numpy as np
import pytest

from tl_keras import export
from tl_keras.inputs.preprocessing import imagenet_centred_bgr
from tl_keras.utils.errors import InputError

install = 'pip install "tl_keras[onnx]"'


def run(path, images):
    runtime = pytest.importorskip("onnxruntime", reason=install)
    pytest.importorskip("tf2onnx", reason=install)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


@pytest.mark.filterwarnings("ignore:.*np.object:FutureWarning")
@pytest.mark.parametrize("batch", [1, 12])
def test_agrees_with_the_model(build, images, tmp_path, batch):
    model = build(3, head="mlp", preprocessing=imagenet_centred_bgr())
    found = run(export.onnx(model, tmp_path / "model.onnx"), images[:batch])
    assert set(found) == {"scores"}
    expected = model.predict(images[:batch], verbose=0)
    np.testing.assert_allclose(found["scores"], expected, atol=1e-4)


def test_several_tasks_in_mixed_precision(build, network, images, tmp_path):
    model = build(
        {"kind": 3, "size": 1},
        head={"kind": "linear", "size": "regression"},
        backbone=network(policy="mixed_bfloat16"),
    )
    found = run(export.onnx(model, tmp_path / "model.onnx"), images)
    expected = model.predict(images, verbose=0)
    assert set(found) == {"kind_scores", "size_values"}
    np.testing.assert_allclose(found["kind_scores"], expected["kind"], atol=5e-2)


def test_a_model_without_head_gives_features(build, images, tmp_path):
    model = build()
    found = run(export.onnx(model, tmp_path / "model.onnx", opset=17), images)
    np.testing.assert_allclose(found["features"], model.predict(images, verbose=0), atol=1e-4)


@pytest.mark.parametrize("package", ["tf2onnx", "onnx"])
def test_a_missing_package_is_named_with_its_remedy(build, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    message = rf'package {package} is not installed\. Run `pip install "tl_keras\[onnx\]"`'
    with pytest.raises(InputError, match=message):
        export.onnx(build(3), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_file_name_must_say_onnx(build, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.onnx, got .*Use 'model\.onnx'"):
        export.onnx(build(3), tmp_path / "model")


def test_a_model_of_another_pixel_range_takes_its_images(build, images, tmp_path):
    plain, deep = build(3), build(3, pixel_range=(-1000, 3095))
    found = run(export.onnx(deep, tmp_path / "model.onnx"), images * (4095 / 255) - 1000)
    np.testing.assert_allclose(found["scores"], plain.predict(images, verbose=0), atol=1e-4)
