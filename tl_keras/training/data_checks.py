"""What is checked about data before anything is trained: labels, shapes, order."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data import Examples
from tl_keras.data.base import Specs, Targets
from tl_keras.data.domains import DomainExamples
from tl_keras.data.output_order import check_same_names
from tl_keras.models.model_inputs import check_examples
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective, is_target
from tl_keras.tasks.targets import TargetSpec
from tl_keras.training.plan import Settings
from tl_keras.utils.by_task import by_task, partly_labelled
from tl_keras.utils.errors import InputError, counted, warn_user


def data_targets(model: TransferModel, data: Any, objectives: Sequence[Objective]) -> Specs:
    """Return what labels are encoded for: some may be missing where the objectives allow it.

    Target domains may be labelled in part, too: an adaptation uses the labels that there are.
    """
    partly = any(one.partly_labelled for one in objectives) or isinstance(data, Mapping)
    if not partly or model.targets is None:
        return model.targets
    return partly_labelled(model.targets)


def checked_domains(
    model: TransferModel,
    domains: DomainExamples,
    targets: Specs,
    argument: str,
    objectives: Sequence[Objective],
) -> dict[str, Any]:
    """Return the encoded targets of every labelled domain, having checked names and classes.

    Raises:
        InputError: If nothing is labelled although it has to be, or a source lacks some labels.
    """
    partly = any(one.partly_labelled for one in objectives)
    need = any(one.validates for one in objectives) or argument == "validation"
    encoded = {}
    for name, examples in domains.items():
        where = argument if domains.only is not None else f"{argument}[{name!r}]"
        check_examples(model, examples, where)
        found = None if targets is None else checked_targets(model, targets, examples, where)
        if found is None:
            continue
        encoded[name] = found
        missing = sum(int(np.isnan(one).any(axis=1).sum()) for one in tf.nest.flatten(found))
        if missing and not partly and not is_target(name):
            raise InputError(
                f"{where}: {counted(missing, 'label is', 'labels are')} missing (−1, NaN or "
                f"None), and no objective "
                "learns from examples without. Remove them, or add one that does, such as "
                "tl.objectives.PseudoLabel()."
            )
    if need and not encoded:
        what = model.modality.plural
        raise InputError(f"{argument}: expected examples with labels, got {what} only.")
    return encoded


def check_names_agree(model: TransferModel, data: Mapping[str, DomainExamples | None]) -> None:
    """Raise `InputError` where data name different classes, and the model has no labels."""
    if isinstance(model.targets, TargetSpec) and model.targets.size > 1:
        named = {
            argument if domains.only is not None else f"{argument}[{name!r}]": one.class_names
            for argument, domains in data.items()
            if domains is not None
            for name, one in domains.items()
        }
        check_same_names(named, model.targets.class_names)


def checked_targets(model: TransferModel, targets: Specs, examples: Examples, argument: str):
    """Return the encoded targets of all examples, having checked names and classes.

    Returns:
        float32 `(n, size)`, a dict of these by task, or None for examples without labels.
    """
    names = examples.class_names
    if (
        isinstance(targets, TargetSpec)
        and isinstance(names, tuple)
        and targets.class_names
        and targets.size > 1
    ):
        strangers = sorted(set(names) - set(targets.class_names))
        if strangers:
            raise InputError(
                f"{argument}: its classes {strangers} are not among the model's labels "
                f"{list(targets.class_names)[:20]}. Build the model with "
                "class_names=data.class_names."
            )
    return examples.encoded_targets(targets)


def check_classes(encoded: Sequence[Targets], targets: Specs, argument: str) -> None:
    """Raise `InputError` if the labels of all domains together are of one class, of some task."""
    for task, spec in by_task(targets).items():
        own = [by_task(one)[task] for one in encoded]
        only = _only_class(own, spec) if own and spec is not None else None
        if only is not None:
            where = f" of the task {task!r}" if task else ""
            raise InputError(
                f"{argument}: all examples are of one class{where}, {only!r}; training needs at "
                "least two."
            )


def _only_class(encoded: Sequence[np.ndarray], spec: TargetSpec) -> str | None:
    """Return the class that all labelled examples have, or None if there are others, or none."""
    if spec.task.one_class:
        present = np.flatnonzero(sum(np.nansum(one, axis=0) for one in encoded))
        return spec.output_names[present[0]] if len(present) == 1 else None
    if not spec.task.has_classes or spec.size > 1:
        return None
    found = np.unique(np.concatenate([one[~np.isnan(one)] for one in encoded]))
    if found.tolist() not in ([0.0], [1.0]):
        return None
    return spec.output_names[0] if found[0] else f"not {spec.output_names[0]}"


REMEDY = (
    "Leave .shuffle out (fine_tune shuffles), or pass reshuffle_each_iteration=False or "
    "shuffle=False where it is made."
)


def check_order(
    strategy: tf.distribute.Strategy, data: Mapping[str, Examples | None], deterministic: bool
) -> None:
    """Refuse data that has another order in each pass where that order counts.

    Each of several replicas makes its own pass and takes its share: with other orders, shares
    overlap. A deterministic run that was killed could not go on where it was.
    """
    if strategy.num_replicas_in_sync > 1:
        why = "the replicas would read other shares than their own"
    elif deterministic:
        why = "deterministic=True could not be kept"
    else:
        return
    for argument, examples in data.items():
        if has_changing_order(examples):
            raise InputError(
                f"{argument}: the dataset comes in another order in each pass, and {why}. {REMEDY}"
            )


def warn_of_changing_order(train: Examples) -> None:
    """Warn where a run that goes on cannot know which examples its last epoch has seen."""
    if has_changing_order(train):
        warn_user(
            "data: the dataset comes in another order in each pass, so that the epoch which was "
            f"interrupted sees some examples twice and others not at all. {REMEDY}"
        )


def has_changing_order(examples: Examples | None) -> bool:
    """Return whether two passes over a dataset differ; makes the passes."""
    return examples is not None and not examples.has_fixed_order


def used_labels(encoded: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the labels that objectives learn from.

    Args:
        encoded: Domain name → its encoded targets.
        settings: Say whether those of target domains are among them.

    Raises:
        InputError: If none is left.
    """
    used = {name: y for name, y in encoded.items() if settings.learns_from(name)}
    if encoded and not used:
        raise InputError(
            f"target_labels: False leaves no labels to learn from; only {list(encoded)} have some. "
            "Name a domain that is no target, or leave the argument out."
        )
    return used


