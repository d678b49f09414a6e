"""Few-shot evaluation: how well features tell classes apart from a handful of examples."""

import dataclasses
from typing import Any, Literal

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

from tl_keras.data.examples import as_examples
from tl_keras.evaluation.tables import text_table
from tl_keras.models.passes import outputs_of
from tl_keras.models.prototypes import class_means, nearest_mean_classifier, unit_rows
from tl_keras.models.transfer_model import TransferModel
from tl_keras.tasks.encoding import label_name
from tl_keras.tasks.targets import TargetSpec
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError, counted

CLASSIFIERS = ("prototype", "cosine", "logistic")


@dataclasses.dataclass(frozen=True, eq=False)
class FewShotReport:
    """The accuracy over many small tasks. Printing it shows a table.

    Attributes:
        ways: Classes in a task.
        shots: Labelled examples of each class.
        accuracy: Mean over the tasks.
        interval: Lower and upper end of the confidence interval of the mean.
        confidence: Of the interval.
        accuracies: Of each task `(episodes,)`.
    """

    ways: int
    shots: int
    accuracy: float
    interval: tuple[float, float]
    confidence: float
    accuracies: np.ndarray

    def __str__(self) -> str:
        """Return the table as text."""
        half = (self.interval[1] - self.interval[0]) / 2
        row = (f"{self.accuracy:.4f} ± {half:.4f}", f"{1 / self.ways:.4f}")
        title = f"{self.ways} ways, {counted(self.shots, 'shot')}, "
        title += counted(len(self.accuracies), "episode")
        columns = (f"accuracy ({self.confidence:.0%} interval)", "guessing")
        return text_table(title, columns, [row])

    __repr__ = __str__


def few_shot(
    model: TransferModel,
    data: Any,
    ways: int = 5,
    shots: int = 1,
    episodes: int = 600,
    *,
    queries: int = 15,
    classifier: Literal["prototype", "cosine", "logistic"] = "prototype",
    confidence: float = 0.95,
    batch_size: int = 32,
    seed: int = 0,
    verbose: bool = True,
) -> FewShotReport:
    """Measure how well a model's features serve to learn new classes from a few examples each.

    Each episode draws classes, labelled examples and queries of them at random, makes a classifier
    of the labelled ones on frozen features, and is right or wrong on the queries. Images run
    through the model once. For comparing backbones and ways to pretrain, on classes that the model
    has not been trained on.

    Args:
        model: Made by `build_transfer_model`, with or without a head; its own classes play no part.
        data: Labelled examples: `(x, y)` arrays, or an image folder; for a `tf.data.Dataset`, its
            labels have to be classes of the model.
        ways: Classes in an episode, ≥ 2.
        shots: Labelled examples of each, ≥ 1.
        episodes: How many, ≥ 2.
        queries: Examples of each class to classify, ≥ 1; fewer where a class has fewer.
        classifier: `"prototype"` (nearest class mean), `"cosine"` (the same by angle) or
            `"logistic"` (logistic regression).
        confidence: Of the interval, between 0 and 1. It is Student's, and says how the mean would
            vary over other episodes of the same data.
        batch_size: Examples at a time.
        seed: Of the episodes; with the same seed and data, models see the same ones.
        verbose: Print the table.

    Returns:
        The report.

    Raises:
        InputError: If an argument is out of range or too few classes have enough examples.

    Vinyals et al.: *Matching Networks for One Shot Learning*, NeurIPS 2016. Snell, Swersky, Zemel:
    *Prototypical Networks for Few-shot Learning*, NeurIPS 2017.
    """
    for argument, value, least in (
        ("ways", ways, 2),
        ("shots", shots, 1),
        ("episodes", episodes, 2),
        ("queries", queries, 1),
    ):
        whole(value, argument, least)
    if classifier not in CLASSIFIERS:
        raise InputError(f"classifier: expected one of {CLASSIFIERS}, got {classifier!r}.")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence: expected a share between 0 and 1, got {confidence!r}.")
    if not isinstance(model, TransferModel):
        raise InputError(
            f"model: expected one made by build_transfer_model, got {type(model).__name__}."
        )
    found = outputs_of(model, data, _classes_of(model, data), batch_size=batch_size)
    accuracies = episode_accuracies(
        found.features,
        found.targets.argmax(axis=1),
        ways=ways,
        shots=shots,
        episodes=episodes,
        queries=queries,
        classifier=classifier,
        seed=seed,
    )
    mean, interval = mean_interval(accuracies, confidence)
    report = FewShotReport(ways, shots, mean, interval, confidence, accuracies)
    if verbose:
        print(report)
    return report


