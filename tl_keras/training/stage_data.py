"""What the epochs of one stage read, and the forward pass that goes with it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data import Epochs, Examples, Part
from tl_keras.data.augmentation.augment import LABEL_MIXING, augment, batch_seed
from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples, domain_seed
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.frozen.frozen_features import stored_features
from tl_keras.frozen.prefix import Prefix, frozen_prefix
from tl_keras.frozen.stores_before import StoresBefore
from tl_keras.frozen.taught_examples import TaughtExamples
from tl_keras.frozen.teacher_outputs import stored_outputs, teachers_of
from tl_keras.objectives import Objective
from tl_keras.schedules import Stage
from tl_keras.training.distributed.strategies import distribute
from tl_keras.training.plan import RunPlan
from tl_keras.training.step.domain_pass import ForwardPass

Layers = Mapping[str, tuple[keras.layers.Layer, ...]]


@dataclasses.dataclass(frozen=True)
class StageData:
    """Batches of one stage.

    Attributes:
        train: Function of the epochs wanted to a distributed dataset of `(x, y)`, dicts by domain.
        forward: Forward pass on the `x` of these batches.
        validation: Distributed batches to measure on, or None.
        validation_forward: Forward pass on the `x` of those.
        close: Lets go of the feature stores, so that they can be cleared.
        teachers: Name → function of images, for teachers that have to run in the step.
    """

    train: Callable[[Epochs], Any]
    forward: ForwardPass
    validation: Any
    validation_forward: ForwardPass
    close: Callable[[], None]
    teachers: Mapping[str, Callable[[Any], Any]]


def stage_data(plan: RunPlan, stage: Stage, before: StoresBefore | None = None) -> StageData:
    """Prepare a stage whose freezing has been applied.

    Where blocks at the bottom are frozen and nothing random comes before them, their outputs are
    computed once and read from the store in every epoch; the forward pass is the rest.

    Objectives that read images, have views, or run the frozen layers with other weights forbid the
    store. What their teachers say comes from a store of its own where nothing random changes the
    images; else they run in the step, and need the images.

    Args:
        plan: Of the run; the model's trainable flags say what is frozen.
        stage: The stage.
        before: Says what a resumed run had stores of.
    """
    model, train, validation = plan.model, plan.train, plan.validation
    objectives, targets, settings = plan.objectives, plan.targets, plan.settings
    before = StoresBefore([{}]) if before is None else before
    prefix = frozen_prefix(model, [o.reads_feature_map for o in objectives if o.reads_feature_map])
    teachers = teachers_of(objectives)
    mixed = settings.augmentation if stage.augment else ()
    layers = fitting_layers(mixed, train, targets, settings.learns_from)
    live = model.forward if prefix is None else prefix.images_forward

    with contextlib.ExitStack() as stores:

        def stored(
            what: str, domains: DomainExamples, augmentation: Layers
        ) -> DomainExamples | None:
            """Return all domains' features, or None if those of one cannot be stored."""
            if not may_store or prefix is None or settings.cache is None or stage.epochs == 1:
                return None
            make = functools.partial(stored_in, prefix, domains=domains, augmentation=augmentation)
            return before.make(what, settings.cache, make, stores)

        def stored_in(
            prefix: Prefix, cache: FeatureCache, domains: DomainExamples, augmentation: Layers
        ) -> DomainExamples | None:
            found = {}
            with contextlib.ExitStack() as own:
                for name, examples in domains.items():
                    features = stored_features(
                        prefix,
                        examples,
                        targets,
                        cache,
                        augmentation=augmentation.get(name, ()),
                        seed=settings.seed,
                        pixel_range=model.pixel_range,
                        verbose=settings.verbose,
                    )
                    if features is None:
                        return None
                    own.callback(features.close)
                    found[name] = features
                stores.push(own.pop_all())
            return DomainExamples(found)

        said = None
        steady = stage.epochs > 1 and not any(layers.values())
        if teachers and steady and settings.cache is not None:
            said = before.make(
                "teachers'",
                settings.cache,
                lambda cache: stored_outputs(teachers, train, cache, stores, settings.verbose),
                stores,
            )
        live_teachers = {}
        if teachers and said is None:
            live_teachers = {
                k: one.in_step(model.modality.batch_spec) for k, one in teachers.items()
            }
        needs_images = any(one.reads_images or one.views() for one in objectives)
        may_store = not (needs_images or live_teachers or _reruns_differ(prefix, model, objectives))
        features = stored("training", train, layers)
        held_out = None if validation is None else stored("validation", validation, {})
        close = stores.pop_all().close
    changes = layers if features is None and any(layers.values()) else None
    chosen = train if features is None else features
    if said is not None:
        chosen = DomainExamples({k: TaughtExamples(one, said[k]) for k, one in chosen.items()})

    def train_batches(epochs: Epochs) -> Any:
        def make(part: Part) -> tf.data.Dataset:
            batches = chosen.batches(targets, settings.batch_size, epochs=epochs, part=part)
            if not changes:
                return batches
            return _augmented(batches, changes, epochs, part, plan.steps, model.pixel_range)

        return distribute(plan.strategy, make)

    measured = validation if held_out is None else held_out
    validation_batches = None
    if measured is not None:
        validation_batches = distribute(
            plan.strategy,
            lambda part: measured.batches(targets, settings.batch_size, part=part),
        )
    on_stored = live if prefix is None else prefix.forward
    return StageData(
        train_batches,
        live if features is None else on_stored,
        validation_batches,
        live if held_out is None else on_stored,
        close,
        live_teachers,
    )


