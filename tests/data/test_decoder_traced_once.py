"""What decodes image files is traced once for all passes over files of one size."""

import numpy as np
from PIL import Image

import tl_keras as tl
from tl_keras.data.files.image_files import _decoder


def test_two_passes_trace_the_decoder_once(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 7, 9, 3), dtype=np.uint8)
    for name, image in zip("ab", pixels, strict=True):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / "one.png")
    data = tl.data.image_folder(tmp_path, image_size=(7, 9), progress=False)
    for _ in range(2):
        (batch,) = data.batches(None, 2)
        np.testing.assert_array_equal(batch.numpy(), pixels)
    assert _decoder((7, 9), None, True).experimental_get_tracing_count() == 1
