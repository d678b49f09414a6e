"""Two workers, one of which is wrong, slow, or dies: both end in time and say what happened."""

import json
import os
import random
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tl_keras as tl
from tl_keras.utils.errors import InputError, WorkerLost, printable
from tools.torture import tiny_run
from tools.torture.children import Child, Ended, fork_each
from tools.torture.figures import Figures
from tools.torture.file_faults import CHANGES, FullDisk, Kill

JOIN_SECONDS = 25
JOIN_SECONDS_IN_VAIN = 8
"""Where the other worker never joins."""

SECONDS = 240
"""After which a worker that is not killed has to have ended, on a machine that is busy."""

LONGEST_MESSAGE = 900
QUICK = ("TF_CONFIG is no JSON", "two workers with one index", "other pixels")


class Stop(Exception):
    """What a worker raises in the middle of training."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a worker.

    Attributes:
        worker: Number of the worker, 0 for the chief.
        config: Changes `TF_CONFIG` of this worker; None as the process is never started.
        job: What else `fine_tune` gets.
        pixels: Seed of the images.
        examples: How many of the images it has.
        at: Epoch and step at whose end something happens.
        happens: What happens then.
        before: Is called first in the process, with the folder of the case.
        dies: Whether the worker is killed.
        ends_well: Whether both workers train to the end all the same.
        joins: Whether the two meet, be it to find out that something is wrong.
    """

    worker: int = 1
    config: Callable[[dict], Any] | None = lambda config: config
    job: dict[str, Any] = field(default_factory=dict)
    pixels: int = 0
    examples: int = 12
    at: tuple[int, int] = (0, 0)
    happens: Callable[[], Any] | None = None
    before: Callable[[Path], Any] = lambda folder: None
    dies: bool = False
    ends_well: bool = False
    joins: bool = True


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise Stop("the disk of this worker is on fire")


def _with_address(config: dict) -> dict:
    host, _, port = config["cluster"]["worker"][1].rpartition(":")
    config["cluster"]["worker"][1] = f"{host}:{int(port) - 1}"
    return config


def _with_index(index: Any) -> Callable[[dict], dict]:
    return lambda config: {**config, "task": {"type": "worker", "index": index}}


def _hold_port(folder: Path) -> None:
    config = json.loads(os.environ["TF_CONFIG"])
    port = int(config["cluster"]["worker"][1].rpartition(":")[2])
    holder = socket.socket()
    holder.bind(("127.0.0.1", port))
    holder.listen()
    globals()["_holder"] = holder  # Held until the process ends.


def _file_in_the_way(folder: Path) -> None:
    (folder / "run").write_text("not a directory")