def fitting_layers(
    layers: Sequence[keras.layers.Layer],
    train: DomainExamples,
    targets: Specs,
    learns_from: Callable[[str], bool] = lambda domain: True,
) -> Layers:
    """Return domain name → the layers that change its images.

    Layers that mix labels, such as MixUp, leave a domain alone in which a label is missing: what is
    mixed with nothing known is not known.
    """
    layers = tuple(layers)
    without_mixing = tuple(layer for layer in layers if not isinstance(layer, LABEL_MIXING))
    if without_mixing == layers:
        return dict.fromkeys(train, layers)
    return {
        name: layers if _all_labelled(one, targets) and learns_from(name) else without_mixing
        for name, one in train.items()
    }


def _reruns_differ(prefix: Prefix | None, model, objectives: Sequence[Objective]) -> bool:
    """Return whether an objective runs frozen layers with weights that are not those they have."""
    if prefix is None:
        return False
    frozen = {id(weight) for layer in prefix.layers for weight in layer.weights}
    return any(
        id(variable) in frozen and not np.array_equal(variable.numpy(), value.numpy())
        for objective in objectives
        for variable, value in objective.rerun_weights(model)
    )


def _all_labelled(examples: Examples, targets: Specs) -> bool:
    encoded = None if targets is None else examples.encoded_targets(targets)
    return encoded is not None and not any(np.isnan(one).any() for one in tf.nest.flatten(encoded))


def _augmented(
    batches, layers: Layers, epochs: Epochs, part: Part, steps: int, pixel_range: Any
) -> tf.data.Dataset:
    """Change every batch by random numbers that depend on seed, epoch, batch and part only."""
    first = epochs.first * steps + epochs.skip
    numbers = tf.data.Dataset.range(first, first + epochs.count * steps)

    @tf.autograph.experimental.do_not_convert
    def change(number: Any, batch: Any) -> Any:
        x, y = batch
        place = (number // steps, number % steps, part.index)
        changed = {}
        for name in x:
            own = epochs.seed if len(x) == 1 else domain_seed(epochs.seed, name)
            seed = batch_seed(own, *place)
            changed[name] = augment(layers[name], x[name], y.get(name), seed, pixel_range)
        images = {name: pair[0] for name, pair in changed.items()}
        return images, {name: changed[name][1] for name in y}

    pairs = tf.data.Dataset.zip((numbers, batches))
    return pairs.map(change, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
