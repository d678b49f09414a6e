"""Frozen layers run once: their outputs for all examples, kept on disk from run to run."""

import functools
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import tl_keras
from tl_keras.data.augmentation.augment import augment, batch_seed
from tl_keras.data.base import Examples, Specs
from tl_keras.frozen.cache_room import make_room
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.feature_layout import Column, Layout
from tl_keras.frozen.feature_pass import DataChanges, FeaturePass, batch_size_of
from tl_keras.frozen.feature_store import META_FILE, STORE_VERSION, FeatureStore
from tl_keras.frozen.fixed import Fixed
from tl_keras.frozen.folding import check_precision
from tl_keras.frozen.function_digest import function_digest, trace
from tl_keras.frozen.stored_examples import StoredExamples
from tl_keras.utils.errors import counted

ATTEMPTS = 3


def stored_features(
    prefix: Fixed,
    examples: Examples,
    targets: Specs,
    cache: FeatureCache,
    *,
    augmentation: Sequence[keras.layers.Layer] = (),
    seed: int = 0,
    pixel_range: tuple[float, float] | None = None,
    verbose: bool = True,
) -> StoredExamples | None:
    """Return examples whose `x` is what the prefix gives, computed once and read from disk.

    What was computed before, in this process or another, by a run that ended or was killed, is
    not computed again. A store belongs to one computation (operations, constants and weights of
    the frozen layers), one set of images and labels, and one version of everything; where any of
    these differs, there is another store.

    Args:
        prefix: The frozen layers.
        examples: Images, with or without labels.
        targets: What the labels are encoded for, and the only spec that the result takes.
        cache: Where, how and how much.
        augmentation: Layers that change the images; `cache.views` views of each image are stored.
        seed: Seed of the views.
        pixel_range: Darkest and brightest value of the images, for augmentation; None for 0–255.
        verbose: Whether to print what happens and show a progress bar.

    Returns:
        The examples. None if there can be no store, after a line that says why: then the prefix
        has to run in every epoch.

    Raises:
        InputError: If the frozen layers give NaN or infinity, or the precision is not to be had.
    """
    say = tqdm.write if verbose else _say_nothing
    check_precision(cache.precision)
    job = _Job(prefix, examples, targets, cache, tuple(augmentation), seed, pixel_range, say)
    try:
        return job.run(verbose)
    except _NoStore as error:
        reason = str(error)
    except DataChanges:
        reason = "the data gives other images in each pass; it seems to augment them by itself"
        if examples.paths is not None:
            reason = "image files were changed while their features were computed"
    except OSError as error:
        reason = f"{str(cache.features_folder)!r} cannot be written ({error.strerror or error})"
    say(f"frozen layers run in every epoch: {reason}")
    return None


class _NoStore(Exception):
    """There can be no store; the message says why."""


