"""Several workers: what happens to the others when one of them ends."""

import contextlib
import re
import traceback
from collections.abc import Iterator

import tensorflow as tf

from tl_keras.utils.cluster import TASK, Cluster, cluster_from_environment
from tl_keras.utils.compat import runtime
from tl_keras.utils.errors import WorkerLost

LOST = re.compile(
    "Collective ops is aborted|Error reported from /job:|remote target /job:|check alive failed"
)
REPORTED = re.compile(r"Error reported from \S*task:(?P<task>\d+):")
TOLD = re.compile(r"tl_keras worker (?P<task>\d+): (?P<reason>.*)")
LONGEST_REASON = 500


@contextlib.contextmanager
def readable_worker_errors() -> Iterator[None]:
    """Turn TensorFlow's errors about lost workers into `WorkerLost`.

    Whatever else ends the block in one worker is told to the others at once, which would
    otherwise wait until they miss it.

    Raises:
        WorkerLost: If another worker died, could not be reached, or stopped.
    """
    try:
        yield
    except WorkerLost:
        raise
    except tf.errors.OpError as error:
        if LOST.search(str(error)) is None:
            _tell_others(f"{type(error).__name__}: {error}")
            raise
        _let_go(error)
        raise WorkerLost(what_was_lost(str(error))) from error
    except Exception as error:
        _tell_others(f"{type(error).__name__}: {error}")
        raise
    except BaseException as error:
        _tell_others("it was told to")
        _let_go(error)
        raise


def what_was_lost(message: str) -> str:
    """Return in words what TensorFlow says about a lost worker."""
    cluster = cluster_from_environment()
    told, reported = TOLD.search(message), REPORTED.search(message)
    if told:
        what = f"{_names(cluster, {int(told['task'])})} stopped: {told['reason'].strip()}"
    elif reported and "different incarnation" in message:
        what = f"{_names(cluster, {int(reported['task'])})} was restarted while others trained"
    else:
        text = message[reported.end() :] if reported else message
        names = _names(cluster, {int(index) for index in TASK.findall(text)})
        what = f"{names} cannot be reached any more; its own log says why"
    return (
        f"training: {what.rstrip('.')}. The other workers stop too. Start the job again with the "
        "same command: a run with an output directory goes on from its last checkpoint."
    )


def _names(cluster: Cluster | None, indices: set[int]) -> str:
    """Return the other workers among these, in words."""
    if cluster is None:
        return "a worker"
    others = indices & set(range(cluster.size)) - {cluster.index}
    return " and ".join(cluster.name(index) for index in sorted(others)) or "a worker"


def _tell_others(reason: str) -> None:
    """Report why this worker ends, so that the others' collectives fail at once."""
    # The worker ends with its own error; that it cannot be told must not hide it.
    with contextlib.suppress(Exception):
        cluster, context = cluster_from_environment(), runtime()
        if cluster is not None and context.coordination_service is not None:
            line = reason.partition("\n")[0][:LONGEST_REASON]
            context.report_error_to_cluster(
                tf.errors.ABORTED, f"tl_keras worker {cluster.index}: {line}"
            )


def _let_go(error: BaseException) -> None:
    """Free what the error's frames hold, before the interpreter ends and its order is lost."""
    traceback.clear_frames(error.__traceback__)
