"""Two workers pinned to one core each, against one worker on one core.

    python -m benchmarks.workers [--images 512] [--batch-size 64] [--epochs 3] [--runs 3]

The time is that of the epochs after the first, at the same global batch size.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from benchmarks.ratios import HEADER, medians, print_row
from tl_keras.cli.workers import worker_variables

IMAGE_SIZE = 96


def train(result: str, images: int, batch_size: int, epochs: int) -> None:
    """Train as one worker of those that TF_CONFIG names, and write the seconds."""
    import tl_keras as tl

    tl.join_cluster()
    import numpy as np

    from benchmarks.step import Clock

    random = np.random.default_rng(0)
    x = random.integers(0, 256, (images, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    y = random.integers(0, 2, images)
    model = tl.build_transfer_model(
        "MobileNetV2", 2, weights=None, input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3)
    )
    clock = Clock()
    stage = tl.Stage(1 + epochs, unfreeze="all", learning_rate=1e-4)
    tl.fine_tune(
        model, (x, y), schedule=stage, batch_size=batch_size, callbacks=[clock], verbose=False
    )
    pathlib.Path(result).write_text(str(clock.after_the_first()))


def seconds_of(workers: int, images: int, batch_size: int, epochs: int) -> float:
    """Start the workers, each on a core of its own, and return the chief's seconds."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        processes = []
        for index, variables in enumerate(worker_variables(workers, [1] * workers, None)):
            command = [sys.executable, "-m", "benchmarks.workers", "--train", f"{folder}/{index}"]
            command += ["--images", str(images), "--batch-size", str(batch_size)]
            command += ["--epochs", str(epochs)]
            process = subprocess.Popen(
                command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL
            )
            os.sched_setaffinity(process.pid, {cores[index]})
            processes.append(process)
        if any(process.wait() for process in processes):
            raise SystemExit("a worker failed")
        return float(pathlib.Path(f"{folder}/0").read_text())


def main() -> None:
    """Measure two workers against one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=64, help="of all workers together")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--train", metavar="RESULT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    work = (arguments.images, arguments.batch_size, arguments.epochs)
    if arguments.train:
        train(arguments.train, *work)
        return
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("this benchmark needs two cores")
    pairs = [tuple(seconds_of(workers, *work) for workers in (2, 1)) for _ in range(arguments.runs)]
    print(HEADER)
    name = f"MobileNetV2, batches of {arguments.batch_size}, two workers against one"
    print_row(name, medians(pairs), "≥ 1.6×, aim 1.85×")


if __name__ == "__main__":
    main()
