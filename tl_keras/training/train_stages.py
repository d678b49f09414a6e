"""A run whose arguments have been checked: started, resumed, or returned as it is."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tl_keras.data.augmentation.checks import check_augmentation
from tl_keras.data.base import Specs
from tl_keras.data.domains import DomainExamples
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective
from tl_keras.schedules import Stage, apply_freezing
from tl_keras.training.checks import check_combination
from tl_keras.training.data_checks import check_order, say_target_labels, warn_of_changing_order
from tl_keras.training.distributed.agreement import check_agreement, from_chief, several_workers
from tl_keras.training.distributed.strategies import (
    give_back,
    is_chief,
    resolve_strategy,
    under_strategy,
)
from tl_keras.training.regression_heads import standard_targets
from tl_keras.training.runs.found_run import Found, prepare
from tl_keras.training.runs.identity import config_digest, run_config, shared_content, shared_facts
from tl_keras.training.runs.run import Run, finished_run, write_finished_run
from tl_keras.training.runs.run_directory import HISTORY_FILE, MODEL_FILE, RunDirectory
from tl_keras.training.settings import Settings
from tl_keras.training.trainer import Trainer, begin_objectives
from tl_keras.utils.errors import InputError


def train_stages(
    model: TransferModel,
    objectives: tuple[Objective, ...],
    train: DomainExamples,
    held_out: DomainExamples | None,
    settings: Settings,
    stages: tuple[Stage, ...],
    *,
    targets: Specs,
    strategy: str | tf.distribute.Strategy,
    output: str | os.PathLike | None,
    resume: bool,
    overwrite: bool,
    deterministic: bool,
) -> Run:
    """Check what depends on several arguments, then train, go on, or return what is finished.

    Args:
        model: Trained in place.
        objectives: What is minimised.
        train: Training examples.
        held_out: Examples measured after each epoch, or None.
        settings: The rest.
        stages: The schedule.
        targets: What labels are encoded for; None to leave labels out.
        strategy: As for `fine_tune`, and so are those that follow.
        output: Directory of the run.
        resume: Whether to continue a run that is there.
        overwrite: Whether to replace it.
        deterministic: Whether two runs are equal to the last bit.
    """
    strategy = resolve_strategy(strategy, model)
    check_augmentation(settings.augmentation, model.modality.shape, targets and model.targets)
    check_combination(model, stages, settings, strategy, [len(domain) for domain in train.values()])
    check_order(strategy, {"data": train, "validation": held_out}, deterministic)
    if not is_chief(strategy):
        settings = dataclasses.replace(settings, verbose=False)
    say_target_labels(train, targets, settings)
    check_agreement(strategy, shared_facts(model, stages, objectives, settings, train, held_out))
    if several_workers(strategy):
        check_agreement(strategy, shared_content(train, held_out))
    if deterministic:
        _make_deterministic(settings.seed)
    if output is None:
        return _train(model, strategy, objectives, train, held_out, settings, stages, None, targets)
    directory = RunDirectory(output, writes=is_chief(strategy))
    with directory.locked():
        config = run_config(
            model,
            stages,
            objectives,
            settings,
            train,
            held_out,
            replicas=strategy.num_replicas_in_sync,
            deterministic=deterministic,
        )
        directory.run = config_digest(config)
        found = _found(directory, config, strategy, settings, resume, overwrite)
        if found == Found.FINISHED:
            begin_objectives(model, objectives, train, targets, settings)
            restore_objectives(objectives, directory.read_objectives())
            return finished_run(directory, model, stages)
        if found == Found.BEGUN:
            warn_of_changing_order(train)
        return _train(
            model, strategy, objectives, train, held_out, settings, stages, directory, targets
        )


def _found(directory, config, strategy, settings: Settings, resume: bool, overwrite: bool) -> Found:
    """Return how far the run in a directory has come, and prepare the directory."""
    found = Found.NOTHING
    if directory.writes:
        found, lines = prepare(directory, config, resume=resume, overwrite=overwrite)
        for line in lines:
            settings.say(line)
    # What the chief finds counts, and others read only after it has prepared all.
    found = Found(int(from_chief(strategy, [np.int64(found)])[0]))
    if found == Found.FINISHED:
        settings.say(f"this run is finished: {directory.path / MODEL_FILE} is loaded")
    return found


def _train(
    model, strategy, objectives, train, held_out, settings, stages, directory, targets
) -> Run:
    learned = {n: train[n] for n in filter(settings.learns_from, train.labelled(targets))}
    if learned:
        learned = DomainExamples(learned)
        targets = standard_targets(model, learned, targets, strategy, settings.say)
    trained = under_strategy(model, strategy)
    trainer = Trainer(
        trained, strategy, objectives, train, held_out, settings, directory, targets=targets
    )
    try:
        trainer.run(stages)
    except BaseException:
        if directory is not None:
            # What ends the run is what the user has to know, not that the history was not written.
            with contextlib.suppress(InputError):
                directory.write_json(HISTORY_FILE, trainer.state.progress.history)
        raise
    finally:
        give_back(trained, model)
    progress = trainer.state.progress
    apply_freezing(model, stages[progress.best_stage()])
    for objective in objectives:
        objective.finish(model, train)
    apply_freezing(model, stages[-1])
    run = Run(
        model=model,
        history=progress.history,
        stages=stages,
        stage_starts=tuple(progress.stage_starts),
        audits=tuple(trainer.audits),
        best_epoch=progress.best_epoch,
        path=None if directory is None else directory.path,
    )
    if directory is not None:
        directory.write_json(HISTORY_FILE, progress.history)
        directory.write_objectives(objective_arrays(objectives))
        write_finished_run(directory, run)
    return run


def objective_arrays(objectives: Sequence[Objective]) -> dict[str, np.ndarray]:
    """Return the objectives' own variables, by objective and position."""
    return {
        f"{objective.name}/{index:03}": variable.numpy()
        for objective in objectives
        for index, variable in enumerate(objective.variables())
    }


def restore_objectives(objectives: Sequence[Objective], arrays: Mapping[str, np.ndarray]) -> None:
    """Set the objectives' own variables, once they have begun, to what `objective_arrays` gave."""
    wanted = objective_arrays(objectives)
    shapes, found = ({k: a.shape for k, a in one.items()} for one in (wanted, arrays))
    if shapes != found:
        strange = sorted(k for k in shapes | found if shapes.get(k) != found.get(k))[0]
        raise InputError(
            f"output: what the objectives trained there does not fit those asked for ({strange}: "
            f"{found.get(strange)} there, {shapes.get(strange)} here). Choose another directory."
        )
    for objective in objectives:
        for index, variable in enumerate(objective.variables()):
            variable.assign(arrays[f"{objective.name}/{index:03}"])


def _make_deterministic(seed: int) -> None:
    """Make TensorFlow's operations deterministic; this holds for the rest of the process."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
