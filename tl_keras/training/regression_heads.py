"""What regression heads take from training data: the targets' units, and where they start."""

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples
from tl_keras.models.fusion_layers import FusedPredictions
from tl_keras.models.heads import CosineClassifier, Head
from tl_keras.models.regression_layers import CenteredDense, TargetScale, change_units
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.batch import pooled
from tl_keras.training.distributed.agreement import from_chief
from tl_keras.training.outlying_targets import warn_of_outliers
from tl_keras.training.ridge import ridge_regression
from tl_keras.training.step.domain_pass import ForwardPass, domain_pass, global_counts
from tl_keras.utils.by_task import ONLY_TASK, by_task, in_form_of
from tl_keras.utils.compat import counted_alone
from tl_keras.utils.errors import warn_user

MOST_EXAMPLES = 4096
"""Examples that a head's start is computed from: several times the channels of usual backbones."""
FAR = 10.0
"""Scales by which data may be off from the model's before this is said."""
ROUNDING = 2.0**-23
RESOLVED = 0.01
"""Largest share of the scale that rounding of predictions may be before it is said."""


def standard_targets(
    model: TransferModel,
    train: DomainExamples,
    targets: Specs,
    strategy: tf.distribute.Strategy,
    say: Callable[[str], None] = lambda line: None,
) -> Specs:
    """Set the units of new regression heads, and return what labels are encoded for.

    Mean and standard deviation of each output are those of all labels that are learned from. A head
    that has been trained, or whose units were given, keeps its units.

    Args:
        model: Its `target_scales` are set.
        train: Labelled domains that are learned from.
        targets: What the labels are encoded for, in the user's units.
        strategy: All of its workers take the chief's numbers.
        say: Prints a line.

    Returns:
        The same, with regressions in standard units.
    """
    if targets is None or not model.target_scales:
        return targets
    specs = by_task(targets)
    for task, layer in model.target_scales.items():
        mean, scale = from_chief(strategy, _moments(train, targets, task))
        last = _last_layer(model, task)
        warn_of_outliers(train, targets, task)
        _warn(layer, task, mean, scale, is_new=_takes_scale(layer, last))
        if _takes_scale(layer, last):
            _set_scale(layer, last, mean, np.where(scale > 0, scale, 1.0))
        stored = [one.numpy().astype(float) for one in (layer.mean, layer.scale)]
        which = f" of {task}" if task else ""
        say(f"regression{which}: {_in_words(*stored)}; the loss is a share of their variance")
        specs[task] = dataclasses.replace(specs[task], standard=tuple(map(tuple, stored)))
    return in_form_of(targets, specs)


def _moments(train: DomainExamples, targets: Specs, task: str) -> list[np.ndarray]:
    """Return mean and standard deviation `(size,)` of all labels, exact for large means too."""

    def rows(specs: Specs) -> np.ndarray:
        encoded = [one for one in train.encoded_targets(specs).values() if one is not None]
        values = np.concatenate([by_task(one)[task] for one in encoded])
        return values[~np.isnan(values).any(axis=1)].astype(np.float64)

    near = rows(targets)
    if not len(near):
        return [np.zeros(near.shape[1]), np.zeros(near.shape[1])]
    near = near.mean(axis=0)
    # Encoded as distances from about the mean, values keep the digits that float32 would round.
    specs = by_task(targets)
    spec = dataclasses.replace(specs[task], standard=(tuple(near), (1.0,) * len(near)))
    distances = rows(in_form_of(targets, specs | {task: spec}))
    scale = distances.std(axis=0)
    scale[scale <= 1e-12 * np.abs(near)] = 0.0
    return [near + distances.mean(axis=0), scale]


def _in_words(mean: np.ndarray, scale: np.ndarray) -> str:
    shown = ", ".join(f"{m:.6g} ± {s:.3g}" for m, s in zip(mean[:3], scale[:3], strict=True))
    return f"targets {shown}{', …' if len(mean) > 3 else ''}"


def _last_layer(model: TransferModel, task: str) -> Any:
    """Return the layer whose outputs are a regression's values in standard units, or None."""
    head = getattr(model.head, "heads", {}).get(task, model.head)
    if isinstance(head, Head) and head.stack:
        return head.stack[-1]
    backbone = model.backbone
    is_average = isinstance(backbone, FusedPredictions) and backbone.averages_values
    return backbone if is_average and isinstance(head, Head) else None


def _takes_scale(layer: TargetScale, last: Any) -> bool:
    known = CenteredDense, CosineClassifier, FusedPredictions
    if layer.given is not None or not isinstance(last, known):
        return False
    return not layer.is_known or (isinstance(last, CenteredDense) and last.is_new)


