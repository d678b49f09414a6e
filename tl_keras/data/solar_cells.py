"""Photographs of solar cells from a Python package, for the demonstration and benchmarks."""

import csv
import dataclasses
import importlib.metadata
import io
import os
import pathlib

from tl_keras.utils.errors import InputError
from tl_keras.utils.writing import write_for_user

ELPV_INSTALL = "pip install --no-deps elpv-dataset==1.0.0.post1"
ELPV_CLASSES = ("functional", "defective")


@dataclasses.dataclass(frozen=True)
class SolarCell:
    """One electroluminescence image of a solar cell, 300×300 gray.

    Attributes:
        path: The PNG file.
        probability: Experts' probability of a defect: 0, ⅓, ⅔ or 1.
        kind: `"mono"` or `"poly"` crystalline.
    """

    path: pathlib.Path
    probability: float
    kind: str

    @property
    def label(self) -> str:
        """`"defective"` where a defect is more likely than not, else `"functional"`."""
        return ELPV_CLASSES[self.probability > 0.5]


def solar_cells() -> list[SolarCell]:
    """Return the 2,624 cells of the ELPV data set in their published order.

    Deitsch et al.: *Automatic classification of defective photovoltaic module cells in
    electroluminescence images*, Solar Energy 185, 2019. Licence CC BY-NC-SA 4.0.

    Raises:
        InputError: If the package that carries the images is not installed.
    """
    try:
        files = importlib.metadata.distribution("elpv-dataset").files or []
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(
            f"data: the ELPV images are not installed. Install them with: {ELPV_INSTALL}"
        ) from error
    table = next(file for file in files if str(file).endswith("labels.csv")).locate()
    folder = pathlib.Path(str(table)).parent
    cells = []
    for line in pathlib.Path(str(table)).read_text(encoding="utf-8").splitlines():
        name, probability, kind = line.split()
        cells.append(SolarCell(folder / name, float(probability), kind))
    return cells


def write_cells_csv(cells: list[SolarCell], path: str | os.PathLike) -> None:
    """Write the `path,label` table that `image_folder` reads."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["path", "label"])
    writer.writerows([str(cell.path), cell.label] for cell in cells)
    write_for_user(path, buffer.getvalue())
