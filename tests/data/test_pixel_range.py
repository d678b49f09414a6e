"""Images of more than 8 bits: noticed, read at full depth, and scaled inside the model."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tl_keras.data.domains import as_domains
from tl_keras.models.model_inputs import warn_of_doubtful_values

TWELVE = (0, 4095)
STAGE = {"schedule": tl.Stage(1), "batch_size": 6, "verbose": False}


def twelve_bits(count: int, seed: int = 0, size: int = 16) -> np.ndarray:
    """Return uint16 images `(count, size, size, 1)` of 0 … 4095."""
    return np.random.default_rng(seed).integers(0, 4096, (count, size, size, 1)).astype(np.uint16)


def write(root, images, highest: int | None = None) -> None:
    for index, image in enumerate(images):
        folder = root / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        if highest:
            image = image % (highest + 1)
            image[0, 0] = highest
        Image.fromarray(image[..., 0]).save(folder / f"{index}.png")


def eight_bits(images) -> np.ndarray:
    """Return images of 12 bits as RGB of 0–255, not rounded."""
    return np.repeat(images.astype(np.float64) * 255 / 4095, 3, axis=-1).astype(np.float32)


def small_network() -> keras.Model:
    """Return a convolution of images of 0–255."""
    keras.utils.set_random_seed(0)
    images = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    return keras.Model(images, keras.layers.Conv2D(8, 3, strides=2, activation="relu")(x))


@pytest.fixture(scope="module")
def models():
    """One network, once for 8 bits and once for 12."""
    plain = tl.build_transfer_model(small_network(), 2, class_names=["a", "b"])
    deep = tl.build_transfer_model(small_network(), 2, class_names=["a", "b"], pixel_range=TWELVE)
    deep.set_weights(plain.get_weights())
    return plain, deep


def quietly_read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tl.data.image_folder(path, image_size=16, progress=False, **options)


def test_the_model_scales_its_range_in_every_form(models, tmp_path):
    plain, deep = models
    images = twelve_bits(4)
    expected = plain.predict(eight_bits(images), verbose=0)
    raw = np.repeat(images, 3, axis=-1)
    np.testing.assert_allclose(deep.predict(raw, verbose=0), expected, atol=1e-5)
    np.testing.assert_allclose(deep.features(raw), plain.features(eight_bits(images)), rtol=1e-4)
    low = tl.build_transfer_model(small_network(), 2, pixel_range=(-1000, 3095))
    low.set_weights(plain.get_weights())
    shifted = low.predict(raw.astype(np.int16) - 1000, verbose=0)
    np.testing.assert_allclose(shifted, expected, atol=1e-5)

    deep.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.pixel_range == TWELVE
    np.testing.assert_allclose(loaded.predict(raw, verbose=0), expected, atol=1e-5)

    write(tmp_path / "files", images)
    tl.export.saved_model(deep, tmp_path / "served")
    served = tf.saved_model.load(str(tmp_path / "served")).signatures
    answer = served["serving_default"](images=tf.constant(raw, tf.float32))
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)
    names = [tmp_path / "files" / "ab"[i % 2] / f"{i}.png" for i in range(4)]
    content = tf.constant([name.read_bytes() for name in names])
    answer = served["serve_bytes"](image_bytes=content)
    np.testing.assert_allclose(answer["scores"], expected, atol=1e-5)

    tl.export.tflite(deep, tmp_path / "model.tflite")
    runner = tf.lite.Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    scores = [runner(images=image[None].astype(np.float32))["scores"][0] for image in raw]
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_folder_has_the_values_of_its_files(models, tmp_path):
    plain, deep = models
    images = twelve_bits(6)
    write(tmp_path, images)
    folder = tl.data.image_folder(tmp_path, image_size=16, pixel_range=TWELVE, progress=False)
    (x, y), *_ = folder.batches(deep.targets, 6)
    order = [int(path.split("/")[-1][0]) for path in folder.paths]
    assert x.dtype == tf.float32 and folder.problems == []
    np.testing.assert_array_equal(x, np.repeat(images[order], 3, axis=-1))
    report = tl.evaluate(deep, folder, verbose=False)
    same = tl.evaluate(plain, (eight_bits(images[order]), np.argmax(y, axis=1)), verbose=False)
    assert report["log_loss"] == pytest.approx(same["log_loss"], rel=1e-4)
    assert folder.fingerprint() != quietly_read(tmp_path).fingerprint()

    eight = quietly_read(tmp_path)
    for data, model in ((eight, deep), (folder, plain)):
        with pytest.raises(tl.InputError, match=r"were read with pixel_range=.*Give both the same"):
            tl.evaluate(model, data)
        with pytest.raises(tl.InputError, match="data: the images were read with pixel_range="):
            tl.fine_tune(model, data, **STAGE)


def test_transparency_and_eight_bits_in_a_deep_folder():
    gray = np.array([[[4000, 65535], [4000, 0]]], np.uint16)
    decoded = tl.data.decode_image(tf.io.encode_png(gray), TWELVE)
    np.testing.assert_array_equal(decoded, [[[4000.0] * 3, [4095.0] * 3]])
    shallow = tf.io.encode_png(np.array([[[7, 8, 9]]], np.uint8))
    np.testing.assert_array_equal(tl.data.decode_image(shallow, TWELVE), [[[7.0, 8.0, 9.0]]])
    rgb = np.array([[[1, 300, 65535]]], np.uint16)
    found = tl.data.decode_and_resize(tf.io.encode_png(rgb), (1, 1), (0, 65535))
    np.testing.assert_array_equal(found, rgb)


@pytest.mark.parametrize(("highest", "bits"), [(255, 8), (3000, 12)])
def test_files_far_below_full_range_are_noted(highest, bits, tmp_path):
    write(tmp_path, twelve_bits(2) * 4, highest)
    with pytest.warns(UserWarning, match="low values"):
        folder = tl.data.image_folder(tmp_path, image_size=16, progress=False)
    text = f"16-bit values end at {highest} and are read as 0 … {highest >> 8}; for {bits} bits"
    assert [problem.detail.startswith(text) for problem in folder.problems] == [True] * 2
    assert len(folder) == 2 and f"pixel_range=(0, {2**bits - 1})" in folder.problem_table()
    deep = (0, 2**bits - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = tl.data.image_folder(tmp_path, image_size=16, pixel_range=deep, progress=False)
    assert again.problems == [] and again.pixel_range == deep
    decoded = [tl.data.decode_image(tf.io.read_file(path), deep) for path in again.paths]
    assert np.max(decoded) == highest
    assert len(quietly_read(tmp_path, pixel_range=(0, highest - 1)).problems) == 2


def test_white_behind_transparency_is_in_the_range_that_is_given(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        values = np.full((16, 16, 2), 65535, np.uint16)
        values[..., 0] = np.random.default_rng(0).integers(0, 4096, (16, 16))
        values[:4, :, 1] = 0
        content = tf.io.encode_png(values).numpy()
        (tmp_path / name / "half.png").write_bytes(content)
    assert not quietly_read(tmp_path, pixel_range=TWELVE).problems
    assert len(quietly_read(tmp_path, pixel_range=(0, 2000)).problems) == 2


def test_full_range_is_not_noted(tmp_path):
    write(tmp_path, twelve_bits(2) * 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not tl.data.image_folder(tmp_path, image_size=16, progress=False).problems


def texts(model, x):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_doubtful_values(model, {"data": as_domains(x)})
    return [str(one.message) for one in caught]


def test_arrays_outside_the_range_are_warned_of(models):
    plain, deep = models
    x = np.repeat(twelve_bits(3), 3, axis=-1)
    signed = x.astype(np.int16) - 1000
    for data in (x, signed, signed.astype(np.float32), x.astype(np.float64), x.astype(np.int32)):
        for form in (data, tf.data.Dataset.from_tensor_slices(data)):
            (text,) = texts(plain, form)
            assert "takes images of 0–255, and values are in" in text and "pixel_range=" in text
    assert texts(deep, x) == texts(deep, x.astype(np.float32)) == []
    assert texts(plain, (x % 256).astype(np.uint16)) == texts(plain, (x % 256).astype(float)) == []
    for wrong in ((x % 256).astype(np.uint8), x / 4095, x * 255 / 4095, signed):
        (text,) = texts(deep, wrong)
        assert "takes images of 0–4095" in text


@pytest.mark.parametrize("wrong", [(4095, 0), (0, 0), 4095, (0, np.inf), "12", (0, 1, 2), (0, "a")])
def test_wrong_ranges(wrong, tmp_path):
    with pytest.raises(tl.InputError, match=r"^pixel_range"):
        tl.build_transfer_model(small_network(), 2, pixel_range=wrong)
    with pytest.raises(tl.InputError, match=r"^pixel_range"):
        tl.data.image_folder(tmp_path, pixel_range=wrong)


def test_a_layer_of_ones_own_scales_by_itself():
    layer = keras.layers.Rescaling(1 / 4095)
    with pytest.raises(tl.InputError, match="pixel_range: it goes with the backbone's own"):
        tl.build_transfer_model(small_network(), 2, preprocessing=layer, pixel_range=TWELVE)
