import json
import os
import pathlib
import subprocess
import sys
import textwrap

import pytest
import tensorflow as tf

from tl_keras.utils.cluster import (
    Cluster,
    _not_joined,
    check_equal_gpus,
    cluster_from_environment,
    is_chief,
    join_cluster,
    join_seconds,
)
from tl_keras.utils.errors import InputError, WorkerLost

A, B, C = "10.0.0.1:2222", "10.0.0.2:2222", "[::1]:2222"


def tf_config(cluster, task=("worker", 0)):
    if isinstance(task, tuple):
        task = dict(zip(("type", "index"), task, strict=True))
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (tf_config({"worker": [A, B]}), Cluster((A, B), 0)),
        (tf_config({"worker": [A, B]}, ("worker", "1")), Cluster((A, B), 1)),
        (tf_config({"chief": [A], "worker": [B, C]}, ("chief", 0)), Cluster((A, B, C), 0)),
        (tf_config({"chief": [A], "worker": [B, C]}, ("worker", 1)), Cluster((A, B, C), 2)),
        (tf_config({"worker": [A]}), None),
        (tf_config({"chief": [A], "worker": []}, ("chief", 0)), None),
        ("", None),
        (None, None),
    ],
)
def test_what_tf_config_says(monkeypatch, text, expected):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    assert cluster_from_environment() == expected


def test_the_first_worker_is_the_chief(monkeypatch):
    clusters = [Cluster((A, B), index) for index in (0, 1)]
    assert [cluster.is_chief for cluster in clusters] == [True, False]
    assert clusters[0].size == 2
    assert clusters[0].name(1) == f"worker 1 ({B})"
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert is_chief()
    for index in (0, 1):
        monkeypatch.setenv("TF_CONFIG", tf_config({"worker": [A, B]}, ("worker", index)))
        assert is_chief() is (index == 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cluster'", r"TF_CONFIG: expected JSON such as .* got \"\{'cluster'\""),
        ("[]", "it names no workers: cluster.worker is missing"),
        ("{}", "it names no workers: cluster.worker is missing"),
        (tf_config({"worker": []}), "it names no workers"),
        (tf_config({"worker": [A], "ps": [B]}), r"types 'worker' and 'chief' only, got \['ps'\]"),
        (tf_config({"worker": [A], "evaluator": [B]}), r"'chief' only, got \['evaluator'\]"),
        (tf_config({"worker": [A, B]}, ("evaluator", 0)), "task.type: .* got 'evaluator'"),
        (tf_config({"worker": [A]}, ("evaluator", 0)), "task.type: .* got 'evaluator'"),
        (tf_config({"worker": [A, B]}, ("worker", 2)), "task.index: .* below 2, .* got 2"),
        (tf_config({"worker": [A, B]}, ("worker", -1)), "task.index: .* got -1"),
        (tf_config({"worker": [A, B]}, ("chief", 0)), "cluster.chief has 0 addresses"),
        (tf_config({"worker": [A, B]}, None), '"task" must say which worker this is, got None'),
        (tf_config({"worker": {"0": A}}), "cluster.worker: expected a list of addresses"),
        (tf_config({"worker": [A, "10.0.0.2"]}), "'host:port', got '10.0.0.2'"),
        (tf_config({"worker": [A, A]}), "every worker needs an address of its own"),
    ],
)
def test_a_tf_config_that_cannot_be_used(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=message):
        cluster_from_environment()


