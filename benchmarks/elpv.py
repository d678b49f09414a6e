"""Defective solar cells: fine-tuned EfficientNetLite0 against published and simpler ways.

    python -m benchmarks.elpv [--splits 5] [--image-size 224] [--epochs 10]

Published on a 75/25 split of the same data (Deitsch et al. 2019): VGG19 fine-tuned .884, SVM .824.
"""

import argparse
import time

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tl_keras as tl
from benchmarks.cells import load_cells, split_cells

BATCH_SIZE = 16


def schedule(epochs: int) -> tuple[tl.Stage, ...]:
    """Return the schedule that is measured."""
    return (
        tl.Stage(10, learning_rate=1e-3, augment=False),
        tl.Stage(
            epochs,
            unfreeze=11,
            learning_rate=3e-4,
            warmup=0.1,
            global_clipnorm=1.0,
            ema_momentum=0.99,
        ),
    )


def augmentation() -> list[keras.layers.Layer]:
    """Return flips, since a cell has no up or down, and MixUp, since experts disagree on many."""
    return [keras.layers.RandomFlip("horizontal_and_vertical"), keras.layers.MixUp(0.2)]


def scores(y: np.ndarray, probability: np.ndarray) -> list[float]:
    """Return accuracy, F1 and AUC."""
    predicted = probability > 0.5
    return [
        accuracy_score(y, predicted),
        f1_score(y, predicted),
        roc_auc_score(y, probability),
    ]


def measure(x, y, seed: int, epochs: int, verbose: bool) -> tuple[list[float], list[float]]:
    """Return the scores and minutes of frozen features and of fine-tuning on one split."""
    keras.utils.set_random_seed(seed)
    train, test = split_cells(y, seed)
    model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:])
    started = time.perf_counter()
    features = model.features(x)
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=1000))
    regression.fit(features[train], y[train])
    frozen = scores(y[test], regression.predict_proba(features[test])[:, 1])
    frozen.append((time.perf_counter() - started) / 60)
    started = time.perf_counter()
    tl.fine_tune(
        model,
        (x[train], y[train]),
        schedule=schedule(epochs),
        batch_size=BATCH_SIZE,
        augmentation=augmentation(),
        cache=tl.FeatureCache(views=4),
        label_smoothing=0.1,
        seed=seed,
        verbose=verbose,
    )
    tuned = scores(
        y[test], tl.evaluate(model, (x[test], y[test]), verbose=False).probabilities[:, 1]
    )
    tuned.append((time.perf_counter() - started) / 60)
    return frozen, tuned


def main() -> None:
    """Measure all splits and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    x, y = load_cells(arguments.image_size)
    print("| split | way | accuracy | F1 | AUC | minutes |\n|-|-|-|-|-|-|", flush=True)
    rows = []
    for seed in range(arguments.splits):
        pair = measure(x, y, seed, arguments.epochs, arguments.verbose)
        rows.append(pair)
        for way, values in zip(("frozen features", "fine-tuned"), pair, strict=True):
            print_row(str(seed), way, values)
    means = np.mean(rows, axis=0)
    for way, values in zip(("frozen features", "fine-tuned"), means, strict=True):
        print_row("mean", way, values)


def print_row(split: str, way: str, values) -> None:
    """Print one line of the table."""
    accuracy, f1, auc, minutes = values
    print(
        f"| {split} | {way} | {accuracy:.3f} | {f1:.3f} | {auc:.3f} | {minutes:.1f} |", flush=True
    )


if __name__ == "__main__":
    main()