def mean_interval(values: np.ndarray, confidence: float) -> tuple[float, tuple[float, float]]:
    """Return the mean and Student's interval of it: `mean ± t · s / √n`."""
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = error * float(stats.t.ppf((1 + confidence) / 2, len(values) - 1))
    return mean, (mean - half, mean + half)


def episode_accuracies(
    features: np.ndarray,
    y: np.ndarray,
    *,
    ways: int,
    shots: int,
    episodes: int,
    queries: int,
    classifier: str,
    seed: int,
) -> np.ndarray:
    """Return the accuracy of each episode, float64 `(episodes,)`.

    Args:
        features: `(n, channels)`.
        y: Class of each example, whole numbers `(n,)`.
        ways: As in `few_shot`, and so are those that follow.
        shots: Labelled examples of each class.
        episodes: How many.
        queries: Examples of each class to classify, at the most.
        classifier: Which.
        seed: Of the episodes.

    Raises:
        InputError: If fewer classes than `ways` have more examples than `shots`.
    """
    rows = {label: np.flatnonzero(y == label) for label in np.unique(y)}
    usable = [label for label, own in rows.items() if len(own) > shots]
    if len(usable) < ways:
        raise InputError(
            f"data: {ways} ways of {counted(shots, 'shot')} need {ways} classes with at least "
            f"{shots + 1} examples, got {len(usable)} such classes of {len(rows)}."
        )
    random = np.random.default_rng(seed)
    accuracies = np.empty(episodes)
    for episode in range(episodes):
        support, query = [], []
        for label in random.choice(usable, ways, replace=False):
            drawn = random.permutation(rows[label])[: shots + queries]
            support.append(drawn[:shots])
            query.append(drawn[shots:])
        truth = np.repeat(np.arange(ways), [len(own) for own in query])
        predicted = classify(
            features[np.concatenate(support)],
            np.repeat(np.arange(ways), shots),
            features[np.concatenate(query)],
            classifier,
        )
        accuracies[episode] = np.mean(predicted == truth)
    return accuracies


def classify(support: np.ndarray, y: np.ndarray, queries: np.ndarray, classifier: str):
    """Return the class of each query `(n,)` by a classifier made of the support.

    Args:
        support: Features `(m, channels)`.
        y: Their classes, 0 … k−1, each there.
        queries: Features `(n, channels)`.
        classifier: `"prototype"`, `"cosine"` or `"logistic"`.
    """
    if classifier == "logistic":
        scale = max(float(np.sqrt(np.mean(np.square(support)))), 1e-12)
        fitted = LogisticRegression(max_iter=1000).fit(support / scale, y)
        return fitted.predict(queries / scale)
    if classifier == "cosine":
        support, queries = unit_rows(support), unit_rows(queries)
    means = class_means(support, np.eye(y.max() + 1)[y])
    if classifier == "cosine":
        means = unit_rows(means)
    kernel, bias = nearest_mean_classifier(means)
    return np.argmax(queries @ kernel + bias, axis=1)


def _classes_of(model: TransferModel, data: Any) -> TargetSpec:
    """Return the classes that the data itself has."""
    names = as_examples(data).class_names
    if names:
        return TargetSpec("classification", len(names), tuple(names))
    if isinstance(data, tuple) and len(data) == 2 and data[1] is not None:
        y = np.asarray(data[1])
        if y.dtype.kind in "USO":
            labels = tuple(sorted({label_name(label) for label in y.ravel()}))
            return TargetSpec("classification", len(labels), labels)
        if y.ndim == 2 and y.shape[1] > 1:
            return TargetSpec("classification", y.shape[1])
        return TargetSpec("classification", int(y.max()) + 1)
    if isinstance(model.targets, TargetSpec) and model.targets.task.one_class:
        return model.targets
    raise InputError(
        "data: its classes are not known. Pass (x, y) arrays or an image folder, or a model with "
        "a head for these classes."
    )
