import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

from tests.data.images import encode, noise, smooth, with_orientation
from tl_keras.data import decode_and_resize, decode_batch, decode_image, resize_image
from tl_keras.inputs.decoding.headers import first_frame_alone

RGB, RGBA, GRAY = noise(3), noise(4), noise(1)
PALETTE = RGB.quantize(40)
LOSSLESS = {
    "png rgb": encode(RGB, "PNG"),
    "png gray": encode(GRAY, "PNG"),
    "png 1-bit": encode(GRAY.convert("1"), "PNG"),
    "png palette": encode(PALETTE, "PNG"),
    "png 4-bit palette": encode(RGB.quantize(10), "PNG", bits=4),
    "bmp rgb": encode(RGB, "BMP"),
    "bmp gray": encode(GRAY, "BMP"),
    "bmp palette": encode(PALETTE, "BMP"),
    "bmp 32-bit": encode(RGBA, "BMP"),
    "gif": encode(PALETTE, "GIF"),
    "gif animated": encode(RGB, "GIF", save_all=True, append_images=[smooth().resize(RGB.size)]),
    "webp": encode(RGB, "WEBP", lossless=True),
}
TRANSPARENT = {
    "png rgba": encode(RGBA, "PNG"),
    "png gray alpha": encode(RGBA.convert("LA"), "PNG"),
    "png palette": encode(PALETTE, "PNG", transparency=3),
    "webp rgba": encode(RGBA, "WEBP", lossless=True, exact=True),
}
LOSSY = {
    "jpeg": encode(smooth(), "JPEG"),
    "jpeg progressive": encode(smooth(), "JPEG", progressive=True),
    "jpeg gray": encode(smooth().convert("L"), "JPEG"),
    "jpeg cmyk": encode(smooth().convert("CMYK"), "JPEG"),
    "webp lossy": encode(smooth(), "WEBP"),
}


@pytest.fixture(scope="module")
def decode_in_graph():
    return tf.function(decode_image, input_signature=[tf.TensorSpec([], tf.string)])


def with_pillow(content):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_equal_pillow(name, decode_in_graph):
    expected = with_pillow(LOSSLESS[name])
    np.testing.assert_array_equal(decode_image(LOSSLESS[name]), expected)
    np.testing.assert_array_equal(decode_in_graph(LOSSLESS[name]), expected)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_formats_are_near_pillow(name, decode_in_graph):
    expected = with_pillow(LOSSY[name]).astype(int)
    assert expected.std() > 30  # a decoder that gave one colour would be found
    np.testing.assert_allclose(decode_in_graph(LOSSY[name]), expected, atol=4)


@pytest.mark.parametrize("name", TRANSPARENT)
def test_transparency_is_composited_on_white(name, decode_in_graph):
    image = Image.open(io.BytesIO(TRANSPARENT[name])).convert("RGBA")
    rgba = np.asarray(image).astype(float)
    alpha = rgba[..., 3:] / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    np.testing.assert_allclose(decode_in_graph(TRANSPARENT[name]), expected, atol=0.51)


def test_sixteen_bits_keep_the_upper_eight(decode_in_graph):
    values = np.random.default_rng(1).integers(0, 65536, (6, 7)).astype(np.uint16)
    pixels = decode_in_graph(encode(Image.fromarray(values), "PNG")).numpy()
    np.testing.assert_array_equal(pixels, np.repeat((values >> 8)[..., None], 3, axis=-1))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "options",
    [{"format": "JPEG"}, {"format": "PNG"}, {"format": "WEBP", "lossless": True}],
    ids=lambda options: options["format"],
)
def test_exif_orientation_equals_pillow(orientation, options, decode_in_graph):
    content = encode(smooth(), exif=with_orientation(orientation), **options)
    expected = with_pillow(content).astype(int)
    assert expected.shape[:2] == ((32, 24) if orientation > 4 else (24, 32))
    pixels = decode_in_graph(content)
    assert pixels.shape == expected.shape
    np.testing.assert_allclose(pixels, expected, atol=4)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_and_resize_is_decoding_then_resizing(orientation):
    content = encode(noise(3, 40, 50), "PNG", exif=with_orientation(orientation))
    expected = resize_image(decode_image(content), (9, 12)).numpy().astype(int)
    np.testing.assert_allclose(decode_and_resize(content, (9, 12)), expected, atol=1)


