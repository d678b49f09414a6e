"""The short way through the decoder gives what the whole one does, and takes nothing else."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.files.contents import FileContents
from tl_keras.inputs.decoding.images import decode_image
from tl_keras.inputs.decoding.plain import CHANGED, decode_plain, is_plain
from tools.torture.mutated_images import cases, declared_sizes, sound_images

TURNED = Image.Exif()
TURNED[0x0112] = 6


def either(function):
    """Return a compiled function of contents to pixels, or None where it fails."""
    compiled = tf.function(
        function, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
    )

    def call(content):
        try:
            return compiled(content).numpy()
        except tf.errors.InvalidArgumentError:
            return None

    return call


short, whole = either(decode_plain), either(decode_image)


def test_it_reads_what_the_whole_decoder_reads():
    contents = [*sound_images().values(), *declared_sizes().values()]
    contents += [content for _, content in itertools.islice(cases(seed=2, rounds=1), 400)]
    plain = [is_plain(content) for content in contents]
    assert 0.2 < np.mean(plain) < 0.8
    read = 0
    for content, is_short in zip(contents, plain, strict=True):
        found = short(content)
        if not is_short:
            assert found is None
            continue
        expected = whole(content)
        assert (found is None) == (expected is None)
        if found is not None:
            np.testing.assert_array_equal(found, expected)
            read += 1
    assert read > 20


def encoded(mode, tmp_path, name, **options):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 4), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    image.save(tmp_path / name, **options)
    return (tmp_path / name).read_bytes()


def test_plain_files_are_known_by_their_content(tmp_path):
    for mode, name in (("RGB", "a.jpg"), ("L", "b.jpg"), ("CMYK", "c.jpg"), ("L", "d.png")):
        assert is_plain(encoded(mode, tmp_path, name))
    assert is_plain(encoded("RGB", tmp_path, "e.png"))
    others = [
        encoded("RGB", tmp_path, "turned.jpg", exif=TURNED),
        encoded("RGB", tmp_path, "turned.png", exif=TURNED),
        encoded("RGB", tmp_path, "see-through.png", transparency=(1, 2, 3)),
        *(encoded(mode, tmp_path, f"{mode}.png") for mode in ("RGBA", "LA", "P", "1", "I;16")),
        *(encoded("RGB", tmp_path, f"a.{ending}") for ending in ("bmp", "gif", "webp")),
    ]
    assert not any(map(is_plain, [*others, b"", b"\xff\xd8"]))


def folder(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a/1.jpg", "a/2.png", "b/3.jpg", "b/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        keras.utils.save_img(
            tmp_path / name, random.integers(0, 255, (20, 30, 3)).astype("uint8"), scale=False
        )
    return tmp_path


def test_a_folder_reads_the_same_either_way(tmp_path, monkeypatch):
    images = tl.data.image_folder(folder(tmp_path), image_size=8)
    assert images.contents.all_plain
    (plain,) = images.batches(None, 4)
    monkeypatch.setattr(FileContents, "all_plain", False)
    (whole,) = images.batches(None, 4)
    np.testing.assert_array_equal(plain, whole)
    Image.open(tmp_path / "a" / "1.jpg").save(tmp_path / "a" / "1.jpg", exif=TURNED)
    monkeypatch.undo()
    assert not tl.data.image_folder(tmp_path, image_size=8).contents.all_plain


def test_a_file_that_is_turned_after_the_check_is_not_read_as_it_lies(tmp_path):
    images = tl.data.image_folder(folder(tmp_path), image_size=16)
    model = tl.build_transfer_model(tiny_network(), 2)
    Image.open(tmp_path / "a" / "1.jpg").save(tmp_path / "a" / "1.jpg", exif=TURNED)
    for use in (tl.predict, lambda *given: tl.evaluate(*given, verbose=False)):
        with pytest.raises(tl.InputError, match=f"data: reading the data failed: {CHANGED}"):
            use(model, images)