class _Job:
    """One call of `stored_features`."""

    def __init__(self, prefix, examples, targets, cache, augmentation, seed, pixel_range, say):
        self._prefix: Fixed = prefix
        self._examples: Examples = examples
        self._targets: Specs = targets
        self._cache: FeatureCache = cache
        self._augmentation: tuple[keras.layers.Layer, ...] = augmentation
        self._seed: int = seed
        self._pixel_range: tuple[float, float] | None = pixel_range
        self._say: Callable[[str], None] = say
        labelled = targets is not None and examples.has_labels
        self._y_spec = examples.element_spec(targets)[1] if labelled else None
        self._images = examples.element_spec()
        self._input = self._images
        if augmentation:
            self._input = tf.TensorSpec(self._images.shape, tf.float32)

    def run(self, verbose: bool) -> StoredExamples:
        """Compute what is missing and return the examples."""
        self._check()
        lower = self._prefix.traced(self._input)
        folder = self._cache.features_folder / self._key(lower)
        store = self._store(folder, self._layout(lower))
        try:
            FeaturePass(
                store,
                self._examples.batches(self._targets, batch_size_of(store.layout)),
                self._values,
                content=None if self._examples.has_rows else self._examples.content(),
                is_unchanged=lambda: self._examples.fingerprint() == self._data,
                model_name=self._prefix.name,
                say=self._say,
                verbose=verbose,
            ).fill()
            return StoredExamples(store, self._targets, self._examples.class_names)
        except BaseException:
            store.leave()
            raise

    def _store(self, folder: pathlib.Path, layout: Layout) -> FeatureStore:
        """Return the store in a folder, in use."""
        there = FeatureStore(folder, layout).bytes_there()
        if there < layout.bytes:
            reason = make_room(self._cache, folder.name, layout, there, self._say)
            if reason:
                raise _NoStore(reason)
        for _ in range(ATTEMPTS):
            store = FeatureStore.create(folder, layout, self._info())
            try:
                store.use()
            except FileNotFoundError:  # Another process has just removed it, to make room.
                store.leave()
                continue
            if store.was_repaired:
                self._say(
                    f"features of {counted(layout.count, 'image')}: their description "
                    f"({folder.name[:12]}…/{META_FILE}) was damaged and is written again"
                )
            return store
        raise _NoStore(f"other processes remove {str(folder)!r}")

    def _check(self) -> None:
        if self._prefix.random_layer is not None:
            raise _NoStore(f"the layer {self._prefix.random_layer!r} among them is random")
        if self._augmentation and not self._cache.views:
            raise _NoStore(
                "augmentation changes the images before them. "
                "cache=FeatureCache(views=4) keeps four augmented views of each image instead"
            )

    @property
    def _views(self) -> int:
        return self._cache.views if self._augmentation else 1

    def _key(self, lower: Any) -> str:
        """Return what tells this store from all others."""
        computation = function_digest(lower)
        if computation is None:
            raise _NoStore("they hold a table, whose content cannot be compared")
        parts = {
            "versions": [STORE_VERSION, tl_keras.__version__, tf.__version__, keras.__version__],
            "computation": computation,
            "precision": self._cache.precision,
            "data": self._data,
            "targets": repr(self._targets),
            "views": self._views,
        }
        if self._augmentation:
            seed = tf.TensorSpec([2], tf.int64)
            augmented = trace(self._augment, self._images, self._y_spec, seed)
            parts["augmentation"] = [function_digest(augmented), self._seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _info(self) -> dict[str, Any]:
        return {
            "model": str(self._prefix),
            "precision": self._cache.precision,
            "examples": type(self._examples).__name__,
            "created": time.strftime("%Y-%m-%d %H:%M:%S"),
        }

    def _layout(self, lower: Any) -> Layout:
        outputs = list(lower.outputs)
        if not all(tensor.shape[1:].is_fully_defined() for tensor in outputs):
            x = next(iter(self._examples.batches(None, 1)))
            outputs = tf.nest.flatten(
                lower(tf.nest.map_structure(lambda a, b: tf.cast(a, b.dtype), x, self._input))
            )
        targets = tf.nest.flatten(self._y_spec) if self._y_spec is not None else []
        x, y = (
            tuple(
                Column(f"{letter}{index}", tuple(tensor.shape[1:]), tensor.dtype.name)
                for index, tensor in enumerate(tensors)
            )
            for letter, tensors in (("x", outputs), ("y", targets))
        )
        tasks = tuple(sorted(self._y_spec)) if isinstance(self._y_spec, dict) else None
        return Layout(len(self._examples), self._views, x, y, tasks)

    @functools.cached_property
    def _data(self) -> str:
        return self._examples.fingerprint()

    @functools.cached_property
    def _folded(self) -> Callable[[Any], Any]:
        return self._prefix.folded(self._input, self._cache.precision, self._say)

    @functools.cached_property
    def _compiled_augment(self) -> Callable[..., Any]:
        return tf.function(self._augment, autograph=False, reduce_retracing=True)

    def _augment(self, x: Any, y: Any, seed: Any) -> tuple[Any, Any]:
        return augment(self._augmentation, x, y, seed, self._pixel_range)

    def _values(self, x: tf.Tensor, y: Any, number: int) -> list[np.ndarray]:
        """Return one array per column for a batch, the views of an example after one another."""
        views = []
        for view in range(self._views):
            seen, targets = x, y
            if self._augmentation:
                seen, targets = self._compiled_augment(x, y, batch_seed(self._seed, view, number))
            columns = [*tf.nest.flatten(self._folded(seen))]
            columns += [] if targets is None else tf.nest.flatten(targets)
            views.append([column.numpy() for column in columns])
        if len(views) == 1:
            return views[0]
        stacked = [np.stack(column, axis=1) for column in zip(*views, strict=True)]
        return [column.reshape(-1, *column.shape[2:]) for column in stacked]


def _say_nothing(line: str) -> None:
    del line
