"""Looking at every image file before training starts."""

import concurrent.futures
import io
import os
import pathlib
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image
from PIL.ImageFile import ImageFile
from tqdm import tqdm

from tl_keras.data.files.contents import FileContents, FileDigest, read_file
from tl_keras.data.files.two_decoders import LARGE_PIXELS, PillowsView, decoded, room_for
from tl_keras.inputs.decoding.headers import DAMAGED, LARGEST_PIXELS, NOT_AN_IMAGE
from tl_keras.inputs.decoding.images import decode_image, is_sixteen_bit
from tl_keras.inputs.decoding.problems import EXTENSIONS, Problem
from tl_keras.utils.regular_files import UnfitFile
from tl_keras.utils.terminal import can_redraw

_SIGNATURES = (b"\xff\xd8", b"\x89PNG", b"GIF8", b"RIFF")
_SAYS_CUT = re.compile("truncated|decoder object", re.IGNORECASE)
_SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}
_FEWER_BITS = 14
"""16-bit files that use no more bits than these are noted."""

_SECONDS_BEFORE_PROGRESS = 2.0
_FILES_AT_A_TIME = 1024


def inspect_image(
    path: str | os.PathLike, name: str, pixel_range: tuple[float, float] | None = None
) -> Problem | None:
    """Read one file completely, with Pillow and with the decoder that training uses.

    The decoder decides whether the file is used, as it does in exported models. What Pillow alone
    cannot read, or reads differently, is a note.

    Args:
        path: The file.
        name: What the report calls it.
        pixel_range: Darkest and brightest value that images of the folder have.

    Returns:
        What is wrong with the file, or None if nothing is.
    """
    return inspect_file(path, name, pixel_range)[0]


def inspect_file(
    path: str | os.PathLike, name: str, pixel_range: tuple[float, float] | None = None
) -> tuple[Problem | None, FileDigest | None]:
    """Inspect a file as `inspect_image` does, and hash what was read.

    Returns:
        The problem, and the digest of the content; None for a file that cannot be read.
    """
    try:
        content, digest = read_file(path)
    except (FileNotFoundError, ValueError):  # A name cannot hold a null character.
        return _missing(name), None
    except UnfitFile as error:
        return Problem(name, error.kind, str(error.strerror)), None
    except OSError as error:
        return Problem(name, "unreadable", error.strerror or str(error)), None
    return _problem_in(content, name, pixel_range), digest


def _problem_in(
    content: bytes, name: str, pixel_range: tuple[float, float] | None
) -> Problem | None:
    """Let the decoder that training uses decide, and hold against it what Pillow reads."""
    image: ImageFile | None = None
    seen: PillowsView | None = None
    pillows_error: Exception | None = None
    try:
        image = Image.open(io.BytesIO(content))
    except Exception as error:
        pillows_error = error
    found = None if image is None else _SAME_FORMAT.get(image.format or "", image.format)
    # What Pillow cannot open may be of any size.
    pixels = LARGE_PIXELS + 1 if image is None else image.width * image.height
    with room_for(pixels):
        if image is not None and found in EXTENSIONS and pixels <= LARGEST_PIXELS:
            try:
                seen = PillowsView(image)
            except Exception as error:
                pillows_error = error
        image = None  # Its pixels are as many as those that are decoded next.
        decoding, reason = decoded(content)
        if reason:
            return _refused(content, reason, found, pillows_error, name)
        return (
            _another_view(decoding, seen, pillows_error, name)
            or _depth_note(content, pixel_range, name)
            or _extension_note(name, found)
        )


def _refused(
    content: bytes, reason: str, found: str | None, pillows_error: Exception | None, name: str
) -> Problem:
    """Return why a file is not used; what Pillow says of it may be closer than the decoder."""
    if reason == NOT_AN_IMAGE and found is not None:
        detail = f"{found}; convert it to one of {', '.join(EXTENSIONS)}"
        return Problem(name, "unsupported format", detail)
    if reason == NOT_AN_IMAGE and not content.startswith(_SIGNATURES):
        return Problem(name, "not an image", f"begins with {content[:12]!r}")
    if reason in (NOT_AN_IMAGE, DAMAGED) and _is_unidentified(pillows_error):
        return Problem(name, "truncated", "begins as an image, but its header is incomplete")
    if reason == DAMAGED and pillows_error is not None:
        text = str(pillows_error)
        is_cut = isinstance(pillows_error, EOFError) or _SAYS_CUT.search(text)
        return Problem(name, "truncated" if is_cut else "unreadable", text)
    kind, detail = reason.split(": ", 1)
    return Problem(name, kind, detail)


