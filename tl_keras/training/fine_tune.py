"""`fine_tune`: checks everything, then trains."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from tl_keras.data.domains import as_domains
from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.models.model_inputs import warn_of_doubtful_values
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives import Objective, Supervised
from tl_keras.schedules import Stage, auto, resolve_schedule
from tl_keras.tasks.own_metrics import Metric, checked_metrics
from tl_keras.training import trainer
from tl_keras.training.checks import (
    check_model,
    check_names_of_metrics,
    resolve_objectives,
    resolve_settings,
    warn_of_compile,
)
from tl_keras.training.class_weights import resolve_class_weight
from tl_keras.training.data_checks import (
    check_classes,
    check_names_agree,
    checked_domains,
    data_targets,
    used_labels,
    warn_where_nothing_is_unlabelled,
)
from tl_keras.training.distributed.lost_workers import readable_worker_errors
from tl_keras.training.early_stopping import with_early_stopping
from tl_keras.training.plan import EVERY_FIVE_MINUTES, RunPlan
from tl_keras.training.runs.checkpoints import Checkpoints
from tl_keras.training.runs.run import Run
from tl_keras.utils.cluster import join_cluster
from tl_keras.utils.errors import InputError
from tl_keras.utils.misplaced import OF_TRAINING, points_from

ON_DISK = FeatureCache()


@points_from(OF_TRAINING)
def fine_tune(
    model: TransferModel,
    data: Any,
    validation: Any = None,
    *,
    schedule: str | Stage | Sequence[Stage] = "auto",
    objectives: Sequence[Objective] | None = None,
    strategy: str | tf.distribute.Strategy = "auto",
    batch_size: int = 32,
    class_weight: str | Mapping | None = None,
    label_smoothing: float = 0.0,
    augmentation: keras.layers.Layer | Sequence[keras.layers.Layer] | None = None,
    early_stopping: int | Literal["auto"] | None = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
    metrics: Sequence[Metric] | Mapping[str, Sequence[Metric]] | None = None,
    output: str | os.PathLike | None = None,
    resume: bool = True,
    overwrite: bool = False,
    checkpoints: Checkpoints = EVERY_FIVE_MINUTES,
    cache: FeatureCache | None = ON_DISK,
    deterministic: bool = False,
    seed: int = 0,
    verbose: bool = True,
    target_labels: bool = True,
) -> Run:
    """Train a transfer model on new data.

    The head trains first on a frozen backbone, then as many blocks as the schedule says, with
    BatchNorm statistics frozen. Everything is checked before the first step. Frozen layers at the
    bottom, with nothing random before them, run once per image and not once per epoch.

    Args:
        model: Made by `build_transfer_model`. It is trained in place.
        data: Training examples: `(x, y)` arrays, a `tf.data.Dataset` of `(x, y)`, or an image
            folder. Labels are integers, names out of `model.class_names`, or one-hot rows. Several
            domains are a dict of these, such as `{"source": …, "target": …}`: those whose names
            begin with `target` are adapted to, all others are sources; one without labels is its
            `x` alone. Every domain brings `batch_size` examples to a batch, or all it has if these
            are fewer, and an epoch is one pass over the largest. Labels of a target domain may be
            missing in part (−1, NaN).
        validation: The same, measured after each epoch. With it, the model ends with the weights
            of the epoch with the smallest validation loss. This is the loss on labels, with the
            weight that it has at the end of a stage, or 1 where that is 0.
        schedule: `"auto"` (by number of examples, see `tl.schedules.auto`), the name of a
            schedule, a `Stage`, or several.
        objectives: What is minimised, summed with their weights; by default `Supervised`.
        strategy: `"auto"` (the one in scope, or that the model was built under), `"one_device"`,
            `"mirrored"`, `"multi_worker"` (the workers that `TF_CONFIG` names) or a
            `tf.distribute.Strategy`.
        batch_size: Examples per update, of each domain, over all devices.
        class_weight: None, `"balanced"`, or a dict with a weight for every class. For some of
            several tasks: task name → one of these.
        label_smoothing: Share of each label spread over all classes, from 0 to below 1.
        augmentation: Keras layer or layers applied to training images only, in order, such as
            `keras.layers.RandomFlip("horizontal")` or `keras.layers.MixUp()`. They see 0–255,
            whatever `pixel_range` the model has. What mixes labels leaves domains alone in which
            some are missing.
        early_stopping: Epochs without a better validation loss after which a stage ends; None to
            run all. `"auto"`: with validation data, and epochs that `schedule="auto"` chose, a
            fifth of the stage's epochs, at least 3, and as many as warm up; else None, as where
            the callbacks have an `EarlyStopping`.
        callbacks: Keras callbacks, called as in `fit`. Those that set the learning rate, such as
            ReduceLROnPlateau, need stages with `decay="constant", warmup=0`. `mode="auto"` knows
            losses, accuracies and the names of Keras' metrics. `stop_training` ends the stage, not
            the run. Those with patience (attributes `patience` and `wait`) begin again with every
            stage; the best value of a ModelCheckpoint is that of the whole run. An
            `EarlyStopping(restore_best_weights=True)` decides by its monitor which epoch's weights
            the model ends with. In a run resumed from `output`, their counts go on. Of several
            workers each has its own; those that write files belong to the chief only.
        metrics: More metrics, measured on the validation data after each epoch: `val_NAME` in the
            history, the logs and as what callbacks monitor. Those of `tl.evaluate`, in its form.
        output: Directory for config, history, curves, checkpoints, best weights and the model.
        resume: Whether a run of the same settings that was stopped in `output` goes on where it
            was; a finished one is then returned as it is, and the objectives get back their own
            layers. Changed settings or data are refused.
        overwrite: Whether a run that is in `output` is replaced, once everything has been checked.
            Without it, the same call resumes.
        checkpoints: When the state is saved in `output`, besides at the ends of stages, at SIGTERM
            and at Ctrl-C.
        cache: Where outputs of frozen layers are kept; None computes them again in every epoch.
        deterministic: Make two runs on one device equal to the last bit, at some cost in speed.
            For the rest of the process it switches TensorFlow's operations, and it seeds the random
            numbers of Python, NumPy and TensorFlow.
        seed: Seed of the order of examples and of augmentation.
        verbose: Whether to show progress: a bar in a terminal or a notebook, else a line an epoch.
            After the first epoch of a stage follows an estimate of the time that it takes.
        target_labels: Whether labels of target domains in `data` are learned from, where there are
            any; a line says how many. With False they are for metrics only, and training is the
            same as without them. Pass False where they are there to watch the accuracy, or pass
            them in `validation`.

    Returns:
        The run: history, audit of what trained, `.plot()`, and the directory's path. The losses in
        it are those of the objectives, without the penalties of regularised layers.

    Raises:
        InputError: If an argument cannot be used or the loss is not finite. Nothing is trained
            or written before all arguments have been checked.
        WorkerLost: If one of several workers died.
    """
    check_model(model)
    warn_of_compile(model)
    settings = resolve_settings(
        batch_size=batch_size,
        early_stopping=early_stopping,
        augmentation=augmentation,
        callbacks=callbacks,
        seed=seed,
        checkpoints=checkpoints,
        cache=cache,
        verbose=verbose,
        target_labels=target_labels,
    )
    if isinstance(settings.early_stopping, int) and validation is None:
        raise InputError("early_stopping: it needs validation data. Pass validation=….")
    own = checked_metrics(metrics, model.targets)
    if own and validation is None:
        raise InputError("metrics: they are measured on validation data. Pass validation=….")
    join_cluster()
    with readable_worker_errors():
        wanted = model.modality.spec
        train, held_out = as_domains(data, "data", wanted), None
        if validation is not None:
            held_out = as_domains(validation, "validation", wanted)
        check_names_agree(model, {"data": train, "validation": held_out})
        asked = resolve_objectives(objectives, label_smoothing, class_weight)
        check_names_of_metrics(own, model, asked)
        targets = data_targets(model, data, asked)
        encoded = checked_domains(model, train, targets, "data", asked)
        used = used_labels(encoded, settings)
        check_classes(list(used.values()), targets, "data")
        warn_where_nothing_is_unlabelled(asked, train, used)
        if held_out is not None:
            checked_domains(model, held_out, targets, "validation", asked)
        warn_of_doubtful_values(model, {"data": train, "validation": held_out})
        stages = resolve_schedule(schedule, num_examples=len(train), batch_size=settings.batch_size)
        settings = with_early_stopping(
            settings,
            stages,
            auto(len(train), batch_size=settings.batch_size),
            asked,
            has_validation=held_out is not None,
        )
        if objectives is None:
            weights = resolve_class_weight(class_weight, model.targets, list(used.values()))
            asked = (Supervised(label_smoothing, weights),)
        plan = RunPlan(
            model=model,
            objectives=asked,
            train=train,
            validation=held_out,
            stages=stages,
            targets=targets,
            settings=settings,
            metrics=own,
            strategy=strategy,
            output=output,
            resume=resume,
            overwrite=overwrite,
            deterministic=deterministic,
        )
        return trainer.train(plan)
