"""Fine-tuning on few solar cells: alone, and held by each objective about the starting point.

    python -m benchmarks.regularised [--sizes 20 50 100] [--seeds 5] [--rate 0.001] [--quick]

EfficientNetLite0 with its ImageNet weights, all blocks trained, the same schedule and as many steps
in every row. A seed decides on the quarter of the images that is tested on, on the training images
and on their order, so that rows can be compared seed by seed. Strengths are the objectives'
defaults, and the learning rate is the default of a stage that unfreezes all blocks unless `--rate`
sets another. LwF and CoTuning use the ImageNet classifier as well. Training images are balanced and
test images are not: accuracy depends on the threshold of ½ as well, AUC does not. Runs are made
side by side, one thread each.
"""

import argparse
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
from sklearn.metrics import accuracy_score, roc_auc_score

import tl_keras as tl
from benchmarks.cells import load_cells, split_cells
from benchmarks.markdown import write_results
from benchmarks.side_by_side import side_by_side
from tl_keras.backbones.efficientnet_lite import efficientnet_lite
from tl_keras.objectives import Objective

BATCH_SIZE = 16
ALONE = "fine-tuning alone"

found = tl.objectives


@dataclasses.dataclass(frozen=True)
class Task:
    """What an objective may be made from.

    Attributes:
        source_head: The ImageNet classifier.
        source_logits: What it says about the training images, `(n, 1000)`.
        y: Their labels.
    """

    source_head: keras.layers.Layer
    source_logits: np.ndarray
    y: np.ndarray

    def co_tuning(self, weight: float) -> Objective:
        """Return co-tuning on the relationship that the training images show."""
        relationship = found.learn_relationship(self.source_logits, self.y, 2)
        return found.CoTuning(self.source_head, relationship, weight=weight)


WAYS: dict[str, Callable[[Task], list[Objective]]] = {
    ALONE: lambda task: [],
    "L2SP": lambda task: [found.L2SP()],
    "L1SP": lambda task: [found.L1SP()],
    "DELTA": lambda task: [found.DELTA()],
    "BSS": lambda task: [found.BSS()],
    "LwF": lambda task: [found.LwF(task.source_head)],
    "CoTuning": lambda task: [task.co_tuning(weight=1.0)],
}


def schedule(images: int, steps: int, rate: float | None) -> tuple[tl.Stage, ...]:
    """Return the head alone, then everything for a number of steps, whatever the images."""
    epochs = math.ceil(steps / math.ceil(images / BATCH_SIZE))
    return (tl.Stage(20), tl.Stage(epochs, unfreeze="all", learning_rate=rate))


def chosen(y: np.ndarray, rows: np.ndarray, per_class: int, seed: int) -> np.ndarray:
    """Return so many random rows of each class."""
    random = np.random.default_rng(seed)
    parts = [random.choice(rows[y[rows] == label], per_class, False) for label in (0, 1)]
    return np.concatenate(parts)


def measure(
    way: str, per_class: int, seed: int, size: int, steps: int, rate: float | None
) -> tuple[float, float, float]:
    """Return accuracy and AUC on the test images, and seconds."""
    x, y = load_cells(size)
    train, test = split_cells(y, seed)
    rows = chosen(y, train, per_class, seed)
    keras.utils.set_random_seed(seed)
    model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:])
    task = imagenet_task(model, x[rows], y[rows])
    started = time.perf_counter()
    tl.fine_tune(
        model,
        (x[rows], y[rows]),
        schedule=schedule(len(rows), steps, rate),
        objectives=[found.Supervised(), *WAYS[way](task)],
        batch_size=BATCH_SIZE,
        seed=seed,
        verbose=False,
    )
    seconds = time.perf_counter() - started
    defective = tl.evaluate(model, (x[test], y[test]), verbose=False).probabilities[:, 1]
    keras.utils.clear_session()
    accuracy = accuracy_score(y[test], defective > 0.5)
    return accuracy, roc_auc_score(y[test], defective), seconds