def warn_where_nothing_is_unlabelled(
    objectives: Sequence[Objective], domains: DomainExamples, used: Mapping[str, Any]
) -> None:
    """Warn of objectives for examples without a label where every example has one."""
    adapted = [name for name in domains if is_target(name)] or list(domains)
    if any(
        name not in used or any(np.isnan(one).any() for one in tf.nest.flatten(used[name]))
        for name in adapted
    ):
        return
    for objective in objectives:
        if objective.unlabelled_only:
            count = sum(len(domains[name]) for name in adapted)
            warn_user(
                f"objectives: {type(objective).__name__} learns from examples without a label, and "
                f"all {count} of {' and '.join(map(repr, adapted))} have one: its loss is 0. Pass "
                "target_labels=False to use the labels of targets for metrics only, or mark some "
                "as missing (−1)."
            )


def say_target_labels(train: DomainExamples, targets: Specs, settings: Settings) -> None:
    """Say how many labels of each target domain the training uses."""
    if targets is None or train.only is not None or not settings.verbose:
        return
    for name in filter(is_target, train.labelled(targets)):
        rows = tf.nest.flatten(train[name].encoded_targets(targets))
        known = int(np.any([~np.isnan(one).any(axis=1) for one in rows], axis=0).sum())
        if settings.target_labels:
            settings.say(
                f"{name}: {known} of {len(train[name])} examples have labels, and training uses "
                f"these {known}; target_labels=False uses them for metrics only"
            )
        else:
            settings.say(f"{name}: training uses 0 of {known} labels; they are for metrics only")
