"""The solar cells as JPEG files in a folder per class, as a user would have them."""

import pathlib

import numpy as np
from PIL import Image

from tl_keras.data.solar_cells import solar_cells

CLASS_NAMES = ("good", "defective")


def write_cells(folder: pathlib.Path, count: int | None = None, copies: int = 1) -> np.ndarray:
    """Write cells as `folder/<class>/<number>.jpg`, 300 px, quality 90.

    Args:
        folder: Where to.
        count: How many different ones, evenly over the data; None for all 2,624.
        copies: How often each is written.

    Returns:
        The labels, 1 = defective.
    """
    cells = solar_cells()
    if count is not None:
        cells = [cells[i] for i in np.linspace(0, len(cells) - 1, count).round().astype(int)]
    for name in CLASS_NAMES:
        (folder / name).mkdir(parents=True, exist_ok=True)
    labels = [int(cell.probability > 0.5) for cell in cells]
    for number, (cell, label) in enumerate(zip(cells, labels, strict=True)):
        with Image.open(cell.path) as image:
            gray = image.convert("L")
        for copy in range(copies):
            path = folder / CLASS_NAMES[label] / f"{number:05}-{copy}.jpg"
            gray.save(path, quality=90)
    return np.repeat(labels, copies)
