"""Small image files for the tests, written with Pillow."""

import io

import numpy as np
from PIL import Image


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


def write_folder(root, counts, seed=0):
    """Write `counts[name]` PNG files into a subfolder per name."""
    for number, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for index in range(count):
            image = noise(seed=seed + 100 * number + index)
            image.save(root / name / f"{index:02}.png")
    return root
