"""Model soups: the averaged weights of several fine-tuned copies of one model."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tl_keras.backbones.weights import finalize_normalization
from tl_keras.evaluation.evaluate import evaluate, targets_of
from tl_keras.models.regression_layers import CenteredDense, change_units
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.errors import InputError


@dataclasses.dataclass(frozen=True)
class Soup:
    """A soup and what is in it.

    Attributes:
        model: The averaged model.
        members: Positions of the models in it, in the order in which they were tried.
        score: What it reaches on the validation data.
        scores: What each model reaches alone.
    """

    model: TransferModel
    members: tuple[int, ...]
    score: float
    scores: tuple[float, ...]


def mean_weights(
    weights: Sequence[Sequence[np.ndarray]], shares: Sequence[float] | None = None
) -> list[np.ndarray]:
    """Return `Σ w θ / Σ w` of several lists of arrays; whole numbers are those of the first."""
    factors = np.ones(len(weights)) if shares is None else np.asarray(shares, np.float64)
    means = []
    for arrays in zip(*weights, strict=True):
        first = np.asarray(arrays[0])
        if not np.issubdtype(first.dtype, np.floating) and first.dtype.name != "bfloat16":
            means.append(first)
            continue
        total = sum(np.asarray(a, np.float64) * w for a, w in zip(arrays, factors, strict=True))
        means.append((total / factors.sum()).astype(first.dtype))
    return means


def uniform_soup(
    models: Sequence[TransferModel], *, shares: Sequence[float] | None = None
) -> TransferModel:
    """Average the weights of models that were fine-tuned from the same start.

    One model of one model's cost that is often better than the best of them, where runs differ in
    seed, learning rate, augmentation or length. Models with different starts cannot be averaged:
    nothing of what they learned is in the same place. BatchNorm statistics are averaged too; frozen
    ones are the same anyway.

    Args:
        models: Two or more with the same layers. They stay as they are.
        shares: Weight ≥ 0 of each model; by default all the same. Two models and
            `shares=(1 − a, a)` interpolate between them, as between a pretrained model and a
            fine-tuned one.

    Returns:
        A new model.

    Raises:
        InputError: If there are fewer than two models or they differ in their layers, or a share
            is out of range.

    Wortsman et al.: *Model soups: averaging weights of multiple fine-tuned models improves accuracy
    without increasing inference time*, ICML 2022. Interpolation: Wortsman et al.: *Robust
    fine-tuning of zero-shot models*, CVPR 2022.
    """
    _check_models(models)
    if shares is not None:
        shares = [float(share) for share in shares]
        if len(shares) != len(models) or min(shares) < 0 or not 0 < sum(shares) < float("inf"):
            raise InputError(
                f"shares: expected {len(models)} numbers ≥ 0, one per model and not all 0, got "
                f"{shares!r}."
            )
    soup = copy_of(models[0])
    _set_weights(soup, mean_weights([_in_units_of(models[0], one) for one in models], shares))
    return soup


def greedy_soup(
    models: Sequence[TransferModel],
    validation: Any,
    *,
    metric: str | None = None,
    batch_size: int = 32,
    verbose: bool = True,
) -> Soup:
    """Put models into a soup one by one, the best first, and keep those that don't harm it.

    Never worse than the best model on the validation data; the safe choice where some of the runs
    went wrong.

    Args:
        models: Two or more, fine-tuned from the same start; see `uniform_soup`.
        validation: Labelled examples that decide.
        metric: Name of a metric of `tl.evaluate`'s report; by default the accuracy, for several
            labels micro-averaged F1, for values R². Of errors, such as `"log_loss"`, less is
            better.
        batch_size: Examples at a time.
        verbose: Print what goes in.

    Returns:
        The soup.

    Raises:
        InputError: If models do not fit each other, have several tasks, or there is no such metric.

    Wortsman et al.: *Model soups*, ICML 2022.
    """
    _check_models(models)
    spec = targets_of(models[0], "models[0]")
    if not isinstance(spec, TargetSpec):
        raise InputError("models: expected models with one task, got several.")
    metric = spec.task.best_metric if metric is None else metric
    sign = -1.0 if metric in spec.task.lower_is_better else 1.0

    def score_of(model: TransferModel) -> Any:  # A number: there is one task.
        return evaluate(model, validation, batch_size=batch_size, verbose=False)[metric]

    scores = tuple(score_of(model) for model in models)
    order = np.argsort(-sign * np.array(scores), kind="stable")
    soup, members, best = copy_of(models[0]), [int(order[0])], scores[order[0]]
    for index in map(int, order[1:]):
        tried = [*members, index]
        _set_weights(soup, mean_weights([_in_units_of(models[0], models[i]) for i in tried]))
        score = score_of(soup)
        if sign * score >= sign * best:
            members, best = tried, score
    _set_weights(soup, mean_weights([_in_units_of(models[0], models[i]) for i in members]))
    if verbose:
        print(
            f"soup of {len(members)} of {len(models)} models: {metric} {best:.4f}, "
            f"the best alone {scores[order[0]]:.4f}"
        )
    return Soup(soup, tuple(members), float(best), scores)


def copy_of(model: TransferModel) -> TransferModel:
    """Return a model with the same layers, weights and trainable flags."""
    copy = type(model).from_config(model.get_config())
    _set_weights(copy, model.get_weights())
    return copy


def _in_units_of(first: TransferModel, model: TransferModel) -> list[np.ndarray]:
    """Return a model's weights, those of its regression heads for the units of the first one."""
    if model is first or not model.target_scales:
        return model.get_weights()
    model = copy_of(model)
    for task, units in model.target_scales.items():
        last, like = (_last_layer(one.head, task) for one in (model, first))
        if isinstance(last, CenteredDense):
            own = first.target_scales[task]
            numbers = (own.mean, own.scale, like.center, like.spread)
            change_units(last, units, *(one.numpy() for one in numbers))
    return model.get_weights()


def _last_layer(head: Any, task: str) -> Any:
    head = getattr(head, "heads", {}).get(task, head)
    return head.stack[-1] if getattr(head, "stack", None) else None


def _set_weights(model: TransferModel, values: list[np.ndarray]) -> None:
    model.set_weights(values)
    finalize_normalization(model)


def _check_models(models: Any) -> None:
    if isinstance(models, TransferModel) or not isinstance(models, Sequence) or len(models) < 2:
        raise InputError("models: expected a list of two models or more.")
    for index, model in enumerate(models):
        if not isinstance(model, TransferModel):
            raise InputError(
                f"models[{index}]: expected one made by build_transfer_model, got "
                f"{type(model).__name__}."
            )
        own, first = ([tuple(w.shape) for w in one.weights] for one in (model, models[0]))
        if own != first or model.targets != models[0].targets:
            raise InputError(
                f"models[{index}]: its weights or outputs do not match those of the first model. "
                "A soup needs copies of one model that were fine-tuned in different ways."
            )
