"""Runs killed with `kill -9` at random moments end as the run that nobody killed.

    python -m benchmarks.kill_resume [--kills 10] [--seed 0]

Each run trains EfficientNetLite0 on solar cells in two stages, in deterministic mode, is killed
once at a moment drawn from the whole length of the undisturbed run, and is started again. Weights,
history and optimizer are compared bit for bit.
"""

import argparse
import pathlib
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time

IMAGES, IMAGE_SIZE, BATCH_SIZE = 160, 64, 16


def train(output: str) -> None:
    """Train one run to its end and write what it ended with."""
    import keras

    import tl_keras as tl
    from benchmarks.cells import load_cells

    ended = {}

    class Watch(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            ended["optimizer"] = [variable.numpy() for variable in self.model.optimizer.variables]

    x, y = load_cells(IMAGE_SIZE)
    x, y = x[:IMAGES], y[:IMAGES]
    keras.utils.set_random_seed(0)
    model = tl.build_transfer_model("EfficientNetLite0", 2, input_shape=x.shape[1:], head="mlp")
    run = tl.fine_tune(
        model,
        (x, y),
        (x[::4], y[::4]),
        schedule=tl.schedules.two_stage(3, 3, unfreeze=0.4),
        batch_size=BATCH_SIZE,
        augmentation=keras.layers.RandomFlip("horizontal"),
        callbacks=[Watch()],
        output=output,
        checkpoints=tl.Checkpoints(steps=3),
        deterministic=True,
        verbose=False,
    )
    ended["weights"] = model.get_weights()
    ended["history"] = {k: v for k, v in run.history.items() if k != "seconds"}
    pathlib.Path(f"{output}.end").write_bytes(pickle.dumps(ended))


def start(output: pathlib.Path) -> subprocess.Popen:
    """Start a run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.kill_resume", "--train", str(output)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def main() -> None:
    """Kill, resume, compare, and print how many ended bit-equal."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", metavar="OUTPUT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train)
        return
    moments = random.Random(arguments.seed)
    print("| kill | after | epoch, step it went on from | result |\n|-|-|-|-|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder) / "whole"
        started = time.monotonic()
        start(whole).wait()
        length = time.monotonic() - started
        equal = 0
        for number in range(arguments.kills):
            output = pathlib.Path(folder) / f"killed{number}"
            process, pause = start(output), moments.uniform(0, length)
            time.sleep(pause)
            process.send_signal(signal.SIGKILL)
            died = process.wait() == -signal.SIGKILL
            place = "ended before" if not died else position(output)
            start(output).wait()
            same = _end(output) is not None and _end(output) == _end(whole)
            equal += same
            verdict = "bit-equal" if same else "DIFFERENT"
            print(f"| {number + 1} | {pause:.1f} s | {place} | {verdict} |", flush=True)
    print(f"\n{equal} of {arguments.kills} bit-equal")
    sys.exit(equal < arguments.kills)


def position(output: pathlib.Path) -> str:
    """Say where the newest checkpoint stands."""
    from tl_keras.training.runs.checkpoints import read_checkpoint

    found = read_checkpoint(output / "checkpoints")
    return "the start" if found is None else f"{found[1]['epoch'] + 1}, {found[1]['step']}"


def _end(output: pathlib.Path) -> bytes | None:
    path = pathlib.Path(f"{output}.end")
    return path.read_bytes() if path.exists() else None


if __name__ == "__main__":
    main()
