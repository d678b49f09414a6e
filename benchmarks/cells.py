"""The solar cells as arrays, and splits of them, shared by the benchmarks."""

import functools

import numpy as np
import tensorflow as tf
from sklearn.model_selection import train_test_split

from tl_keras.data.solar_cells import solar_cells
from tl_keras.inputs.decoding.images import decode_and_resize


@functools.cache
def load_cells(image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 `(2624, size, size, 3)` and labels (1 = defective)."""
    cells = solar_cells()
    paths = tf.data.Dataset.from_tensor_slices([str(cell.path) for cell in cells])
    size = (image_size, image_size)
    images = paths.map(
        lambda path: decode_and_resize(tf.io.read_file(path), size),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    x = np.stack([image.numpy() for image in images])
    return x, np.array([cell.probability > 0.5 for cell in cells], np.int64)


def split_cells(y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test positions of a stratified 75/25 split."""
    return train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=seed)