def test_exif_of_both_byte_orders_and_behind_other_segments(decode_in_graph):
    plain = encode(smooth(), "JPEG")
    for order, header, entry in [
        ("little", b"II*\0\x08\0\0\0\x01\0", b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"),
        ("big", b"MM\0*\0\0\0\x08\0\x01", b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"),
    ]:
        exif = b"Exif\0\0" + header + entry + b"\0\0\0\0"
        comment = b"\xff\xfe\0\x06abcd"
        segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
        content = plain[:2] + comment + segment + plain[2:]
        expected = np.rot90(with_pillow(plain), -1).astype(int)
        np.testing.assert_allclose(decode_in_graph(content), expected, atol=4, err_msg=order)


@pytest.mark.parametrize("damage", ["offset", "count", "length"])
def test_damaged_exif_is_ignored(damage, decode_in_graph):
    plain = encode(smooth(), "JPEG")
    tiff = {
        "offset": b"II*\0\xff\xff\xff\xff",
        "count": b"II*\0\x08\0\0\0\xff\xff",
        "length": b"II",
    }[damage]
    exif = b"Exif\0\0" + tiff
    content = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    np.testing.assert_allclose(decode_in_graph(content), with_pillow(plain).astype(int), atol=4)


def test_refuses_what_it_cannot_read(decode_in_graph):
    frames = {"save_all": True, "append_images": [smooth(1)], "lossless": True}
    for content, text in [
        (b"", "the file has 0 bytes"),
        (b"no image at all", "not an image: its content"),
        (encode(smooth(), "WEBP", **frames), "animated WebP: save"),
        (encode(GRAY.convert("1"), "BMP"), "fewer than 8 bits"),
        (LOSSLESS["png rgb"][:-200], "Invalid PNG"),
        (LOSSY["jpeg"][:400], "Invalid JPEG"),
    ]:
        with pytest.raises(tf.errors.InvalidArgumentError, match=text):
            decode_in_graph(content)
        for function in (decode_image, lambda encoded: decode_and_resize(encoded, (4, 4))):
            with pytest.raises(tf.errors.InvalidArgumentError, match=text):
                function(content)


def test_resize_is_near_pillows_bilinear():
    image = noise(3, 30, 40)
    expected = np.asarray(image.resize((12, 9), Image.Resampling.BILINEAR)).astype(int)
    resized = resize_image(tf.constant(np.asarray(image)), (9, 12))
    assert resized.dtype == tf.uint8
    assert np.abs(resized.numpy() - expected).mean() < 1.0
    np.testing.assert_array_equal(resize_image(np.asarray(image), (30, 40)), np.asarray(image))


def test_saved_decoder_gives_the_same_pixels(tmp_path):
    module = tf.Module()
    module.decode = tf.function(
        lambda encoded: decode_batch(encoded, (9, 12)),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(module, str(tmp_path))
    turned = encode(smooth(), "JPEG", exif=with_orientation(6))
    contents = [LOSSLESS["bmp palette"], turned, TRANSPARENT["webp rgba"]]
    answers = tf.saved_model.load(str(tmp_path)).decode(tf.constant(contents))
    assert answers.shape == (3, 9, 12, 3)
    for content, answer in zip(contents, answers, strict=True):
        np.testing.assert_array_equal(answer, decode_and_resize(content, (9, 12)))


@pytest.fixture(scope="module")
def cut_in_graph():
    return tf.function(first_frame_alone, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize("options", [{}, {"comment": b"c" * 700}, {"interlace": 0}])
def test_frames_behind_the_first_do_not_reach_the_decoder(options, cut_in_graph):
    """TensorFlow would unpack them all: a megabyte may hold twenty of 64 MB."""
    more = [noise(3, seed=seed).quantize(256) for seed in (1, 2)]
    content = encode(noise(3), "GIF", save_all=True, append_images=more, duration=9, **options)
    for cut in (first_frame_alone, cut_in_graph):
        alone = cut(content).numpy()
        assert len(alone) < len(content) and content.startswith(alone[:-1]) and alone[-1:] == b";"
        image = Image.open(io.BytesIO(alone))
        assert image.n_frames == 1
        np.testing.assert_array_equal(image.convert("RGB"), with_pillow(content))
        assert cut(alone).numpy() == alone


def test_what_ends_in_its_first_frame_or_is_no_gif_stays(cut_in_graph):
    content = LOSSLESS["gif"]
    for other in (content[:-40], content[:11], content[:6], b"", LOSSLESS["png rgb"], b"GIF89a,"):
        assert cut_in_graph(other).numpy() == other


def test_blocks_of_one_byte_have_a_bound(monkeypatch):
    monkeypatch.setattr("tl_keras.inputs.decoding.headers._MOST_BLOCKS_OF_A_FRAME", 320)
    content = LOSSLESS["gif"]
    start = content.index(b",", 13 + 6 * 2 ** (content[10] % 8)) + 11
    end = b"\0;"
    for blocks, read in ((310, 310), (400, 320)):
        alone = first_frame_alone(content[:start] + b"\1a" * blocks + end).numpy()
        assert alone[start:] == b"\1a" * read + (end if read == blocks else b"\1;")