def _set_scale(layer: TargetScale, last: Any, mean: np.ndarray, scale: np.ndarray) -> None:
    """Set the units; a head that was trained without them predicts what it did."""
    if isinstance(last, FusedPredictions):
        last.assign_scale(mean, scale)
        for member in last.members:
            own = member.target_scales[ONLY_TASK], _last_layer(member, ONLY_TASK)
            if _takes_scale(*own):
                _set_scale(*own, mean, scale)
    if isinstance(last, CenteredDense) and not last.is_new:
        change_units(last, layer, mean, scale)
    layer.assign_scale(mean, scale)


def _warn(layer: TargetScale, task: str, mean, scale, *, is_new: bool) -> None:
    """Say where values are constant, too close for float32, or far from the model's units."""
    where = f"data[{task!r}]" if task else "data"
    if (scale == 0).any():
        index = int(np.argmin(scale))
        warn_user(
            f"{where}: all values of output {index} are {mean[index]:g}, which "
            "leaves nothing to learn."
        )
    unresolved = (scale > 0) & (ROUNDING * np.abs(mean) > RESOLVED * scale)
    if unresolved.any():
        index = int(np.argmax(unresolved))
        warn_user(
            f"{where}: values near {mean[index]:g} differ by {scale[index]:.3g}, and predictions "
            f"are float32, in steps of {ROUNDING * abs(mean[index]):.3g} there. Subtract a "
            "constant from the targets."
        )
    own_mean, own_scale = layer.mean.numpy(), layer.scale.numpy()
    off = (np.abs(mean - own_mean) > FAR * own_scale) | (scale > FAR * own_scale)
    off |= (scale > 0) & (scale * FAR < own_scale)
    if not is_new and off.any():
        index = int(np.argmax(off))
        warn_user(
            f"{where}: the targets are {mean[index]:.6g} ± {scale[index]:.3g}, and the head, which "
            f"keeps its units, was made for {own_mean[index]:.6g} ± {own_scale[index]:.3g}: it may "
            "learn badly. Build a new model, or bring the targets to the former unit."
        )


def start_regression_heads(
    model: TransferModel,
    strategy: tf.distribute.Strategy,
    forward: ForwardPass,
    batches: Callable[[], Any],
    steps: int,
    domains: Collection[str],
    say: Callable[[str], None],
) -> None:
    """Let new regression heads start from the ridge regression on the features they read.

    A linear head with squared error has its best weights in closed form; a gradient method with
    the steps of a usual schedule stays far from them where features are correlated. Features are
    centred and scaled in the head, so that training goes on from there without leaving it.

    Args:
        model: Its heads are set where nothing has trained them.
        strategy: Whose replicas share each batch.
        forward: Forward pass on the `x` of the batches.
        batches: Makes distributed batches `(x, y)`, dicts by domain, of one epoch.
        steps: How many batches to read.
        domains: Those whose labels are learned from.
        say: Prints a line.
    """
    layers = {task: _last_layer(model, task) for task in model.target_scales}
    new = [k for k, last in layers.items() if isinstance(last, CenteredDense) and last.is_new]
    if not new:
        return
    rows = _rows(model, strategy, forward, batches(), steps, new, domains)
    for task, (features, y) in rows.items():
        if len(y):
            found = from_chief(strategy, ridge_regression(features, y))
            layers[task].assign_affine(*found)
            say(f"the head starts from the ridge regression on the features of {len(y):,} examples")


def _rows(model, strategy, forward, batches, steps, tasks, domains) -> dict[str, tuple]:
    """Return task → features `(n, channels)` and targets `(n, units)` of labelled examples."""

    def replica(x, y):
        x, y = ({name: both[name] for name in domains} for both in (x, y))
        batch = domain_pass(model, forward, x, y, global_counts(x, y))
        domain = pooled(list(batch.values()))
        found = {}
        for task in tasks:
            if isinstance(model.head, Head):
                own = domain.features, domain.y, domain.labelled
            else:
                features = model.head.heads[task].embed(domain.feature_map)
                own = features, domain.y[task], domain.labelled[task]
            kept = domain.real & (own[2] > 0)
            found[task] = tuple(tf.boolean_mask(one, kept) for one in own[:2])
        return found

    step = counted_alone(
        tf.function(
            lambda x, y: strategy.run(replica, args=(x, y)), batches.element_spec, autograph=False
        )
    )
    parts = []
    for _, (x, y) in zip(range(steps), batches, strict=False):
        gathered = tf.nest.map_structure(lambda one: strategy.gather(one, axis=0), step(x, y))
        parts.append(tf.nest.map_structure(lambda one: one.numpy(), gathered))
    return {
        task: tuple(
            np.concatenate(columns) for columns in zip(*(p[task] for p in parts), strict=True)
        )
        for task in tasks
    }
