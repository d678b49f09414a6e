"""Heads as data: how features are pooled, what stands between, and what is predicted."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import keras
import numpy as np

from tl_keras.tasks.base import Task
from tl_keras.tasks.kinds import KINDS, resolve_task, task_config, task_of_config
from tl_keras.utils.arguments import hidden_units as checked_units
from tl_keras.utils.arguments import number
from tl_keras.utils.errors import InputError, did_you_mean
from tl_keras.utils.misplaced import points_from

Pooling = Literal["average", "max", "gem", "attention"]


@dataclasses.dataclass(frozen=True)
class HeadSpec:
    """A head as data: how features are pooled, what stands between, and what is predicted.

    Attributes:
        task: What the outputs are: `"classification"`, `"multi_label"`, `"regression"` or a
            `tl.tasks.Task`.
        pooling: `"average"`, `"max"`, `"gem"` or `"attention"`.
        hidden_units: Widths of the dense ReLU layers before the classifier, each ≥ 1.
        dropout: Share of features dropped before each dense layer while training, from 0 to
            below 1.
        classifier: `"dense"`, or `"cosine"` for scaled cosine similarity to a vector per class.
        target_mean: For regression: the value that 0 stands for inside, one number or one per
            output; None takes mean and scale from the first training data.
        target_scale: For regression: size > 0 of one unit inside; given with `target_mean`.
        layer: A Keras layer or model of your own from the backbone's output to logits, in place of
            all that the other attributes but `task` describe.

    Raises:
        InputError: If a value is out of range.
    """

    task: Task = KINDS["classification"]
    pooling: Pooling = "average"
    hidden_units: tuple[int, ...] = ()
    dropout: float = 0.0
    classifier: Literal["dense", "cosine"] = "dense"
    target_mean: float | tuple[float, ...] | None = None
    target_scale: float | tuple[float, ...] | None = None
    layer: keras.layers.Layer | None = None

    if TYPE_CHECKING:  # What can be given is more than what is kept.

        def __init__(
            self,
            task: Task | str = ...,
            pooling: Pooling = ...,
            hidden_units: Sequence[int] = ...,
            dropout: float = ...,
            classifier: Literal["dense", "cosine"] = ...,
            target_mean: float | Sequence[float] | None = ...,
            target_scale: float | Sequence[float] | None = ...,
            layer: keras.layers.Layer | None = ...,
        ) -> None: ...

    def __post_init__(self):
        """Check the values."""
        object.__setattr__(self, "task", resolve_task(self.task))
        object.__setattr__(self, "hidden_units", checked_units(self.hidden_units))
        object.__setattr__(self, "dropout", number(self.dropout, "dropout", least=0, below=1))
        for field, known in (
            ("pooling", ("average", "max", "gem", "attention")),
            ("classifier", ("dense", "cosine")),
        ):
            value = getattr(self, field)
            if value not in known:
                raise InputError(f"{field}: expected one of {known}, got {value!r}.")
        self._check_target_scale()
        self._check_layer()

    def _check_layer(self):
        if self.layer is None:
            return
        if not isinstance(self.layer, keras.layers.Layer):
            raise InputError(f"layer: expected a Keras layer or model, got {self.layer!r}.")
        others = [
            field.name
            for field in dataclasses.fields(self)
            if field.name not in ("task", "layer") and getattr(self, field.name) != field.default
        ]
        if others:
            raise InputError(
                f"{others[0]}: a layer of your own takes the place of it. Leave it out, or layer."
            )

    def config(self) -> dict[str, Any]:
        """Return what files say."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "task": task_config(self.task)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "HeadSpec":
        """Return the spec of `config`'s answer; files from before say `kind`."""
        config = dict(config)
        return cls(task=task_of_config(config.pop("task", None) or config.pop("kind")), **config)

    def _check_target_scale(self):
        given = self.target_mean, self.target_scale
        missing = [one is None for one in given]
        if all(missing):
            return
        if any(missing) or not self.task.standardized:
            raise InputError(
                "target_mean: it and target_scale are given together, for a regression head, got "
                f"target_mean={given[0]!r} and target_scale={given[1]!r} for {self.task}."
            )
        mean, scale = (
            _one_or_several(value, name)
            for name, value in zip(("target_mean", "target_scale"), given, strict=True)
        )
        if np.min(scale) <= 0:
            raise InputError(f"target_scale: expected numbers > 0, got {given[1]!r}.")
        object.__setattr__(self, "target_mean", mean)
        object.__setattr__(self, "target_scale", scale)