_STAGES = (tl.Stage(1, learning_rate=1e-2, optimizer="sgd"),)
FAULTS: dict[str, Fault] = {
    "never started": Fault(config=None, joins=False),
    "another address than the chief knows": Fault(config=_with_address, joins=False),
    "port taken": Fault(before=_hold_port, joins=False),
    "TF_CONFIG is no JSON": Fault(config=lambda config: "{worker: here", joins=False),
    "TF_CONFIG without a task": Fault(
        config=lambda config: {"cluster": config["cluster"]}, joins=False
    ),
    "index out of range": Fault(config=_with_index(7), joins=False),
    "two workers with one index": Fault(config=_with_index(0), joins=False),
    "dies after joining": Fault(before=lambda folder: tl.join_cluster() and _kill(), dies=True),
    "dies in epoch 1": Fault(at=(0, 1), happens=_kill, dies=True),
    "dies in epoch 2": Fault(at=(1, 1), happens=_kill, dies=True),
    "dies after the last step": Fault(at=(2, 2), happens=_kill, dies=True),
    "chief dies in epoch 2": Fault(worker=0, at=(1, 1), happens=_kill, dies=True),
    "chief dies while it writes a checkpoint": Fault(
        worker=0, before=lambda folder: Kill(30, CHANGES).install(), dies=True
    ),
    "raises in epoch 2": Fault(at=(1, 1), happens=_raise),
    "chief raises in epoch 2": Fault(worker=0, at=(1, 1), happens=_raise),
    "chief's disk is full": Fault(worker=0, before=lambda folder: FullDisk(90).install()),
    "chief's directory is a file": Fault(worker=0, before=_file_in_the_way),
    "other pixels": Fault(pixels=1),
    "fewer examples": Fault(examples=9),
    "another batch size": Fault(job={"batch_size": 2}),
    "another seed": Fault(job={"seed": 1}),
    "another schedule": Fault(job={"schedule": _STAGES}),
    "slow": Fault(at=(1, 1), happens=lambda: time.sleep(15), ends_well=True),
}


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Train on two workers with every fault, or with three that need little time."""
    names = list(QUICK) if quick else random.Random(seed).sample(list(FAULTS), len(FAULTS))
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="workers_") as temporary:
        cases = ((name, (name, Path(temporary, str(n)))) for n, name in enumerate(names))
        for name, ended in fork_each(_case, cases, seconds=3 * SECONDS, memory=None):
            figures.add(name, ended.trouble or ended.value)
    return figures


def _case(name: str, folder: Path) -> str | None:
    fault = FAULTS[name]
    folder.mkdir()
    workers = _start(folder, fault)
    ended = [worker.wait() for worker in workers]
    for index, end in enumerate(ended):
        who = "the chief" if index == 0 else "worker 1"
        if fault.dies and index == fault.worker:
            if end.killed_by != signal.SIGKILL or end.timed_out:
                return f"{who} was not killed: {end.trouble}"
            continue
        trouble = _wrong_end(end, fault)
        if trouble:
            return f"{who}: {trouble}"
    left = tiny_run.leftovers(folder, finished=False)
    if left and not fault.dies:
        return f"left: {left}"
    if (folder / "run" / "checkpoints").exists():
        again = [worker.wait() for worker in _start(folder, Fault())]
        lost = next((end for end in again if end.trouble), None)
        if lost:
            return f"not resumed: {lost.trouble}"
        if again[0].value != again[1].value:
            return "resumed to different weights"
    return None


def _wrong_end(end: Ended, fault: Fault) -> str | None:
    """Return what is wrong with the end of a worker that nobody killed."""
    if end.timed_out or end.killed_by:
        return end.trouble
    if fault.ends_well:
        return end.trouble
    if end.error is None:
        return "went on to the end"
    if isinstance(end.error, Stop):
        return None
    message = str(end.error)
    if not isinstance(end.error, (InputError, WorkerLost)):
        return end.trouble
    if "\n" in message or message != printable(message) or len(message) > LONGEST_MESSAGE:
        return f"not one readable line: {message[:300]!r}"
    return None


def _start(folder: Path, fault: Fault) -> list[Child]:
    """Start both workers, or the chief alone where the other is never started."""
    sockets = [socket.socket() for _ in range(2)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]
    for opened in sockets:
        opened.close()
    started = []
    for index in range(2):
        config: Any = {
            "cluster": {"worker": list(addresses)},
            "task": {"type": "worker", "index": index},
        }
        own = fault if index == fault.worker else Fault()
        if own.config is None:
            continue
        config = own.config(config)
        text = config if isinstance(config, str) else json.dumps(config)
        join = JOIN_SECONDS if fault.joins else JOIN_SECONDS_IN_VAIN
        started.append(Child(_worker, folder, index, text, own, join, seconds=SECONDS))
    return started


def _worker(folder: Path, index: int, config: str, fault: Fault, join: int) -> bytes:
    """Train as one of two workers, and return the weights."""
    os.environ["TF_CONFIG"] = config
    os.environ["TL_KERAS_JOIN_TIMEOUT"] = str(join)
    os.environ["TL_KERAS_CACHE"] = str(folder / f"cache{index}")
    fault.before(folder)
    tl.join_cluster()
    x, y = tiny_run.data(fault.pixels)
    x, y = x[: fault.examples], y[: fault.examples]
    callback = keras.callbacks.LambdaCallback()
    epoch_now = [0]
    callback.on_epoch_begin = lambda epoch, logs=None: epoch_now.__setitem__(0, epoch)

    def on_train_batch_end(batch: int, logs: Any = None) -> None:
        if fault.happens is not None and (epoch_now[0], batch) == fault.at:
            fault.happens()

    callback.on_train_batch_end = on_train_batch_end
    arguments = {"batch_size": 4, "seed": 0, "schedule": tiny_run.STAGES, **fault.job}
    trained = tl.fine_tune(
        tiny_run.model(),
        (x, y),
        (x[::3], y[::3]),
        output=folder / "run",
        callbacks=[callback],
        checkpoints=tl.Checkpoints(steps=1),
        verbose=False,
        **arguments,
    )
    return b"".join(np.asarray(one).tobytes() for one in trained.model.get_weights())
