"""Several workers: what `TF_CONFIG` says, and how a process becomes one of them."""

import contextlib
import dataclasses
import functools
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from typing import Any

from tl_keras.utils.compat import coordinated_job, is_at_work, runtime
from tl_keras.utils.errors import InputError, WorkerLost, listed

VARIABLE = "TF_CONFIG"
TIMEOUT_VARIABLE = "TL_KERAS_JOIN_TIMEOUT"
JOIN_SECONDS = 600.0
HEARTBEAT_SECONDS = 20
"""A worker that has not been heard of for so long is taken to be dead."""

JOBS = ("chief", "worker")
TASK = re.compile(r"/job:\w+/(?:replica:\d+/)?task:(\d+)")
EXAMPLE = '{"cluster": {"worker": ["a:2222", "b:2222"]}, "task": {"type": "worker", "index": 0}}'


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The workers of a job, and which of them this process is.

    Attributes:
        workers: Addresses `host:port`, the chief's first.
        index: Number of this process among them, from 0.
    """

    workers: tuple[str, ...]
    index: int

    @property
    def size(self) -> int:
        """Number of workers."""
        return len(self.workers)

    @property
    def is_chief(self) -> bool:
        """Whether this is worker 0, the one that writes."""
        return self.index == 0

    def name(self, index: int) -> str:
        """Return what messages call a worker."""
        return f"worker {index} ({self.workers[index]})"


def cluster_from_environment() -> Cluster | None:
    """Read `TF_CONFIG`.

    Returns:
        The workers; None if the variable is not set, or names one worker only.

    Raises:
        InputError: If it cannot be used; the message says what is wrong in it.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"expected JSON such as {EXAMPLE}, got {text[:80]!r} ({error})") from error
    jobs = config.get("cluster") if isinstance(config, dict) else None
    if not isinstance(jobs, dict) or not any(jobs.get(job) for job in JOBS):
        raise _refusal(f"it names no workers: cluster.worker is missing. Expected {EXAMPLE}")
    strange = sorted(set(jobs) - set(JOBS))
    if strange:
        raise _refusal(
            f"cluster: expected tasks of the types 'worker' and 'chief' only, got {strange}. All "
            "workers train in step, and the chief evaluates. Leave the others out"
        )
    addresses = {job: _addresses(job, jobs.get(job) or []) for job in JOBS}
    workers = (*addresses["chief"], *addresses["worker"])
    if len(set(workers)) < len(workers):
        raise _refusal(f"every worker needs an address of its own, got {list(workers)}")
    index = _own_index(config.get("task"), addresses)
    return Cluster(workers, index) if len(workers) > 1 else None


def is_chief() -> bool:
    """Return whether this process is the one that writes: the first worker, or the only one."""
    cluster = cluster_from_environment()
    return cluster is None or cluster.is_chief


def join_cluster() -> Any:
    """Become one of the workers that `TF_CONFIG` names, and wait until all of them have come.

    TensorFlow can do this only before it has computed anything in the process. `image_folder`,
    `build_transfer_model` and `fine_tune` therefore begin with it; a script that uses TensorFlow
    before any of them calls it in its first line. Calling it again does nothing.

    Returns:
        The `tf.distribute.Strategy` over all workers; None without several workers in `TF_CONFIG`,
        or if TensorFlow has been at work already.

    Raises:
        InputError: If `TF_CONFIG` cannot be used, or the workers have different numbers of GPUs.
        WorkerLost: If a worker does not come within 600 seconds, or within as many as the
            environment variable `TL_KERAS_JOIN_TIMEOUT` says.
    """
    cluster = cluster_from_environment()
    return None if cluster is None else _join(cluster)


@functools.cache
def _join(cluster: Cluster) -> Any:
    seconds = join_seconds()
    import tensorflow as tf

    context = runtime()
    if is_at_work(context):
        return None
    _watch_workers(context, cluster, seconds)
    gpus = len(tf.config.list_physical_devices("GPU"))
    implementation = tf.distribute.experimental.CommunicationImplementation
    try:
        with _interruptible():
            strategy = tf.distribute.MultiWorkerMirroredStrategy(
                tf.distribute.cluster_resolver.SimpleClusterResolver(
                    tf.train.ClusterSpec({"worker": list(cluster.workers)}),
                    task_type="worker",
                    task_id=cluster.index,
                    num_accelerators={"GPU": gpus},
                    rpc_layer="grpc",
                ),
                tf.distribute.experimental.CommunicationOptions(
                    implementation=implementation.AUTO if gpus else implementation.RING
                ),
            )
            counts = _told_by_all(context, cluster, gpus, seconds)
    except tf.errors.OpError as error:
        raise _not_joined(cluster, seconds, str(error)) from error
    check_equal_gpus(counts)
    return strategy


