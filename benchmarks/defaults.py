"""What a user gets who sets nothing, against the usual recipe and a schedule tuned by hand.

    python -m benchmarks.defaults [--sizes 100 500 1968] [--seeds 1] [--image-size 128]

Test images are a quarter of the data that nothing here is chosen by: the rules of
`schedule="auto"` and the hand-tuned schedule were set on other splits (seeds from 100 on).
"""

import argparse
import time

import keras
import numpy as np

import tl_keras as tl
from benchmarks.cells import load_cells, split_cells

WAYS = {
    "head only (Keras guide)": tl.schedules.feature_extraction(20),
    "two stages, tuned by hand": tl.schedules.two_stage(10, 8, learning_rate=5e-4),
    "nothing set (auto)": "auto",
}


def measure(x, y, images: int, seed: int) -> dict[str, tuple[float, float]]:
    """Return way → test accuracy and minutes."""
    train, test = split_cells(y, seed)
    if images < len(train):
        train = np.random.default_rng(seed).choice(train, images, replace=False)
    rows = {}
    for way, schedule in WAYS.items():
        keras.utils.set_random_seed(seed)
        model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:])
        started = time.perf_counter()
        tl.fine_tune(model, (x[train], y[train]), schedule=schedule, seed=seed, verbose=False)
        minutes = (time.perf_counter() - started) / 60
        report = tl.evaluate(model, (x[test], y[test]), verbose=False)
        rows[way] = (report.metrics["accuracy"], minutes)
    return rows


def main() -> None:
    """Measure all sizes and seeds and print the table of means."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 1968])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--image-size", type=int, default=128)
    arguments = parser.parse_args()
    x, y = load_cells(arguments.image_size)
    print("| training images | way | accuracy | minutes |\n|-|-|-|-|", flush=True)
    for size in arguments.sizes:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
        results = [measure(x, y, size, seed) for seed in seeds]
        for way in WAYS:
            accuracy, minutes = np.mean([result[way] for result in results], axis=0)
            print(f"| {size} | {way} | {accuracy:.3f} | {minutes:.1f} |", flush=True)


if __name__ == "__main__":
    main()
