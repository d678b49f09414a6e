"""Points from arguments that users know from elsewhere to those that do the same here."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import ParamSpec, TypeVar

from tl_keras.utils.errors import InputError, did_you_mean

_BY_PLACE = inspect.Parameter.POSITIONAL_OR_KEYWORD
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def points_from(
    remedies: Mapping[str, str],
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator that refuses unknown and surplus arguments in words of users.

    The signature stays as it is, for `help` and editors.

    Args:
        remedies: Name of an argument that the function does not have → what to write instead.

    Raises:
        InputError: From the decorated function, if it is called with an argument that it does not
            have, or with more without a name than it takes.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        called = function.__qualname__.rpartition("<locals>.")[2].removesuffix(".__init__")
        parameters = inspect.signature(function).parameters
        known = tuple(parameters)
        is_method = known[:1] == ("self",)
        places = [name for name in known if parameters[name].kind == _BY_PLACE][is_method:]
        surplus = f" {remedies['y']}" if "y" in remedies else ""
        overlap = set(known) & set(remedies)
        if overlap:
            raise ValueError(f"{called} has the arguments {sorted(overlap)} itself")

        @functools.wraps(function)
        def call(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
            given = len(arguments) - is_method
            if given > len(places):
                raise InputError(
                    f"{called}: expected at most {len(places)} arguments without a name, "
                    f"{', '.join(places)}, got {given}.{surplus} Pass the others by name."
                )
            unknown = [name for name in named if name not in known]
            if unknown:
                name = unknown[0]
                remedy = remedies.get(name)
                advice = f" {remedy}" if remedy else did_you_mean(name, known)
                raise InputError(f"{name}: {called} has no such argument.{advice}")
            return function(*arguments, **named)

        return call

    return decorate


_SPLIT = (
    "Split the examples first, with split=… of a reader or "
    "sklearn.model_selection.train_test_split, and pass validation=…."
)
OF_TRAINING = {
    "optimizer": "Each stage has its own: schedule=tl.Stage(10, optimizer='sgd', "
    "learning_rate=0.01).",
    "learning_rate": "Each stage has its own: schedule=tl.Stage(10, learning_rate=1e-4).",
    "lr": "Each stage has its own: schedule=tl.Stage(10, learning_rate=1e-4).",
    "weight_decay": "Each stage has its own: schedule=tl.Stage(10, weight_decay=1e-4).",
    "clipnorm": "Each stage has its own: schedule=tl.Stage(10, global_clipnorm=1.0).",
    "global_clipnorm": "Each stage has its own: schedule=tl.Stage(10, global_clipnorm=1.0).",
    "ema_momentum": "Each stage has its own: schedule=tl.Stage(10, ema_momentum=0.99).",
    "epochs": "Stages have epochs: schedule=tl.Stage(10) for ten, or "
    "schedule=tl.schedules.two_stage(head_epochs=10, epochs=8).",
    "initial_epoch": "With output='folder' a run that was stopped resumes by itself.",
    "loss": "The head decides on the loss; objectives=[tl.objectives.Supervised(loss=…)] takes "
    "one of Keras in its place.",
    "x": "Pass examples and labels together: data=(x, y).",
    "y": "Pass examples and labels together: data=(x, y).",
    "train": "Training examples are data=….",
    "validation_data": "It is called validation=….",
    "val_data": "It is called validation=….",
    "validation_split": _SPLIT,
    "class_weights": "It is called class_weight=….",
    "sample_weight": "Weights are one per class: class_weight=…, 'balanced' or a dict.",
    "steps_per_epoch": "An epoch is one pass over the data; take less of it, such as "
    "dataset.take(n).",
    "shuffle": "Training examples are shuffled in every epoch by seed=…; validation is not.",
    "patience": "It is called early_stopping=….",
    "trainable": "Stages say what trains: schedule=tl.Stage(10, unfreeze='all').",
    "unfreeze": "Stages say what trains: schedule=tl.Stage(10, unfreeze='all').",
    "freeze": "Stages say what trains: schedule=tl.Stage(10, unfreeze=0) trains the head alone.",
    "distribution_strategy": "It is called strategy=….",
    "distribute": "It is called strategy=….",
    "augment": "It is called augmentation=….",
    "save_dir": "It is called output=….",
    "checkpoint_dir": "It is called output=….",
    "jit_compile": "Training steps are compiled by tf.function, and not by XLA.",
}
OF_STAGES = {
    "clip_norm": "It is called global_clipnorm=….",
    "clipnorm": "Gradients are clipped together: global_clipnorm=….",
    "ema": "It is called ema_momentum=….",
    "use_ema": "A stage with ema_momentum=0.99 keeps the average.",
    "lr": "It is called learning_rate=….",
    "warmup_steps": "It is a share of the stage's steps: warmup=0.1.",
    "callbacks": "They are of the run: tl.fine_tune(…, callbacks=[…]).",
    "batch_size": "It is of the run: tl.fine_tune(…, batch_size=…).",
}
_OF_LABELS = (
    "validation_data",
    "val_data",
    "class_weights",
    "sample_weight",
    "patience",
)
OF_PRETRAINING = {
    **{name: remedy for name, remedy in OF_TRAINING.items() if name not in _OF_LABELS},
    "data": "Examples are unlabelled=….",
    "x": "Examples are unlabelled=….",
    "y": "Labels are not read; examples are unlabelled=….",
    "train": "Examples are unlabelled=….",
    "validation": "Pre-training reads no labels and measures nothing besides its losses.",
    "validation_split": "Pre-training reads no labels and measures nothing besides its losses.",
    "loss": "It is what objectives=[…] say.",
    "metrics": "Pre-training reads no labels and measures nothing besides its losses.",
}
OF_BUILDING = {
    "classes": "It is called num_classes=….",
    "n_classes": "It is called num_classes=….",
    "labels": "It is called class_names=….",
    "include_top": "The backbone comes without its top; num_classes=… adds a head, and "
    "num_classes=None gives features.",
    "pooling": "The head pools: head=tl.heads.HeadSpec(pooling='max').",
    "dropout": "The head has it: head=tl.heads.HeadSpec(dropout=0.2).",
    "activation": "It is called classifier_activation=….",
    "image_size": "It is called input_shape=(height, width, channels).",
    "img_size": "It is called input_shape=(height, width, channels).",
    "input_tensor": "Pass input_shape=(height, width, channels).",
    "base_model": "It is called backbone=….",
    "model": "It is called backbone=….",
    "trainable": "Stages of tl.fine_tune say what trains: tl.Stage(10, unfreeze='all').",
    "freeze": "Stages of tl.fine_tune say what trains: tl.Stage(10, unfreeze=0).",
    "optimizer": "Stages of tl.fine_tune have it: tl.Stage(10, optimizer='sgd').",
    "loss": "The head decides on the loss; tl.fine_tune(…, objectives=…) adds others.",
    "task": "The head says it: head='multi_label', 'regression' or 'linear', or "
    "tl.heads.HeadSpec(task=…).",
    "regression": "The head says it: head='regression'.",
    "multi_label": "The head says it: head='multi_label'.",
    "preprocess_input": "Preprocessing is inside the model; preprocessing=… replaces it.",
}
OF_EVALUATION = {
    "x": "Pass examples and labels together: data=(x, y).",
    "y": "Pass examples and labels together: data=(x, y).",
    "pos_label": "It is called positive=….",
    "steps": "All of the data is measured; take less of it, such as dataset.take(n).",
    "return_dict": "The report has .to_dict().",
}
