"""The learning-rate range test on a model that is left exactly as it was."""

import dataclasses
import itertools
import math
import numbers
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tl_keras.data import Epochs, as_examples
from tl_keras.data.domains import ONE_DOMAIN, DomainExamples
from tl_keras.frozen.prefix import frozen_prefix
from tl_keras.models.model_inputs import warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Supervised
from tl_keras.schedules import Stage, apply_freezing
from tl_keras.schedules.layer_factors import factors_of
from tl_keras.training.checks import check_model, resolve_settings
from tl_keras.training.data_checks import check_classes, checked_domains
from tl_keras.training.learning_rates import DIVERGED, LearningRates, latest_smoothed, read_curve
from tl_keras.training.plan import RunPlan
from tl_keras.training.regression_heads import standard_targets
from tl_keras.training.step.domain_pass import ForwardPass
from tl_keras.training.step.means import Totals
from tl_keras.training.step.optimizers import build_optimizer, computes_in_float16
from tl_keras.training.step.train_step import make_train_step
from tl_keras.training.step.validation_step import make_validation_step
from tl_keras.training.unchanged import unchanged
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, warn_user
from tl_keras.utils.terminal import can_redraw

MEMORY_LIMIT = 2 * 2**30
_SMOOTHED_SHARE = 1 / 20
# Examples that the loss is measured on: as many as cost little beside an update.
_MEASURED_LIVE, _MEASURED_STORED = 32, 256

Batch = tuple[Any, Any]


def find_learning_rate(
    model: TransferModel,
    data: Any,
    *,
    stage: Stage | None = None,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
    seed: int = 0,
    verbose: bool = True,
) -> LearningRates:
    """Try learning rates from small to large on a model, and suggest one for a stage.

    The rate rises exponentially, a little with each update. Before each update the loss is
    measured, always on the same examples of the data: the losses of the batches that train differ
    more by what is in them than by the learning rate. The test ends early where the loss exceeds
    four times its smallest value or is no number. The suggestion is the rate at which the
    smoothed loss falls fastest (see `read_curve`); far below it training is slow, and from the
    minimum of the curve on it is unstable.

    The test starts from the model's present weights: before looking for the rate of a second
    stage, train the first. Afterwards the model is exactly what it was, also if the test is
    interrupted: weights, random states and trainable flags. It runs on one device.

    Smith: *Cyclical Learning Rates for Training Neural Networks*, WACV 2017.

    Args:
        model: Made by `build_transfer_model`.
        data: Training examples with labels, as for `fine_tune`.
        stage: What trains, and with which optimizer; by default the head alone. Its warm-up,
            decay, moving average and accumulation are left out, and blocks with learning rates of
            their own keep their ratio to `learning_rate`, which is the one that is replaced.
        lowest: First learning rate, > 0.
        highest: Last learning rate.
        steps: Updates, ≥ 10; fewer where the loss diverges.
        batch_size: Examples per update. The suggestion holds for this batch size.
        seed: Seed of the order of examples.
        verbose: Whether to show a progress bar.

    Returns:
        The curve and the suggestion; `print` shows both in words, `.plot()` as a figure.

    Raises:
        InputError: If an argument cannot be used, or the loss is no number from the start.

    Example:
        >>> stage = tl.Stage(5, unfreeze="all")  # doctest: +SKIP
        >>> rates = tl.find_learning_rate(model, train, stage=stage)  # doctest: +SKIP
        >>> stage = dataclasses.replace(stage, learning_rate=rates.suggestion)  # doctest: +SKIP
        >>> run = tl.fine_tune(model, train, schedule=stage)  # doctest: +SKIP
    """
    check_model(model)
    stage = _checked_stage(stage)
    settings = resolve_settings(batch_size=batch_size, seed=seed, verbose=verbose)
    steps = whole(steps, "steps")
    if steps < 10:
        raise InputError(f"steps: expected at least 10, got {steps}.")
    are_numbers = isinstance(lowest, numbers.Real) and isinstance(highest, numbers.Real)
    if not are_numbers or not 0 < lowest < highest < math.inf:
        raise InputError(
            f"lowest: expected 0 < lowest < highest, got lowest={lowest!r} and highest={highest!r}."
        )
    extended = tf.distribute.get_strategy().extended
    own = all(extended.variable_created_in_scope(variable.value) for variable in model.weights)
    if tf.distribute.has_strategy() or not own:
        raise InputError(
            "strategy: find_learning_rate runs on one device, with a model that was built outside "
            "of strategy.scope(). fine_tune brings such a model under a strategy by itself."
        )
    one = as_examples(data, "data", wanted=model.modality.spec)
    examples = DomainExamples({ONE_DOMAIN: one})
    encoded = checked_domains(model, examples, model.targets, "data", (Supervised(),))
    check_classes(list(encoded.values()), model.targets, "data")
    warn_of_doubtful_values(model, {"data": examples})
    rates = np.geomspace(lowest, highest, steps)
    width = max(1.0, steps * _SMOOTHED_SHARE)
    with unchanged(model):
        strategy = tf.distribute.get_strategy()
        plan = RunPlan(
            model=model,
            objectives=(Supervised(),),
            train=examples,
            stages=(stage,),
            targets=standard_targets(model, examples, model.targets, strategy),
            settings=settings,
            strategy=strategy,
        )
        losses, diverged = _record(plan, rates, width)
    found = read_curve(
        rates[: len(losses)], losses, width=width, fallback=stage.head_rate, diverged=diverged
    )
    if not found.falls:
        warn_user(
            f"find_learning_rate: the loss does not fall between {rates[0]:.2g} and "
            f"{rates[len(losses) - 1]:.2g}, so the suggestion is the stage's own learning rate, "
            f"{stage.head_rate:.2g}. Check the labels, or try more steps and a wider range."
        )
    return found


