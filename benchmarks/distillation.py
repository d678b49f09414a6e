"""A large teacher and a small student on solar cells: how much of the gap distillation closes.

    python -m benchmarks.distillation [--labels 400] [--seeds 3] [--image-size 96] [--quick]

The teacher is EfficientNetLite0, pretrained on ImageNet and fine-tuned on the labelled cells. The
student, under a fifth of its weights, is trained from scratch in as many steps in every row: on the
labels alone, on labels and teacher, and on labels, teacher and the cells whose labels nobody reads.
Every cell comes in its four flips, as images of their own: so nothing random stands before
the teacher, and it says what it says about each once.
"""

import argparse
import math
import time
from collections.abc import Sequence

import keras
import numpy as np
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

import tl_keras as tl
from benchmarks.cells import load_cells, split_cells
from benchmarks.markdown import write_results

BATCH_SIZE = 64
TEACHER, ALONE = "teacher", "student alone"
TAUGHT, UNLABELLED = "student and teacher", "student, teacher and unlabelled images"

found = tl.objectives


def student_network(image_size: int) -> keras.Model:
    """Return a small network of separable convolutions, about 0.2 million weights."""
    layers = keras.layers
    images = keras.Input((image_size, image_size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    x = _normalised(layers.Conv2D(24, 3, strides=2, padding="same", use_bias=False)(x))
    for filters in (48, 96, 192, 384):
        x = layers.SeparableConv2D(filters, 3, strides=2, padding="same", use_bias=False)(x)
        x = _normalised(x)
        if filters < 384:
            y = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(x)
            x = layers.Add()([x, _normalised(y)])
    return keras.Model(images, x, name="student")


def flips(x: np.ndarray) -> np.ndarray:
    """Return every image in its four flips."""
    return np.concatenate([x, x[:, ::-1], x[:, :, ::-1], x[:, ::-1, ::-1]])


def fine_tuned_teacher(x, y, seed: int, epochs: int) -> tl.TransferModel:
    """Return EfficientNetLite0, fine-tuned on labelled images."""
    keras.utils.set_random_seed(seed)
    model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:])
    stages = tl.schedules.two_stage(5, epochs)
    tl.fine_tune(model, (x, y), schedule=stages, batch_size=32, seed=seed, verbose=False)
    return model


def trained_student(data, objectives, steps: int, seed: int) -> tl.TransferModel:
    """Return the student, trained from scratch."""
    largest = max(len(one[0] if isinstance(one, tuple) else one) for one in data.values())
    sample = next(iter(data.values()))[0]
    keras.utils.set_random_seed(seed)
    model = tl.build_transfer_model(student_network(sample.shape[1]), 2)
    stage = tl.Stage(
        math.ceil(steps / math.ceil(largest / BATCH_SIZE)),
        unfreeze="all",
        batch_norm="update",
        learning_rate=3e-3,
        warmup=0.1,
        weight_decay=1e-3,
    )
    tl.fine_tune(
        model,
        data,
        schedule=stage,
        objectives=objectives,
        batch_size=BATCH_SIZE,
        seed=seed,
        verbose=False,
    )
    return model


def measure(x, y, seed: int, options: argparse.Namespace) -> tuple[dict, float]:
    """Return way → accuracy, AUC and seconds, and the student's share of the teacher's weights."""
    rows, test = split_cells(y, seed)
    labelled, rest = train_test_split(
        rows, train_size=options.labels, stratify=y[rows], random_state=seed
    )
    images, labels, more = flips(x[labelled]), np.tile(y[labelled], 4), flips(x[rest])
    results, share = {}, math.nan

    def note(way, make):
        started = time.perf_counter()
        model = make()
        seconds = time.perf_counter() - started
        p = tl.evaluate(model, (x[test], y[test]), verbose=False).probabilities[:, 1]
        results[way] = (accuracy_score(y[test], p > 0.5), roc_auc_score(y[test], p), seconds)
        return model

    teacher = note(TEACHER, lambda: fine_tuned_teacher(images, labels, seed, options.epochs))
    both = [found.Supervised(weight=0.3), found.Distillation(teacher, temperature=2.0)]
    data = {"source": (images, labels)}
    for way, domains, objectives in (
        (ALONE, data, [found.Supervised()]),
        (TAUGHT, data, both),
        (UNLABELLED, {**data, "target": more}, both),
    ):
        student = note(
            way, lambda d=domains, o=objectives: trained_student(d, o, options.steps, seed)
        )
        share = student.count_params() / teacher.count_params()
    keras.utils.clear_session()
    return results, share


def table(results: Sequence[dict], share: float) -> list[str]:
    """Return the lines of the table of all seeds."""
    lines = [
        "| training | accuracy | AUC | part of the gap in accuracy | must | seconds |",
        "|-|-|-|-|-|-|",
    ]
    means = {way: np.mean([one[way] for one in results], axis=0) for way in results[0]}
    gap = means[TEACHER][0] - means[ALONE][0]
    for way, (accuracy, auc, seconds) in means.items():
        spread = np.std([one[way] for one in results], axis=0)
        closed = (accuracy - means[ALONE][0]) / gap if gap else math.nan
        must = ""
        if way == UNLABELLED:
            must = f"≥ ½: {'yes' if closed >= 0.5 else '**no**'}"
        lines.append(
            f"| {way} | {accuracy:.3f} ± {spread[0]:.3f} | {auc:.3f} ± {spread[1]:.3f} | "
            f"{closed:.2f} | {must} | {seconds:.0f} |"
        )
    met = "yes" if share < 0.2 else "**no**"
    lines += ["", f"The student has {share:.3f} of the teacher's weights (must be < 0.2: {met})."]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=400, help="cells with a label")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=6, help="of the teacher, all blocks")
    parser.add_argument("--steps", type=int, default=1500, help="of every student")
    parser.add_argument("--quick", action="store_true", help="one seed, small, not written")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.labels, options.epochs = 1, 48, 1
        options.steps, options.image_size = 40, 64
    started = time.perf_counter()
    x, y = load_cells(options.image_size)
    results = []
    for seed in range(options.seeds):
        found_here, share = measure(x, y, seed, options)
        results.append(found_here)
        print(f"seed {seed}", *(f"{k}: {v[0]:.3f}" for k, v in found_here.items()), sep=", ")
    lines = table(results, share)
    minutes = (time.perf_counter() - started) / 60
    lines += [
        "",
        f"Solar cells at {options.image_size} pixels, {options.labels} with a label and "
        f"{len(x) * 3 // 4 - options.labels} without, {options.steps} steps per student; seeds 0 … "
        f"{options.seeds - 1}, mean ± standard deviation; {minutes:.0f} minutes.",
    ]
    print("\n".join(lines))
    if not options.quick:
        path = write_results("distillation", "Distillation, solar cells", lines)
        print(f"written to {path}")


def _normalised(x):
    return keras.layers.ReLU()(keras.layers.BatchNormalization()(x))


if __name__ == "__main__":
    main()
