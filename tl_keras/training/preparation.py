"""What is checked and made ready once, between the arguments and the first stage."""

import contextlib
import dataclasses
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.augmentation.checks import check_augmentation
from tl_keras.data.domains import DomainExamples
from tl_keras.training.checks import check_combination
from tl_keras.training.data_checks import check_order, say_target_labels
from tl_keras.training.distributed.agreement import check_agreement, from_chief, several_workers
from tl_keras.training.distributed.strategies import is_chief, resolve_strategy, under_strategy
from tl_keras.training.plan import RunPlan
from tl_keras.training.regression_heads import standard_targets
from tl_keras.training.runs.found_run import Found, prepare
from tl_keras.training.runs.identity import config_digest, run_config, shared_content, shared_facts
from tl_keras.training.runs.run_directory import MODEL_FILE, RunDirectory


def prepared(plan: RunPlan) -> RunPlan:
    """Check what depends on several arguments, and return the plan on its strategy.

    Raises:
        InputError: If parts of the plan cannot work together, or workers do not agree on it.
    """
    strategy = resolve_strategy(plan.strategy, plan.model)
    model, targets = plan.model, plan.targets
    check_augmentation(plan.settings.augmentation, model.modality.shape, targets and model.targets)
    plan = plan.with_strategy(strategy, writes=is_chief(strategy))
    check_combination(plan)
    data = {"data": plan.train, "validation": plan.validation}
    check_order(strategy, data, plan.deterministic)
    say_target_labels(plan.train, targets, plan.settings)
    if several_workers(strategy):
        check_agreement(strategy, shared_facts(plan))
        check_agreement(strategy, shared_content(plan.train, plan.validation))
    if plan.deterministic:
        _make_deterministic(plan.settings.seed)
    return plan


@contextlib.contextmanager
def opened(plan: RunPlan) -> Iterator[tuple[RunDirectory | None, Found]]:
    """Give the locked directory of a run, if it has one, and how far the run there has come."""
    if plan.output is None:
        yield None, Found.NOTHING
        return
    directory = RunDirectory(plan.output, writes=is_chief(plan.strategy))
    with directory.locked():
        config = run_config(plan)
        directory.run = config_digest(config)
        found = Found.NOTHING
        if directory.writes:
            found, lines = prepare(directory, config, resume=plan.resume, overwrite=plan.overwrite)
            for line in lines:
                plan.settings.say(line)
        # What the chief finds counts, and others read only after it has prepared all.
        found = Found(int(from_chief(plan.strategy, [np.int64(found)])[0]))
        if found == Found.FINISHED:
            plan.settings.say(f"this run is finished: {directory.path / MODEL_FILE} is loaded")
        yield directory, found


def on_strategy(plan: RunPlan) -> RunPlan:
    """Return the plan of the model that trains, with regressions in standard units."""
    targets, learned = plan.targets, {name: plan.train[name] for name in plan.learned()}
    if learned:
        learned, say = DomainExamples(learned), plan.settings.say
        targets = standard_targets(plan.model, learned, targets, plan.strategy, say)
    model = under_strategy(plan.model, plan.strategy)
    return dataclasses.replace(plan, model=model, targets=targets)


def _make_deterministic(seed: int) -> None:
    """Make TensorFlow's operations deterministic; this holds for the rest of the process."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