def _checked_stage(stage: Stage | None) -> Stage:
    if stage is None:
        return Stage(1, learning_rate=1e-3, decay="constant")
    if not isinstance(stage, Stage):
        raise InputError(f"stage: expected one tl.Stage or None, got {stage!r}.")
    rate = stage.head_rate if stage.unfreeze == 0 else stage.block_rate
    return dataclasses.replace(
        stage, learning_rate=rate, decay="constant", warmup=0.0, ema_momentum=None, accumulation=1
    )


def _record(plan: RunPlan, rates: np.ndarray, width: float) -> tuple[list[float], bool]:
    """Train with one rate after the other; return the losses, and whether they diverged."""
    model, (stage,) = plan.model, plan.stages
    apply_freezing(model, stage)
    optimizer = build_optimizer(
        stage,
        model.trainable_variables,
        len(rates),
        scale_loss=computes_in_float16(model),
        factors=factors_of(model, stage),
    )
    forward, batches, measured = _batches(plan, len(rates))
    update, measure = _functions(plan, optimizer, forward, measured[0])
    losses: list[float] = []
    best = math.inf
    with tqdm(
        total=len(rates),
        desc="learning rates",
        disable=not (plan.settings.verbose and can_redraw(sys.stderr)),
        leave=False,
    ) as bar:
        for rate, (x, y) in zip(rates, batches, strict=False):
            loss = float(np.mean([measure(*batch) for batch in measured]))
            if not math.isfinite(loss):
                if not losses:
                    raise InputError(
                        f"model: the loss is {loss} before the first update. Look for extreme "
                        "values in the data, or for weights of the backbone that are no numbers."
                    )
                return losses, True
            losses.append(loss)
            latest = latest_smoothed(losses, width)
            best = min(best, latest)
            if latest > DIVERGED * best:
                return losses, True
            optimizer.learning_rate = rate
            update(x, y)
            bar.update()
    return losses, False


def _functions(
    plan: RunPlan, optimizer, forward: ForwardPass, batch: Batch
) -> tuple[Callable, Callable]:
    """Return the update and the mean loss as functions of a batch `(x, y)` like the one given."""
    spec = tf.nest.map_structure(tf.type_spec_from_value, batch)
    step = make_train_step(plan, 0, optimizer, spec, forward=forward)
    validation = make_validation_step(plan, spec, forward)

    def update(x, y) -> None:
        step.run(x, y, Totals.zero(), 0.0)

    def measure(x, y) -> float:
        return validation.run(x, y, Totals.zero(), 0.0).means(validation.names)["loss"]

    return update, measure


def _batches(plan: RunPlan, steps: int) -> tuple[ForwardPass, Iterator[Batch], list[Batch]]:
    """Return a forward function, at least `steps` full batches for it, and those to measure on.

    What frozen blocks give is kept in memory if it fits; then the batches of the first epoch come
    again and again.
    """
    model, examples, batch_size = plan.model, plan.train, plan.settings.batch_size
    full = min(batch_size, len(examples))
    per_epoch = len(examples) // full
    epochs = Epochs(plan.settings.seed, count=math.ceil(steps / per_epoch))
    dataset = examples.batches(plan.targets, batch_size, epochs=epochs)
    batches = _full_batches(dataset, full)
    prefix = frozen_prefix(model)
    forward, measured = model.forward if prefix is None else prefix.images_forward, _MEASURED_LIVE
    if prefix is not None and prefix.random_layer is None:
        lower = tf.function(prefix.lower, reduce_retracing=True, autograph=False)
        count = min(steps, per_epoch)
        if _fits(lower, dataset, count * full):
            batches = _kept(lower, batches.take(count))
            forward, measured = prefix.forward, _MEASURED_STORED
    batches = iter(batches)
    first = list(itertools.islice(batches, min(math.ceil(measured / full), per_epoch, steps)))
    return forward, itertools.chain(first, batches), first


def _kept(lower: Callable, batches: tf.data.Dataset) -> Iterator[Batch]:
    kept = []
    for x, y in batches:
        kept.append(({ONE_DOMAIN: lower(x[ONE_DOMAIN])}, y))
        yield kept[-1]
    yield from itertools.cycle(kept)


def _full_batches(dataset: Any, size: int) -> Any:
    return dataset.filter(lambda x, _: tf.shape(tf.nest.flatten(x)[0])[0] == size)


def _fits(lower: Any, dataset: Any, count: int) -> bool:
    """Return whether the values of `count` examples are known to fit into memory."""
    total, spec = 0, dataset.element_spec[0][ONE_DOMAIN]
    for values in tf.nest.flatten(lower.get_concrete_function(spec).structured_outputs):
        if None in values.shape[1:]:
            return False
        total += count * math.prod(values.shape[1:]) * values.dtype.size
    return total <= MEMORY_LIMIT