def join_seconds() -> float:
    """Return how long a worker waits for the others."""
    text = os.environ.get(TIMEOUT_VARIABLE, "").strip()
    with contextlib.suppress(ValueError):
        seconds = float(text) if text else JOIN_SECONDS
        if 1 <= seconds < 1e6:
            return seconds
    raise InputError(f"{TIMEOUT_VARIABLE}: expected seconds, 1 or more, got {text!r}.")


def check_equal_gpus(counts: list[int]) -> None:
    """Raise `InputError` unless all workers have as many GPUs; `counts` has one entry for each."""
    if len(set(counts)) > 1:
        raise InputError(
            f"{VARIABLE}: workers 0 to {len(counts) - 1} have {', '.join(map(str, counts))} GPUs. "
            "All need the same number; hide the others with CUDA_VISIBLE_DEVICES."
        )


def _watch_workers(context: Any, cluster: Cluster, seconds: float) -> None:
    """Make TensorFlow's own service wait for all workers, and miss them when they die."""
    context.configure_coordination_service(
        service_type="standalone",
        service_leader="/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=int(1000 * seconds),
        heartbeat_timeout_in_ms=1000 * HEARTBEAT_SECONDS,
        coordinated_jobs=[coordinated_job("worker", cluster.size)],
    )
    if hasattr(context.coordination_service, "cluster_register_with_barrier"):
        context.coordination_service.cluster_register_with_barrier = True


def _told_by_all(context: Any, cluster: Cluster, gpus: int, seconds: float) -> list[int]:
    """Tell the other workers a number of GPUs, and return everybody's."""
    keys = [f"tl_keras/gpus/{index}" for index in range(cluster.size)]
    context.set_config_key_value(keys[cluster.index], str(gpus))
    return [int(context.get_config_key_value(key, int(1000 * seconds))) for key in keys]


def _not_joined(cluster: Cluster, seconds: float, message: str) -> Exception:
    if "Could not start gRPC server" in message:
        return InputError(
            f"{VARIABLE}: {cluster.name(cluster.index)} cannot listen on the port of its address. "
            "Another program, or a worker of an earlier job, may hold it; choose another port."
        )
    if "timed out" not in message and "Deadline Exceeded" not in message:
        return WorkerLost(
            f"{VARIABLE}: {cluster.name(cluster.index)} could not join the others "
            f"({message.partition(chr(10))[0]}). Stop all {cluster.size} workers and start them "
            "again."
        )
    missing = message.partition("timed out task names:")[2].partition("Additional GRPC")[0]
    indices = sorted({int(index) for index in TASK.findall(missing)}) or [0]
    return WorkerLost(
        f"{VARIABLE}: within {seconds:g} seconds, "
        f"{listed([cluster.name(index) for index in indices])} did not come. "
        f"Start all {cluster.size} workers with the same list of addresses, and check "
        f"that they reach each other's ports. {TIMEOUT_VARIABLE}=seconds makes them wait longer."
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the process while compiled code waits, where Python cannot look for it."""
    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _addresses(job: str, listed: Any) -> tuple[str, ...]:
    if not isinstance(listed, list):
        raise _refusal(f"cluster.{job}: expected a list of addresses, got {listed!r}")
    for address in listed:
        if not isinstance(address, str) or not re.fullmatch(r".+:\d+", address):
            raise _refusal(f"cluster.{job}: expected addresses 'host:port', got {address!r}")
    return tuple(listed)


def _own_index(task: Any, addresses: dict[str, tuple[str, ...]]) -> int:
    if not isinstance(task, dict) or not {"type", "index"} <= set(task):
        raise _refusal(f'"task" must say which worker this is, got {task!r}. Expected {EXAMPLE}')
    kind, index = task["type"], str(task["index"])
    if kind not in JOBS:
        raise _refusal(
            f"task.type: expected 'worker' or 'chief', got {kind!r}. All workers train in step, "
            "and the chief evaluates: start no other processes"
        )
    count = len(addresses[kind])
    if not index.isdecimal() or int(index) >= count:
        raise _refusal(
            f"task.index: expected a number below {count}, as cluster.{kind} has {count} "
            f"addresses, got {task['index']!r}"
        )
    return int(index) + (len(addresses["chief"]) if kind == "worker" else 0)


def _refusal(what: str) -> InputError:
    return InputError(f"{VARIABLE}: {what}.")
