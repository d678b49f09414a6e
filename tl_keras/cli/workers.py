"""`tl-keras train --workers N`: several workers on this machine, each a process of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import typer

from tl_keras.cli.doctor import nvidia_gpus
from tl_keras.cli.output import print_error
from tl_keras.utils.cluster import VARIABLE
from tl_keras.utils.errors import InputError, counted

LAST_WORDS_SECONDS = 60.0
"""How long workers may go on after one has failed, to notice and say so."""

TERMINATE_SECONDS = 10.0
POLL_SECONDS = 0.1
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
OPTION = "workers"
GPUS = "CUDA_VISIBLE_DEVICES"


def run_workers(count: int, context: typer.Context, logs: Path) -> int:
    """Run this command `count` times, as the workers of one job.

    The first worker, the chief, writes to this process's output, the others to files. SIGINT and
    SIGTERM go to the chief, which saves where it is; the others end after it.

    Args:
        count: Number of workers, ≥ 2.
        context: The command, whose options the workers get, except `--workers`.
        logs: Folder of `worker-1.log`, …

    Returns:
        The exit code of the worker that failed first; 0 if none did.

    Raises:
        InputError: If `TF_CONFIG` is set already, or workers would have to share a GPU.
    """
    if os.environ.get(VARIABLE, "").strip():
        raise InputError(
            f"--workers: it starts workers on this machine, but {VARIABLE} names some already. "
            f"Leave --workers out, or unset {VARIABLE}."
        )
    command = [sys.executable, "-c", _PROGRAM, json.dumps(sys.path), *words_of(context)]
    cores = shares_of_cores(count)
    environments = [
        {**os.environ, **variables}
        for variables in worker_variables(count, [len(own) for own in cores], gpus_here())
    ]
    logs.mkdir(parents=True, exist_ok=True)
    workers: list[subprocess.Popen] = []
    with contextlib.ExitStack() as stack:
        received = stack.enter_context(_signals_passed_on(workers))
        stack.callback(_end, workers)
        for index, environment in enumerate(environments):
            log = stack.enter_context(open(logs / f"worker-{index}.log", "ab")) if index else None
            workers.append(_start(command, environment, log, cores[index]))
        failed = _wait(workers, received)
    if failed is None:
        return 0
    codes = [worker.returncode for worker in workers]
    if not received and any(code != codes[0] for code in codes):
        print_error(_what_happened(failed, codes[failed], logs))
    return codes[failed] if codes[failed] > 0 else 128 - codes[failed]


_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from tl_keras.cli.main import main; sys.exit(main())"
)
"""Finds the modules that this process finds, wherever they are."""


def words_of(context: typer.Context) -> list[str]:
    """Return the words after `tl-keras` that give a command the same values, except `--workers`."""
    words = ["--debug"] if "--debug" in sys.argv else []
    words.append(str(context.command.name))
    arguments = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name)
        if parameter.name == OPTION or value is None or value == parameter.default:
            continue
        if parameter.param_type_name == "argument":
            arguments.append(str(value))
        elif isinstance(value, bool):
            words.append(parameter.opts[0] if value else parameter.secondary_opts[0])
        else:
            for item in value if parameter.multiple else [value]:
                words.append(f"{parameter.opts[0]}={getattr(item, 'value', item)}")
    return [*words, "--", *arguments]


def worker_variables(
    count: int, threads: Sequence[int], gpus: Sequence[str] | None
) -> list[dict[str, str]]:
    """Return the environment variables of each worker.

    Args:
        count: Number of workers.
        threads: How many threads each may use for computing.
        gpus: What `CUDA_VISIBLE_DEVICES` calls the GPUs there are; None or empty for no GPUs.

    Raises:
        InputError: If there are fewer GPUs than workers.
    """
    each = len(gpus) // count if gpus else 0
    if gpus and not each:
        raise InputError(
            f"--workers: {count} workers cannot share {counted(len(gpus), 'GPU')}. Use --workers "
            f"{len(gpus)} at most, or {GPUS}= to train on the processor's cores."
        )
    addresses = [f"127.0.0.1:{port}" for port in _free_ports(count)]
    variables = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        own = {
            VARIABLE: json.dumps({"cluster": {"worker": addresses}, "task": task}),
            "TF_NUM_INTRAOP_THREADS": str(threads[index]),
            "TF_NUM_INTEROP_THREADS": str(max(2, threads[index])),
            "PYTHONUNBUFFERED": "1",
        }
        if gpus:
            own[GPUS] = ",".join(gpus[index * each : (index + 1) * each])
        variables.append(own)
    return variables


def shares_of_cores(count: int) -> list[list[int]]:
    """Return the processor's cores of each worker; with too few, workers share one."""
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))
    else:
        cores = list(range(os.cpu_count() or 1))
    if len(cores) < count:
        return [[cores[index % len(cores)]] for index in range(count)]
    edges = [index * len(cores) // count for index in range(count + 1)]
    return [cores[edges[index] : edges[index + 1]] for index in range(count)]


def gpus_here() -> list[str]:
    """Return what `CUDA_VISIBLE_DEVICES` calls the GPUs that workers may use."""
    chosen = os.environ.get(GPUS)
    if chosen is None:
        return [str(index) for index in range(len(nvidia_gpus()))]
    return [name.strip() for name in chosen.split(",") if name.strip() not in ("", "-1")]


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for opened in sockets:
            opened.bind(("127.0.0.1", 0))
        return [opened.getsockname()[1] for opened in sockets]


def _start(command, environment, log, cores: list[int]) -> subprocess.Popen:
    """Start one worker in a session of its own, so that Ctrl-C comes from this process only."""
    worker = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        start_new_session=True,
    )
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(worker.pid, cores)
    return worker


@contextlib.contextmanager
def _signals_passed_on(workers: list[subprocess.Popen]) -> Iterator[list[int]]:
    """Pass a request to stop on to the chief, and note it in the list; a second one ends it all."""
    received: list[int] = []

    def handle(number: int, _) -> None:
        received.append(number)
        if len(received) > 1 or not workers:
            raise KeyboardInterrupt
        workers[0].send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)

    numbers = [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(workers: list[subprocess.Popen], received: list[int]) -> int | None:
    """Wait for all workers, and return the number of the one that failed first."""
    failed, deadline = None, None
    while True:
        codes = [worker.poll() for worker in workers]
        bad = {index: code for index, code in enumerate(codes) if code}
        if failed is None and bad:
            # One that was killed by a signal fails before those that miss it.
            failed = min(bad, key=lambda index: (bad[index] > 0, index))
        if None not in codes:
            return failed
        if deadline is None and (failed is not None or codes[0] is not None):
            deadline = time.monotonic() + (0 if received else LAST_WORDS_SECONDS)
        if deadline is not None and time.monotonic() > deadline:
            _end(workers)
        time.sleep(POLL_SECONDS)


def _end(workers: Sequence[subprocess.Popen]) -> None:
    """Terminate the workers that still run, and kill those that do not listen."""
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running:
        worker.terminate()
    deadline = time.monotonic() + TERMINATE_SECONDS
    for worker in running:
        try:
            worker.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _what_happened(index: int, code: int, logs: Path) -> str:
    how = f"ended with exit code {code}" if code > 0 else f"was killed by signal {-code}"
    where = f"its log is {logs / f'worker-{index}.log'}" if index else "its last lines are above"
    return f"worker {index} {how}; {where}"