def _another_view(
    pixels: np.ndarray, seen: PillowsView | None, pillows_error: Exception | None, name: str
) -> Problem | None:
    """Note where Pillow reads something else, or nothing, in a file that is used."""
    if seen is None:
        said = "cannot identify it" if _is_unidentified(pillows_error) else f"says {pillows_error}"
        detail = f"TensorFlow reads it, Pillow {said}; save it again, e.g. as PNG"
        return Problem(name, "may be damaged", detail, usable=True)
    difference = seen.is_shown_by(pixels)
    if difference:
        detail = f"{difference}; save it again, e.g. as PNG"
        return Problem(name, "decoded differently", detail, usable=True)
    return None


def _is_unidentified(error: Exception | None) -> bool:
    return isinstance(error, Image.UnidentifiedImageError)


def inspect_images(
    files: Sequence[tuple[str, str]],
    progress: bool = True,
    pixel_range: tuple[float, float] | None = None,
) -> tuple[list[bool], list[Problem], FileContents]:
    """Inspect files in parallel threads.

    Args:
        files: Path and name of each file.
        progress: Whether to show a progress bar if it takes longer than two seconds.
        pixel_range: Darkest and brightest value that the images have.

    Returns:
        Which files can be used; the problems and notes; and the contents of all files. All in the
        order of the files.
    """
    bar = tqdm(
        total=len(files),
        desc="Checking images",
        unit=" files",
        delay=_SECONDS_BEFORE_PROGRESS,
        leave=False,
        disable=not (progress and can_redraw(sys.stderr)),
    )
    results: list[tuple[Problem | None, FileDigest | None]] = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, bar:
        for start in range(0, len(files), _FILES_AT_A_TIME):
            batch = files[start : start + _FILES_AT_A_TIME]
            gone = [_is_gone(path) for path, _ in batch]
            there = [file for file, is_gone in zip(batch, gone, strict=True) if not is_gone]
            inspected = pool.map(lambda file: inspect_file(file[0], file[1], pixel_range), there)
            for (_, name), is_gone in zip(batch, gone, strict=True):
                results.append((_missing(name), None) if is_gone else next(inspected))
                bar.update()
    problems, digests = zip(*results, strict=True) if results else ((), ())
    usable = [problem is None or problem.usable for problem in problems]
    found = [problem for problem in problems if problem is not None]
    return usable, found, FileContents.of(digests)


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.float32)], autograph=False
)
def _decode_deep(content: tf.Tensor, white: Any) -> tf.Tensor:
    """Decode without cutting to 8 bits; transparency is laid on `white`."""
    return decode_image(content, (0.0, white))


def _depth_note(content: bytes, pixel_range: Any, name: str) -> Problem | None:
    """Note 16-bit values far below full range, and values outside the range that was given."""
    if not (pixel_range or is_sixteen_bit(content)):
        return None
    white = float(pixel_range[1]) if pixel_range else 65535.0
    values = _decode_deep(tf.constant(content), tf.constant(white)).numpy()
    low, high = int(values.min()), int(values.max())
    if pixel_range:
        if low >= pixel_range[0] and high <= pixel_range[1]:
            return None
        detail = f"values {low} … {high}, pixel_range is {pixel_range[0]:g} … {pixel_range[1]:g}"
        return Problem(name, "outside pixel_range", detail, usable=True)
    bits = max(8, high.bit_length())
    if not high > 0 or bits > _FEWER_BITS:
        return None
    detail = (
        f"16-bit values end at {high} and are read as 0 … {high >> 8}; for {bits} bits pass "
        f"pixel_range=(0, {2**bits - 1}), to the model too"
    )
    return Problem(name, "low values", detail, usable=True)


def _is_gone(path: str) -> bool:
    """Return whether there is surely no such file: what else is wrong with it, reading tells."""
    try:
        os.stat(path)
    except (FileNotFoundError, ValueError):
        return True
    except OSError:
        return False
    return False


def _missing(name: str) -> Problem:
    return Problem(name, "missing", "there is no such file")


def _extension_note(name: str, found: str | None) -> Problem | None:
    extension = pathlib.PurePath(name).suffix.lower()
    if found is None or extension in EXTENSIONS.get(found, extension):
        return None
    named = f"named {extension}" if extension else "without an extension"
    return Problem(name, "wrong extension", f"{named}, the content is {found}", usable=True)
