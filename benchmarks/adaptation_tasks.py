"""What the adaptation benchmark trains: four tasks, their networks, and the rows of each."""

import dataclasses
import math
import time
from collections.abc import Callable

import keras
import numpy as np

import tl_keras as tl
from benchmarks.digits import Pair, few, mnist, pair, uci_digits
from benchmarks.drawings import CATEGORIES, SIZE, drawings_pair
from tl_keras.objectives import Objective

BATCH_SIZE = 64
LABELS = 10
found = tl.objectives

DEFAULTS: dict[str, Callable[[], list[Objective]]] = {
    "MMD": lambda: [found.MMD()],
    "JAN": lambda: [found.JAN()],
    "DeepCORAL": lambda: [found.DeepCORAL()],
    "DANN": lambda: [found.DANN()],
    "CDAN+E": lambda: [found.CDAN()],
    "MDD": lambda: [found.MDD()],
    "MCD": lambda: [found.MCD()],
    "MCC": lambda: [found.MCC()],
    "AFN": lambda: [found.AFN()],
    "AdaBN": lambda: [found.AdaBN()],
    "SelfTraining": lambda: [found.SelfTraining()],
    "EntropyMinimization": lambda: [found.EntropyMinimization()],
    "DeepJDOT": lambda: [found.DeepJDOT()],
    "JAN + MCC": lambda: [found.JAN(), found.MCC()],
}
BY_HAND: dict[str, Callable[[], list[Objective]]] = {
    "DANN, 32 units, 0.5, by hand": lambda: [found.DANN((32,), weight=0.5)],
    "CDAN+E, 32 units, 0.5, by hand": lambda: [found.CDAN(hidden_units=(32,), weight=0.5)],
    "DeepCORAL, 30, by hand": lambda: [found.DeepCORAL(["features", "logits"], weight=30.0)],
    "DeepJDOT, 0.1, 0.3, by hand": lambda: [found.DeepJDOT(0.1, 0.3)],
}
LABELLED: dict[str, Callable[[], list[Objective]]] = {
    "10 labels per class alone": list,
    "10 labels per class and source": list,
    "10 labels per class, semi-supervised": DEFAULTS["JAN + MCC"],
}


@dataclasses.dataclass(frozen=True)
class Task:
    """A pair of domains and the way to train on it.

    Attributes:
        pair: Function of seed and most examples of a domain.
        model: Makes the network, with its classifier.
        schedule: Function of the epochs' factor to stages.
        gain: What objectives must gain over source only, or None.
        extra: Rows besides the defaults.
    """

    pair: Callable[[int, int | None], Pair]
    model: Callable[[], tl.TransferModel]
    schedule: Callable[[float], tuple[tl.Stage, ...]]
    gain: float | None = None
    extra: tuple[str, ...] = ()


def small_network() -> tl.TransferModel:
    """Return the small network that the digits train from scratch."""
    layers = keras.layers
    images = keras.Input((16, 16, 1))
    x = layers.Rescaling(1 / 255)(images)
    for filters in (24, 48, 96):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        if filters < 96:
            x = layers.MaxPooling2D()(x)
    return tl.build_transfer_model(keras.Model(images, x, name="small"), 10)


def pretrained() -> tl.TransferModel:
    """Return EfficientNetLite0 with its ImageNet weights."""
    return tl.build_transfer_model(
        "EfficientNetLite0", len(CATEGORIES), input_shape=(SIZE, SIZE, 3)
    )


def from_scratch(factor: float) -> tuple[tl.Stage, ...]:
    """Return the stage of the digits: everything, BatchNorm included, from random weights."""
    epochs = max(1, round(10 * factor))
    return (tl.Stage(epochs, unfreeze="all", batch_norm="update", learning_rate=2e-3),)


def smallest(factor: float) -> tuple[tl.Stage, ...]:
    """Return the smallest default stage: the head."""
    return (tl.Stage(max(1, round(10 * factor))),)


def largest(factor: float) -> tuple[tl.Stage, ...]:
    """Return the head, then the largest default stage: all blocks."""
    return (*smallest(factor), tl.Stage(max(1, round(5 * factor)), unfreeze="all"))


TASKS = {
    "MNIST → UCI digits": Task(
        lambda seed, limit: pair(mnist(), uci_digits(), seed, limit),
        small_network,
        from_scratch,
        gain=0.05,
        extra=(*BY_HAND, *LABELLED),
    ),
    "UCI digits → MNIST": Task(
        lambda seed, limit: pair(uci_digits(), mnist(), seed, limit), small_network, from_scratch
    ),
    "drawings, Apple → Facebook, head": Task(drawings_pair, pretrained, smallest),
    "drawings, Apple → Facebook, all blocks": Task(drawings_pair, pretrained, largest),
}


def adaptation_rows(task: str) -> list[str]:
    """Return the rows that adapt without labels of the target."""
    return [*DEFAULTS, *(name for name in TASKS[task].extra if name in BY_HAND)]


def label_rows(task: str) -> list[str]:
    """Return the rows that read a few labels of the target."""
    return [name for name in TASKS[task].extra if name in LABELLED]


def plan(name: str, domains: Pair, seed: int) -> tuple[dict, list[Objective]]:
    """Return the domains and, besides `Supervised`, the objectives of a row."""
    source, images = domains.source, domains.target[0]
    if name == "source only":
        return {"source": source}, []
    if name == "target labels used":
        return {"source": source, "target": domains.target}, []
    if name in LABELLED:
        labelled = few(domains.target, LABELS, seed)
        if name.endswith("alone"):
            return {"target": labelled}, LABELLED[name]()
        data = {"source": source, "target": labelled}
        if name.endswith("supervised"):
            data = {"source": source, "target_labelled": labelled, "target": images}
        return data, LABELLED[name]()
    return {"source": source, "target": images}, (DEFAULTS | BY_HAND)[name]()


def run(task: str, name: str, seed: int, factor: float, limit: int | None) -> tuple[float, float]:
    """Train one row with one seed; return accuracy on the target's test images, and seconds."""
    setting = TASKS[task]
    domains = setting.pair(seed, limit)
    data, objectives = plan(name, domains, seed)
    longest = max(len(domains.source[1]), len(domains.target[1]))
    own = max(len(one[0] if isinstance(one, tuple) else one) for one in data.values())
    # Few labels are seen as many times as it takes to make as many steps.
    factor *= math.ceil(longest / BATCH_SIZE) / math.ceil(own / BATCH_SIZE)
    keras.utils.set_random_seed(seed)
    model = setting.model()
    started = time.perf_counter()
    tl.fine_tune(
        model,
        data,
        schedule=setting.schedule(factor),
        objectives=[found.Supervised(), *objectives],
        batch_size=BATCH_SIZE,
        seed=seed,
        verbose=False,
    )
    seconds = time.perf_counter() - started
    x, y = domains.test
    accuracy = float(np.mean(model.logits(x, 256).argmax(axis=1) == y))
    keras.utils.clear_session()
    return accuracy, seconds