def test_joining_without_a_cluster_or_too_late_gives_nothing(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert join_cluster() is None
    tf.constant(1)
    monkeypatch.setenv("TF_CONFIG", tf_config({"worker": [A, B]}))
    assert join_cluster() is None


def test_how_long_to_wait(monkeypatch):
    monkeypatch.delenv("TL_KERAS_JOIN_TIMEOUT", raising=False)
    assert join_seconds() == 600
    monkeypatch.setenv("TL_KERAS_JOIN_TIMEOUT", "45.5")
    assert join_seconds() == 45.5
    for text in ("soon", "0", "-3", "nan", "inf"):
        monkeypatch.setenv("TL_KERAS_JOIN_TIMEOUT", text)
        with pytest.raises(InputError, match=f"expected seconds, 1 or more, got '{text}'"):
            join_seconds()


def test_workers_need_the_same_number_of_gpus():
    check_equal_gpus([2, 2, 2])
    with pytest.raises(InputError, match="workers 0 to 2 have 2, 1, 2 GPUs"):
        check_equal_gpus([2, 1, 2])


def test_the_workers_that_did_not_come_are_named():
    message = (
        "Barrier timed out. Id: [Init]Wait_for_all_tasks_to_register::0. # of tasks that reached "
        "the barrier: 1/3.\nThe first task at the barrier: /job:worker/replica:0/task:0. Some "
        "timed out task names:\n/job:worker/replica:0/task:1\n/job:worker/replica:0/task:2\n\n"
        "Additional GRPC error information from remote target /job:worker/replica:0/task:0 while"
    )
    error = _not_joined(Cluster((A, B, C), 0), 45.0, message)
    assert isinstance(error, WorkerLost)
    assert f"within 45 seconds, worker 1 ({B}) and worker 2 ({C}) did not come" in str(error)
    # A worker that does not reach the chief learns nothing about the others.
    error = _not_joined(Cluster((A, B, C), 1), 45.0, "Deadline Exceeded")
    assert f"within 45 seconds, worker 0 ({A}) did not come" in str(error)
    error = _not_joined(Cluster((A, B), 1), 45.0, "Unavailable: no route\nmore")
    assert f"worker 1 ({B}) could not join the others (Unavailable: no route)" in str(error)
    error = _not_joined(Cluster((A, B), 1), 45.0, "Could not start gRPC server")
    assert isinstance(error, InputError)
    assert f"worker 1 ({B}) cannot listen on the port of its address" in str(error)


DOCS = pathlib.Path(__file__).parents[1] / "docs" / "cluster"


@pytest.fixture
def run_script(tmp_path):
    """Run a shell script where Slurm's programs and `tl-keras` are replaced; gives its result."""
    programs = {
        "tl-keras": 'echo "$TF_CONFIG"; exit "${CODE:-0}"',
        "scontrol": 'if [ "$1" = requeue ]; then echo "requeue $2"; else echo n1; echo n2; fi',
        "srun": 'shift; for p in 0 1; do SLURM_PROCID=$p "$@" || code=$?; done; exit ${code:-0}',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)

    def run(script, **variables):
        return subprocess.run(
            ["bash", "-c", script],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **variables},
            capture_output=True,
            text=True,
        )

    return run


def test_the_kubernetes_job_names_its_pods(run_script, monkeypatch):
    _, _, rest = (DOCS / "train.yaml").read_text().partition("args:\n            - |\n")
    script = textwrap.dedent(rest[: rest.index("          resources:")])
    for index in "01":
        result = run_script(script, WORKERS="2", JOB_COMPLETION_INDEX=index)
        monkeypatch.setenv("TF_CONFIG", result.stdout)
        workers = ("cells-0.cells:2222", "cells-1.cells:2222")
        assert cluster_from_environment() == Cluster(workers, int(index)), result.stderr


@pytest.mark.parametrize(("code", "requeued"), [("0", False), ("2", False), ("143", True)])
def test_the_slurm_script_names_its_nodes_and_queues_again(run_script, monkeypatch, code, requeued):
    script = (DOCS / "train.slurm").read_text()
    result = run_script(script, SLURM_JOB_ID="20123", SLURM_JOB_NODELIST="n[1-2]", CODE=code)
    assert result.returncode == int(code), result.stderr
    lines = result.stdout.splitlines()
    for index in (0, 1):
        monkeypatch.setenv("TF_CONFIG", lines[index])
        assert cluster_from_environment() == Cluster(("n1:20123", "n2:20123"), index)
    assert lines[2:] == (["requeue 20123"] if requeued else [])


@pytest.mark.slow
def test_a_worker_that_never_comes_ends_the_wait_with_its_name():
    code = (
        "import tl_keras as tl\ntry: tl.join_cluster()\nexcept tl.WorkerLost as error: print(error)"
    )
    workers = {"worker": ["127.0.0.1:0", "127.0.0.1:1"]}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TF_CONFIG": tf_config(workers), "TL_KERAS_JOIN_TIMEOUT": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "within 1 seconds, worker 1 (127.0.0.1:1) did not come" in result.stdout, result.stderr