HeadSpec.__init__ = points_from({"kind": "It is called task=…."})(HeadSpec.__init__)


def _one_or_several(value, name):
    """Return a finite number as a float, several as a tuple."""
    if np.ndim(value) == 0:
        return number(value, name)
    return tuple(number(one, name) for one in value)


def linear(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return pooling and one dense layer.

    Args:
        pooling: As in `HeadSpec`.
        dropout: Share of the features dropped while training, from 0 to below 1.
    """
    return HeadSpec(pooling=pooling, dropout=dropout)


def mlp(
    *, hidden_units: tuple[int, ...] = (256,), pooling: Pooling = "average", dropout: float = 0.2
) -> HeadSpec:
    """Return pooling, dense ReLU layers with dropout, and a dense classifier.

    Args:
        hidden_units: Widths of the ReLU layers.
        pooling: As in `HeadSpec`.
        dropout: Share of the values dropped before each dense layer while training.
    """
    return HeadSpec(pooling=pooling, hidden_units=hidden_units, dropout=dropout)


def attention(*, dropout: float = 0.0) -> HeadSpec:
    """Return attention pooling and one dense layer (see `AttentionPooling`).

    Args:
        dropout: Share of the features dropped while training, from 0 to below 1.
    """
    return HeadSpec(pooling="attention", dropout=dropout)


def gem(*, dropout: float = 0.0) -> HeadSpec:
    """Return generalised-mean pooling and one dense layer (see `GeneralizedMeanPooling`).

    Args:
        dropout: Share of the features dropped while training, from 0 to below 1.
    """
    return HeadSpec(pooling="gem", dropout=dropout)


def cosine(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return a cosine classifier (see `CosineClassifier`); suits few labels per class.

    Args:
        pooling: As in `HeadSpec`.
        dropout: Share of the features dropped while training, from 0 to below 1.
    """
    return HeadSpec(pooling=pooling, dropout=dropout, classifier="cosine")


def multi_label(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return one sigmoid output per label; any number of labels may hold for an example.

    Args:
        pooling: As in `HeadSpec`.
        dropout: Share of the features dropped while training, from 0 to below 1.
    """
    return HeadSpec(task="multi_label", pooling=pooling, dropout=dropout)


def regression(
    *,
    pooling: Pooling = "average",
    hidden_units: tuple[int, ...] = (),
    dropout: float = 0.0,
    target_mean: float | tuple[float, ...] | None = None,
    target_scale: float | tuple[float, ...] | None = None,
) -> HeadSpec:
    """Return real-valued outputs, trained by squared error.

    The head learns in standard units, whatever the unit of the targets: the mean and standard
    deviation of the first training data are stored in the model, and predictions are in the
    targets' own unit.

    Args:
        pooling: As in `HeadSpec`.
        hidden_units: Widths of dense ReLU layers before the outputs.
        dropout: Share of the values dropped before each dense layer while training.
        target_mean: What stands for the training data's mean, one number or one per output.
        target_scale: What stands for its standard deviation, > 0; given with `target_mean`.
    """
    return HeadSpec(
        task="regression",
        pooling=pooling,
        hidden_units=hidden_units,
        dropout=dropout,
        target_mean=target_mean,
        target_scale=target_scale,
    )


NAMED_HEADS = {
    "linear": linear,
    "mlp": mlp,
    "attention": attention,
    "gem": gem,
    "cosine": cosine,
    "multi_label": multi_label,
    "regression": regression,
}


def resolve_head(head: str | HeadSpec | keras.layers.Layer) -> HeadSpec:
    """Return the spec that a name or a layer stands for; a spec passes through.

    Raises:
        InputError: If the name is unknown, or `head` is no name, spec or layer.
    """
    if isinstance(head, HeadSpec):
        return head
    if isinstance(head, keras.layers.Layer):
        return HeadSpec(layer=head)
    if isinstance(head, str) and head in NAMED_HEADS:
        return NAMED_HEADS[head]()
    raise InputError(
        f"head: expected one of {sorted(NAMED_HEADS)}, a tl.heads.HeadSpec, a layer, or a dict "
        f"from task name to these, got {head!r}."
        + (did_you_mean(head, NAMED_HEADS) if isinstance(head, str) else "")
    )
