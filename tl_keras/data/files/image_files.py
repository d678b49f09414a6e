"""Labelled image files as examples."""

import abc
import functools
import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Specs
from tl_keras.data.files.contents import FileContents
from tl_keras.data.fingerprint import SIZE
from tl_keras.data.labels import encode_labels
from tl_keras.data.rows import WHOLE, Order, Part, row_batches
from tl_keras.inputs.decoding.images import decode_and_resize, pixel_type
from tl_keras.inputs.decoding.plain import decode_and_resize_plain
from tl_keras.inputs.decoding.problems import Problem, problem_table
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, counted, printable


class ImageFiles(Examples):
    """Image files, decoded and resized in parallel as they are needed.

    Args:
        paths: The files.
        image_size: Height and width to resize to.
        pixel_range: Darkest and brightest value of the images: batches are float32 with the values
            that the files have. None for uint8.
        problems: What was found about the files, used or not.
        contents: What was in the files when they were inspected; by default they are read when it
            is asked for.
    """

    paths: tuple[str, ...]

    def __init__(
        self,
        paths: Sequence[str],
        *,
        image_size: tuple[int, int],
        pixel_range: tuple[float, float] | None = None,
        problems: Sequence[Problem] = (),
        contents: FileContents | None = None,
    ):
        self.paths = tuple(paths)
        self.image_size = image_size
        self.pixel_range = pixel_range
        self.problems = list(problems)
        self.contents = FileContents.unread(len(self.paths)) if contents is None else contents

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def row_names(self, rows: np.ndarray) -> list[str]:
        """Return the paths of images."""
        return [printable(self.paths[row]) for row in rows]

    def problem_table(self) -> str:
        """Return everything found about the files as a table; empty if nothing."""
        return problem_table(self.problems)

    @property
    def spec(self) -> tf.TensorSpec:
        """Shape and type of one image."""
        return tf.TensorSpec([*self.image_size, 3], pixel_type(self.pixel_range))

    @property
    def has_labels(self) -> bool:
        """Whether there are labels: each file has one."""
        return True

    def fingerprint(self) -> str:
        """Return a hash of the files' contents and labels; see `Examples.fingerprint`."""
        read = [self.pixel_range] if self.pixel_range else []
        head = repr((self.class_names, tuple(self.image_size), *read))
        digest = hashlib.blake2b(head.encode("utf-8", "surrogatepass"), digest_size=SIZE)
        digest.update(self.contents.digests(self.paths).tobytes())
        for label in self.label_rows():
            digest.update(f"{label!r}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    @abc.abstractmethod
    def label_rows(self) -> list[Any]:
        """Return the label of each file as a value whose `repr` tells it from others."""

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Order = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the images in batches, uint8 or float32 `(b, h, w, 3)`; see `Examples.batches`."""
        batch_size = whole(batch_size, "batch_size")
        targets = self.encoded_targets(spec)
        with tf.device("/cpu:0"):
            paths = tf.constant([os.fsencode(path) for path in self.paths], tf.string)
            y = None
            if targets is not None:
                y = tf.nest.map_structure(tf.convert_to_tensor, targets)

        plain = self.pixel_range is None and self.contents.all_plain
        decode = _decoder(tuple(self.image_size), self.pixel_range, plain)

        @tf.autograph.experimental.do_not_convert
        def load(rows: tf.Tensor) -> Any:
            images = tf.map_fn(
                lambda path: decode(tf.io.read_file(path)),
                tf.gather(paths, rows),
                fn_output_signature=self.spec,
            )
            if y is None:
                return images
            return images, tf.nest.map_structure(lambda part: tf.gather(part, rows), y)

        rows = row_batches(len(self), batch_size, epochs, part)
        return rows.map(load, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


class ImageFolder(ImageFiles):
    """Image files with one class each.

    `image_folder` makes these.

    Args:
        paths: The files.
        labels: Class numbers, `(n,)`.
        class_names: Names of the classes.
        image_size: Height and width to resize to.
        pixel_range: Darkest and brightest value of the images: batches are float32 with the values
            that the files have. None for uint8.
        problems: What was found about files of the folder, used or not.
        contents: As for `ImageFiles`.
    """

    class_names: tuple[str, ...]

    def __init__(
        self,
        paths: Sequence[str],
        labels: np.ndarray,
        class_names: Sequence[str],
        *,
        image_size: tuple[int, int],
        pixel_range: tuple[float, float] | None = None,
        problems: Sequence[Problem] = (),
        contents: FileContents | None = None,
    ):
        super().__init__(
            paths,
            image_size=image_size,
            pixel_range=pixel_range,
            problems=problems,
            contents=contents,
        )
        self.labels = np.asarray(labels, np.int64)
        self.class_names = tuple(class_names)

    def __repr__(self) -> str:
        height, width = self.image_size
        return (
            f"ImageFolder({counted(len(self), 'image')}, "
            f"{counted(len(self.class_names), 'class', 'classes')}, {height}×{width}, "
            f"{counted(len(self.problems), 'problem')})"
        )

    def summary(self) -> str:
        """Return the number of images of each class, and the table of problems, as text."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        names = list(map(printable, self.class_names))
        width = max(map(len, names))
        lines = [repr(self)]
        lines += [f"  {name:<{width}}  {count}" for name, count in zip(names, counts, strict=True)]
        return "\n".join([*lines, self.problem_table()]).rstrip()

    def label_rows(self) -> list[int]:
        """Return the class numbers."""
        return self.labels.tolist()

    def encoded_targets(self, spec: Specs) -> np.ndarray | None:
        """Return all targets; classes are matched by name if the model has labels."""
        if spec is None:
            return None
        if isinstance(spec, dict) or not spec.task.has_classes:
            what = f"the tasks {sorted(spec)}" if isinstance(spec, dict) else spec.task
            raise InputError(
                f"data: an image folder gives one class per image, the model expects {what}. "
                "Read such labels from a table with tl.data.image_table."
            )
        return encode_labels(self.labels, spec, "data: classes", self.class_names)


@functools.cache
def _decoder(
    size: tuple[int, int], pixel_range: tuple[float, float] | None, plain: bool
) -> Callable:
    """Return `decode_and_resize` as a function that is traced once a process, not once a pass.

    Args:
        size: Height and width in pixels.
        pixel_range: As for `decode_and_resize`.
        plain: Whether all files are plain, and the short way is enough.
    """

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def decode(encoded):
        if plain:
            return decode_and_resize_plain(encoded, size)
        return decode_and_resize(encoded, size, pixel_range)

    return decode