def imagenet_task(model: tl.TransferModel, x: np.ndarray, y: np.ndarray) -> Task:
    """Return the ImageNet classifier and its answers on images."""
    whole = efficientnet_lite("EfficientNetLite0", input_shape=x.shape[1:], include_top=True)
    head = whole.get_layer("predictions")
    kernel, bias = (weight.numpy() for weight in head.weights)
    return Task(head, model.features(x) @ kernel + bias, y)


def line(way: str, per_class: int, results: np.ndarray, alone: np.ndarray) -> str:
    """Return a line of the table; results are `(seeds, 3)`, alone those of plain fine-tuning."""
    (accuracy, auc, seconds), (spread, auc_spread, _) = results.mean(axis=0), results.std(axis=0)
    gain, seeds = (results - alone)[:, 0].mean(), int((results > alone)[:, 0].sum())
    versus = "" if way == ALONE else f"{gain:+.3f}, better with {seeds} of {len(results)} seeds"
    return (
        f"| {per_class} | {way} | {accuracy:.3f} ± {spread:.3f} | {auc:.3f} ± {auc_spread:.3f} | "
        f"{versus} | {seconds:.0f} |"
    )


def measure_all(options: argparse.Namespace) -> list[str]:
    """Measure everything; return the lines of the table, which are printed as they come."""
    settings = (options.image_size, options.steps, options.rate)
    lines = [
        "| images a class | training | accuracy | AUC | accuracy against alone | seconds |",
        "|-|-|-|-|-|-|",
    ]
    print("\n".join(lines), flush=True)
    ways = [ALONE, *(way for way in options.ways or WAYS if way != ALONE)]
    with side_by_side() as starmap:
        for per_class in options.sizes:
            table: dict[str, np.ndarray] = {}
            seeds = seeds_of(options)
            jobs = [(way, per_class, seed, *settings) for way in ways for seed in seeds]
            results = starmap(measure, jobs)
            for way in ways:
                table[way] = np.array(list(itertools.islice(results, len(seeds))))
                lines.append(line(way, per_class, table[way], table[ALONE]))
                print(lines[-1], flush=True)
            lines.append(verdict(per_class, table))
            print(lines[-1], flush=True)
    return lines


def seeds_of(options: argparse.Namespace) -> range:
    """Return the seeds."""
    return range(options.first_seed, options.first_seed + options.seeds)


def verdict(per_class: int, table: dict[str, np.ndarray]) -> str:
    """Return the line that says how many ways beat fine-tuning alone, by accuracy and by AUC."""
    means = {way: results.mean(axis=0) for way, results in table.items()}
    plain = means.pop(ALONE)
    cells = []
    for column, name in enumerate(("accuracy", "AUC")):
        better = sum(own[column] > plain[column] for own in means.values())
        met = "" if per_class != 20 else (", must be ≥ 2: " + ("yes" if better >= 2 else "**no**"))
        cells.append(f"{better} better by {name}{met}")
    return f"| {per_class} | **against alone** | {cells[0]} | {cells[1]} | | |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--steps", type=int, default=120, help="with everything trained")
    parser.add_argument(
        "--rate", type=float, help="with everything trained; the default of such a stage"
    )
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), help="rows besides the plain one")
    parser.add_argument("--quick", action="store_true", help="one seed and size, not written")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sizes, options.seeds, options.steps, options.image_size = [20], 1, 6, 64
    started = time.perf_counter()
    lines = measure_all(options)
    minutes = (time.perf_counter() - started) / 60
    rate = "the default rate" if options.rate is None else f"a rate of {options.rate:g}"
    lines += [
        "",
        f"EfficientNetLite0 at {options.image_size} pixels, {options.steps} steps with all blocks "
        f"at {rate}; seeds {seeds_of(options)[0]} … {seeds_of(options)[-1]}; mean ± standard "
        f"deviation; {minutes:.0f} minutes.",
    ]
    print(lines[-1])
    if not options.quick:
        path = write_results("regularised", "Fine-tuning on few solar cells", lines)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
