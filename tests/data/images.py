"""Small image files for the tests, written with Pillow."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from tl_keras.data.files import image_files


def encode(image, format, **options):
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def noise(channels=3, height=10, width=14, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)


def smooth(seed=0):
    """Blocks of 8 × 8 pixels of one colour, which JPEG keeps well."""
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return Image.fromarray(np.kron(blocks, np.ones((8, 8, 1), np.uint8)))


def with_orientation(orientation):
    exif = Image.Exif()
    exif[0x010F] = "a maker, so that there is more than one entry"
    exif[0x0112] = orientation
    return exif


def read_plainly(monkeypatch):
    """Let batches be read by TensorFlow's own decoder; what reads files as this library does, is
    large, and a pass with it takes a second.
    """

    def decoder(size, pixel_range, plain):
        assert pixel_range is None

        def decode(content):
            pixels = tf.io.decode_image(content, 3, expand_animations=False)
            pixels.set_shape((None, None, 3))
            return tf.cast(tf.image.resize(pixels, size), tf.uint8)

        return decode

    monkeypatch.setattr(image_files, "_decoder", decoder)


def write_folder(root, counts, seed=0):
    """Write `counts[name]` PNG files into a subfolder per name."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = noise(seed=seed + 100 * number + index)
            image.save(root / name / f"{index:02}.png")
    return root
