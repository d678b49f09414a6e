"""Heads as data: how features are pooled, what stands between, and what is predicted."""

import dataclasses
from typing import Literal

from tl_keras.errors import InputError, did_you_mean
from tl_keras.targets import Kind

Pooling = Literal["average", "max", "gem", "attention"]


@dataclasses.dataclass(frozen=True)
class HeadSpec:
    """A head as data: how features are pooled, what stands between, and what is predicted.

    Attributes:
        kind: What the outputs are: `"classification"`, `"multi_label"` or `"regression"`.
        pooling: `"average"`, `"max"`, `"gem"` or `"attention"`.
        hidden_units: Widths of the dense ReLU layers before the classifier.
        dropout: Share of features dropped before each dense layer while training, 0 … 1.
        classifier: `"dense"`, or `"cosine"` for scaled cosine similarity to a vector per class.
    """

    kind: Kind = "classification"
    pooling: Pooling = "average"
    hidden_units: tuple[int, ...] = ()
    dropout: float = 0.0
    classifier: Literal["dense", "cosine"] = "dense"

    def __post_init__(self):
        """Check the values."""
        object.__setattr__(self, "hidden_units", tuple(int(u) for u in self.hidden_units))
        for field, known in (
            ("kind", ("classification", "multi_label", "regression")),
            ("pooling", ("average", "max", "gem", "attention")),
            ("classifier", ("dense", "cosine")),
        ):
            value = getattr(self, field)
            if value not in known:
                raise InputError(f"{field}: expected one of {known}, got {value!r}.")
        if not 0.0 <= self.dropout < 1.0:
            raise InputError(f"dropout: expected a share from 0 to below 1, got {self.dropout}.")
        if any(units < 1 for units in self.hidden_units):
            raise InputError(f"hidden_units: expected widths ≥ 1, got {self.hidden_units}.")


def linear(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return pooling and one dense layer."""
    return HeadSpec(pooling=pooling, dropout=dropout)


def mlp(
    *, hidden_units: tuple[int, ...] = (256,), pooling: Pooling = "average", dropout: float = 0.2
) -> HeadSpec:
    """Return pooling, dense ReLU layers with dropout, and a dense classifier."""
    return HeadSpec(pooling=pooling, hidden_units=hidden_units, dropout=dropout)


def attention(*, dropout: float = 0.0) -> HeadSpec:
    """Return attention pooling and one dense layer (see `AttentionPooling`)."""
    return HeadSpec(pooling="attention", dropout=dropout)


def gem(*, dropout: float = 0.0) -> HeadSpec:
    """Return generalised-mean pooling and one dense layer (see `GeneralizedMeanPooling`)."""
    return HeadSpec(pooling="gem", dropout=dropout)


def cosine(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return a cosine classifier (see `CosineClassifier`); suits few labels per class."""
    return HeadSpec(pooling=pooling, dropout=dropout, classifier="cosine")


def multi_label(*, pooling: Pooling = "average", dropout: float = 0.0) -> HeadSpec:
    """Return one sigmoid output per label; any number of labels may hold for an example."""
    return HeadSpec(kind="multi_label", pooling=pooling, dropout=dropout)


def regression(
    *, pooling: Pooling = "average", hidden_units: tuple[int, ...] = (), dropout: float = 0.0
) -> HeadSpec:
    """Return real-valued outputs, trained by squared error."""
    return HeadSpec(kind="regression", pooling=pooling, hidden_units=hidden_units, dropout=dropout)


NAMED_HEADS = {
    "linear": linear,
    "mlp": mlp,
    "attention": attention,
    "gem": gem,
    "cosine": cosine,
    "multi_label": multi_label,
    "regression": regression,
}


def resolve_head(head: str | HeadSpec) -> HeadSpec:
    """Return the spec that a name stands for; a spec passes through.

    Raises:
        InputError: If the name is unknown, or `head` is neither a name nor a spec.
    """
    if isinstance(head, HeadSpec):
        return head
    if isinstance(head, str) and head in NAMED_HEADS:
        return NAMED_HEADS[head]()
    raise InputError(
        f"head: expected one of {sorted(NAMED_HEADS)}, a tl.heads.HeadSpec, or a dict from task "
        f"name to these, got {head!r}."
        + (did_you_mean(head, NAMED_HEADS) if isinstance(head, str) else "")
    )
