"""Two worker processes over loopback train like one process, and miss each other.

`python -m tests.training.test_workers FOLDER` is one of the workers that TF_CONFIG names.
"""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network

ROOT = pathlib.Path(__file__).parents[2]
SCHEDULE = (
    tl.Stage(2, learning_rate=3e-2, optimizer="sgd"),
    tl.Stage(2, unfreeze="all", learning_rate=3e-3, optimizer="sgd"),
)


def images_and_classes(count: int = 45) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8), np.arange(count) % 3


def one_task(seed: int) -> tuple[tl.TransferModel, tl.Run]:
    """Train on 45 images in batches of 8: the last batch of 5 is shared 3 and 2."""
    model = tl.build_transfer_model(tiny_network(seed), 3)
    x, y = images_and_classes()
    return model, tl.fine_tune(
        model, (x, y), (x[:11], y[:11]), schedule=SCHEDULE, batch_size=8, verbose=False
    )


def two_tasks(seed: int) -> tuple[tl.TransferModel, tl.Run]:
    """Train on 41 images in batches of 8: one of two workers gets nothing of the last batch."""
    model = tl.build_transfer_model(
        tiny_network(seed), {"colour": 3, "size": 1}, head={"size": "regression"}
    )
    x, colour = images_and_classes(41)
    y = {"colour": colour, "size": x.mean((1, 2, 3), keepdims=False)[:, None] / 128}
    return model, tl.fine_tune(model, (x, y), schedule=SCHEDULE, batch_size=8, verbose=False)


JOBS = {"one_task": one_task, "two_tasks": two_tasks}


def result_of(job, seed: int) -> dict[str, np.ndarray]:
    model, run = job(seed)
    weights = {f"weight{i}": weight.numpy() for i, weight in enumerate(model.weights)}
    return weights | {name: run.history[name] for name in run.history if name != "seconds"}


def be_a_worker(folder: pathlib.Path) -> None:
    """Save what training gives, then train until another worker is missed."""
    cluster = tl.join_cluster().cluster_resolver
    # Other weights in every worker: those of the first one count.
    for name, job in JOBS.items():
        np.savez(folder / f"{name}-{cluster.task_id}.npz", **result_of(job, seed=cluster.task_id))
    trains = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: (folder / f"trains-{cluster.task_id}").touch()
    )
    try:
        tl.fine_tune(
            tl.build_transfer_model(tiny_network(), 3),
            images_and_classes(),
            schedule=tl.Stage(100_000, unfreeze="all"),
            callbacks=[trains],
            output=folder / "run",
            verbose=False,
        )
    except tl.WorkerLost as error:
        print(error)
        raise SystemExit(3) from error


def start_workers(count: int, command: list[str], **variables: str) -> list[subprocess.Popen]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    workers = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={
                **os.environ,
                **variables,
                "TF_CONFIG": json.dumps(
                    {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
                ),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """Run two workers, kill the second one, and return folder, the first one's end and seconds."""
    folder = tmp_path_factory.mktemp("workers")
    workers = start_workers(
        2,
        ["-m", "tests.training.test_workers", str(folder)],
        TL_KERAS_CACHE=str(folder / "cache"),
        TL_KERAS_JOIN_TIMEOUT="120",
    )
    try:
        while not (folder / "trains-1").exists() and not any(w.poll() for w in workers):
            time.sleep(0.2)
        workers[1].send_signal(signal.SIGKILL)
        killed = time.monotonic()
        output = workers[0].communicate(timeout=150)[0]
        return folder, workers[0].returncode, output, time.monotonic() - killed
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_two_workers_train_like_one_process(two_workers, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TL_KERAS_CACHE", str(tmp_path))
    chief, other = (np.load(two_workers[0] / f"{name}-{index}.npz") for index in (0, 1))
    alone = result_of(JOBS[name], seed=0)
    assert set(chief) == set(other) == set(alone)
    for key, value in alone.items():
        np.testing.assert_array_equal(chief[key], other[key], err_msg=key)
        np.testing.assert_allclose(chief[key], value, atol=1e-5, rtol=1e-5, err_msg=key)


@pytest.mark.slow
def test_a_killed_worker_is_missed_within_a_minute(two_workers):
    _, code, output, seconds = two_workers
    assert code == 3, output
    assert "worker 1 (127.0.0.1:" in output
    assert "cannot be reached any more; its own log says why" in output
    assert "goes on from its last checkpoint" in output
    assert seconds < 60


if __name__ == "__main__":
    be_a_worker(pathlib.Path(sys.argv[1]))
