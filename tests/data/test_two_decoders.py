"""Samples of Pillow's pixels lie where those of the other decoder are."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data.images import encode, with_orientation
from tl_keras.data.files.two_decoders import LARGE_PIXELS, PillowsView, _one_large_image, room_for


def pixels(height, width, channels=3):
    return np.random.default_rng(height).integers(0, 256, (height, width, channels), np.uint8)


def opened(content):
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (64, 300), (511, 130), (129, 1000)])
def test_every_orientation(orientation, size):
    """Noise is known again in its own place only."""
    content = encode(Image.fromarray(pixels(*size)), "PNG", exif=with_orientation(orientation))
    upright = np.asarray(ImageOps.exif_transpose(opened(content)))
    seen = PillowsView(opened(content))
    assert seen.shape == upright.shape[:2]
    assert seen.is_shown_by(upright) == ""
    if size != (1, 1):
        assert "differ by" in seen.is_shown_by(upright[::-1, ::-1])
        assert "TensorFlow reads" in seen.is_shown_by(upright[:, 1:])


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_every_mode_is_sampled_as_it_is_converted(mode):
    colours = Image.fromarray(pixels(200, 300, 4))
    image = colours.convert("RGB").quantize(17) if mode == "P" else colours.convert(mode)
    options = {"transparency": 3} if mode == "P" else {}
    content = encode(image, "PNG", **options)
    image = opened(content)
    expected = image.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), expected)
    sample = PillowsView(opened(content))._sample
    np.testing.assert_array_equal(sample, np.asarray(expected.convert("RGB"))[::3, ::4])


def test_large_images_are_decoded_one_at_a_time():
    with room_for(LARGE_PIXELS + 1):
        assert not _one_large_image.acquire(blocking=False)
        with room_for(LARGE_PIXELS):
            pass
    assert _one_large_image.acquire(blocking=False)
    _one_large_image.release()
