"""Where stored features are, and how much of the disk they may take."""

import dataclasses
import os
import pathlib
import re
import shutil
from typing import Literal

import platformdirs

from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, did_you_mean

FOLDER_VARIABLE = "TL_KERAS_CACHE"
BYTES_VARIABLE = "TL_KERAS_CACHE_BYTES"
FEATURES = "features"
PRECISIONS = ("float32", "bfloat16")
SPARED_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """How the outputs of frozen layers are kept, so that they are computed once.

    Attributes:
        folder: Where; by default `$TL_KERAS_CACHE`, or `tl_keras` in the user's folder for caches.
        precision: `"float32"`, or `"bfloat16"` for frozen layers that run about three times as
            fast on a GPU or a processor with AMX, with errors near 1 %.
        views: With augmentation, how many augmented views of each image are stored; epoch `e`
            reads view `e % views`. 0 stores none: then frozen layers run in every epoch.
        max_bytes: Largest store; None for 90 % of the free disk, less 1 GiB. All stores together
            take at most `$TL_KERAS_CACHE_BYTES`, such as `20GB`, by default half of the disk: those
            that were used least recently are removed.

    Example:
        >>> FeatureCache(folder="features", views=4).views
        4
    """

    folder: str | os.PathLike | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    views: int = 0
    max_bytes: int | None = None

    def __post_init__(self):
        """Check the values."""
        if self.folder is not None and not isinstance(self.folder, (str, os.PathLike)):
            raise InputError(f"folder: expected a path or None, got {self.folder!r}.")
        if self.precision not in PRECISIONS:
            raise InputError(
                f"precision: expected one of {PRECISIONS}, got {self.precision!r}."
                f"{did_you_mean(str(self.precision), PRECISIONS)}"
            )
        for name, value in (("views", self.views), ("max_bytes", self.max_bytes)):
            if name == "views" or value is not None:
                whole(value, name, least=0)

    @property
    def features_folder(self) -> pathlib.Path:
        """The folder whose subfolders are stores."""
        return features_folder(self.folder)

    def bytes_allowed(self, free: int) -> int:
        """Return how large a store may be with so many bytes free on the disk."""
        return int(0.9 * free) - SPARED_BYTES if self.max_bytes is None else self.max_bytes


def features_folder(folder: str | os.PathLike | None = None) -> pathlib.Path:
    """Return the folder whose subfolders are stores, inside a cache folder or the default one."""
    if folder is None:
        folder = os.environ.get(FOLDER_VARIABLE) or platformdirs.user_cache_path() / "tl_keras"
    return pathlib.Path(folder).expanduser() / FEATURES


def bytes_of(text: str, argument: str) -> int:
    """Return a size such as `"20GB"` or `"1.5 TiB"` in bytes.

    Raises:
        InputError: If it is none.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?\s*", text, re.IGNORECASE)
    if found is None:
        raise InputError(f"{argument}: expected a size such as 20GB, got {text!r}.")
    number, unit, binary = found.groups(default="")
    power = " kmgt".index(unit.lower() or " ")
    return int(float(number) * (1024 if binary else 1000) ** power)


def bytes_of_all(features: pathlib.Path) -> int:
    """Return how large all stores in a folder may be together.

    Raises:
        InputError: If `$TL_KERAS_CACHE_BYTES` is no size.
    """
    text = os.environ.get(BYTES_VARIABLE)
    return bytes_of(text, BYTES_VARIABLE) if text else _disk_of(features).total // 2


def free_bytes(folder: pathlib.Path) -> int:
    """Return the free bytes of the disk on which a folder is, or will be."""
    return _disk_of(folder).free


def _disk_of(folder: pathlib.Path):
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder)


def size_text(size: float) -> str:
    """Return a number of bytes in words, such as `"13.4 MB"`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.1f} {unit}"
    return f"{size:.0f} bytes"


def time_text(seconds: float) -> str:
    """Return a duration in words, such as `"14 s"`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
