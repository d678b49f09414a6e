"""Looking at every image file before training starts."""

import concurrent.futures
import io
import os
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps
from tqdm import tqdm

from tl_keras.data.decoding import decode_image
from tl_keras.data.problems import EXTENSIONS, Problem, problem_table

__all__ = ["Problem", "inspect_image", "inspect_images", "problem_table"]

_FORMATS = ", ".join(EXTENSIONS)
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"RIFF")
_SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP"}
_LARGEST_MEAN_DIFFERENCE = 8.0
LARGEST_PIXELS = 2**29 // 3
"""TensorFlow decodes up to 2²⁹ values; Pillow refuses more than this, too, unless told to."""

_SECONDS_BEFORE_PROGRESS = 2.0


def inspect_image(path: str | os.PathLike, name: str) -> Problem | None:
    """Read one file completely, with Pillow and with the decoder that training uses.

    Args:
        path: The file.
        name: What the report calls it.

    Returns:
        What is wrong with the file, or None if nothing is.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except (FileNotFoundError, ValueError):  # A name cannot hold a null character.
        return Problem(name, "missing", "there is no such file")
    except OSError as error:
        return Problem(name, "unreadable", error.strerror or str(error))
    if not content:
        return Problem(name, "empty", "the file has 0 bytes")
    try:
        image = Image.open(io.BytesIO(content))
    except Image.UnidentifiedImageError:
        if content.startswith(_SIGNATURES):
            return Problem(name, "truncated", "begins as an image, but its header is incomplete")
        return Problem(name, "not an image", f"begins with {content[:12]!r}")
    except Image.DecompressionBombError as error:
        return _too_large(name, int(re.search(r"\d+", str(error)).group()))
    except Exception as error:
        return Problem(name, _kind_of(error), str(error))
    if image.width * image.height > LARGEST_PIXELS:
        return _too_large(name, image.width * image.height)
    found = _SAME_FORMAT.get(image.format, image.format)
    if found not in EXTENSIONS:
        return Problem(name, "unsupported format", f"{found}; convert it to one of {_FORMATS}")
    if found == "WEBP" and getattr(image, "is_animated", False):
        return Problem(name, "animated WebP", "save its first frame")
    try:
        expected = _pixels(image)
    except Exception as error:
        return Problem(name, _kind_of(error), str(error))
    return _compare(content, expected, image.mode, name) or _extension_note(name, found)


def inspect_images(
    files: Sequence[tuple[str, str]], progress: bool = True
) -> tuple[list[bool], list[Problem]]:
    """Inspect files in parallel threads.

    Args:
        files: Path and name of each file.
        progress: Whether to show a progress bar if it takes longer than two seconds.

    Returns:
        Which files can be used, and the problems and notes, both in the order of the files.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(
            tqdm(
                pool.map(lambda file: inspect_image(*file), files),
                total=len(files),
                desc="Checking images",
                unit=" files",
                delay=_SECONDS_BEFORE_PROGRESS,
                leave=False,
                disable=not progress,
            )
        )
    usable = [result is None or result.usable for result in results]
    return usable, [result for result in results if result is not None]


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def _decode(content: tf.Tensor) -> tf.Tensor:
    return decode_image(content)


def _pixels(image: Image.Image) -> np.ndarray:
    """Read the pixels with Pillow: upright RGB, transparency on white."""
    image.load()
    if 0 in image.size:
        raise ValueError(f"the image is {image.width} × {image.height} pixels")
    # A GIF's and a BMP's transparency is ignored, as in `decode_image`.
    is_transparent = image.format in ("PNG", "WEBP") and (
        image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info)
    )
    image = ImageOps.exif_transpose(image)
    if is_transparent:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _compare(content: bytes, expected: np.ndarray, mode: str, name: str) -> Problem | None:
    """Decode as training does and hold the result against Pillow's."""
    try:
        pixels = _decode(tf.constant(content)).numpy()
    except tf.errors.OpError as error:
        return Problem(name, "cannot be decoded", _reason(error))
    if pixels.shape != expected.shape:
        detail = f"TensorFlow reads {pixels.shape[:2]} pixels, Pillow {expected.shape[:2]}"
        return Problem(name, "decoded differently", f"{detail}; save it anew, e.g. as PNG")
    if mode.startswith("I"):  # Pillow cuts 16-bit values off at 255 when it converts them.
        return None
    step = [max(1, length // 64) for length in pixels.shape[:2]]
    sample = (slice(None, None, step[0]), slice(None, None, step[1]))
    difference = np.abs(pixels[sample].astype(np.int16) - expected[sample]).mean()
    if difference > _LARGEST_MEAN_DIFFERENCE:
        detail = f"TensorFlow and Pillow differ by {difference:.0f} of 255 on average"
        return Problem(name, "decoded differently", f"{detail}; save it anew, e.g. as PNG")
    return None


def _extension_note(name: str, found: str) -> Problem | None:
    extension = pathlib.PurePath(name).suffix.lower()
    if extension in EXTENSIONS[found]:
        return None
    named = f"named {extension}" if extension else "without an extension"
    return Problem(name, "wrong extension", f"{named}, the content is {found}", usable=True)


def _too_large(name: str, pixels: int) -> Problem:
    most = min(LARGEST_PIXELS, 2 * (Image.MAX_IMAGE_PIXELS or pixels))
    detail = (
        f"{pixels:,} pixels, at most {most:,} "
        "are read; save it smaller, for example after Pillow's image.thumbnail((4096, 4096)), or "
        "cut it into tiles"
    )
    return Problem(name, "too large", detail)


def _kind_of(error: Exception) -> str:
    text = str(error).lower()
    if isinstance(error, EOFError) or "truncated" in text or "decoder object" in text:
        return "truncated"
    return "unreadable"


def _reason(error: tf.errors.OpError) -> str:
    """Take the sentence out of a TensorFlow error that says what was wrong with the file."""
    message = error.message or ""
    if "Summarized data: b'" in message:
        return message.split("Summarized data: b'", 1)[1].split("'", 1)[0]
    lines = [line for line in message.splitlines() if line and not line.startswith(" ")]
    cause = next((line for line in lines if not line.startswith(("Graph exec", "Detected"))), "")
    return cause.split("}} ")[-1].split(" [[")[0] or type(error).__name__
