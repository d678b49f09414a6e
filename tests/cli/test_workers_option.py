import json
import os
import signal
import subprocess
import sys
import threading
import time

import keras
import numpy as np
import pytest

from tl_keras.cli import workers
from tl_keras.cli.main import main
from tl_keras.cli.workers import gpus_here, shares_of_cores, worker_variables
from tl_keras.utils.errors import InputError

START = """
import json, os, pathlib, signal, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
end = pathlib.Path(sys.argv[-1]) / "end"
def wait():
    while not end.exists():
        time.sleep(0.05)
    time.sleep(0.5)
"""
"""How the programs begin that stand in for workers: `wait` returns after one has made `end`."""


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def with_program(monkeypatch, capfd, tmp_path):
    """Run `tl-keras train --workers N` with another program in place of the workers' own."""

    def run(program, count=2):
        monkeypatch.setattr(workers, "_PROGRAM", START + program)
        monkeypatch.setattr(workers, "gpus_here", list)
        capfd.readouterr()
        words = ["train", str(tmp_path), "--output", str(tmp_path / "run"), "--workers", str(count)]
        code = main(words)
        return code, *capfd.readouterr()

    return run


def test_workers_get_the_same_words(monkeypatch, tmp_path, capsys):
    commands, contexts = [], []

    def start(count, context, logs):
        assert logs == tmp_path / "a run" / "logs"
        commands.append(workers.words_of(context))
        contexts.append(context.params)
        return 7

    monkeypatch.setattr("tl_keras.cli.train.run_workers", start)
    (tmp_path / "some images").mkdir()
    words = ["train", "-o", str(tmp_path / "a run"), str(tmp_path / "some images"), "--workers=3"]
    words += ["--batch-size", "16", "--schedule", "two_stage", "--export-saved-model"]
    words += ["--label-smoothing", "0.1", "--weights", "-odd name"]
    assert main(words) == 7
    assert not any(word.startswith("--workers") for word in commands[0])
    assert main(["train", "--workers", "3", *commands[0][1:]]) == 7
    assert contexts[0] == contexts[1]
    assert contexts[0]["batch_size"] == 16 and contexts[0]["export_saved_model"]


def test_every_worker_gets_its_address_threads_and_gpus():
    first, second = worker_variables(2, [3, 1], ["0", "1", "5"])
    config = [json.loads(own["TF_CONFIG"]) for own in (first, second)]
    assert config[0]["cluster"] == config[1]["cluster"]
    addresses = config[0]["cluster"]["worker"]
    assert len(set(addresses)) == 2
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert [one["task"] for one in config] == [
        {"type": "worker", "index": 0},
        {"type": "worker", "index": 1},
    ]
    assert (first["TF_NUM_INTRAOP_THREADS"], second["TF_NUM_INTRAOP_THREADS"]) == ("3", "1")
    assert (first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]) == ("0", "1")
    assert "CUDA_VISIBLE_DEVICES" not in worker_variables(2, [1, 1], [])[0]
    with pytest.raises(InputError, match=r"2 workers cannot share 1 GPU\."):
        worker_variables(2, [1, 1], ["0"])


def test_gpus_that_may_be_used(monkeypatch):
    monkeypatch.setattr(workers, "nvidia_gpus", lambda: ["H200", "H200"])
    assert gpus_here() == ["0", "1"]
    for text, expected in (("1, 3", ["1", "3"]), ("", []), ("-1", [])):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
        assert gpus_here() == expected


def test_cores_are_divided(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 2, 3, 8, 6}, raising=False)
    assert shares_of_cores(2) == [[2, 3], [4, 6, 8]]
    assert shares_of_cores(3) == [[2], [3, 4], [6, 8]]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert shares_of_cores(2) == [[5], [5]]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--strategy", "mirrored"), "--strategy: with --workers, expected auto or multi_worker"),
        (("--workers", "0"), "Invalid value for '--workers'"),
    ],
)
def test_options_that_contradict_workers(tl_keras_cli, tmp_path, options, text):
    (tmp_path / "images").mkdir()
    words = ("train", tmp_path / "images", "--output", tmp_path / "run", "--workers", 2)
    code, _, err = tl_keras_cli(*words, *options)
    assert code == 2
    assert text in err
    assert not (tmp_path / "run").exists()


def test_workers_within_a_cluster_are_refused(with_program, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")
    code, _, err = with_program("")
    assert code == 2
    assert "--workers: it starts workers on this machine, but TF_CONFIG names some" in err


def test_success_and_where_output_goes(with_program, tmp_path):
    code, out, _ = with_program("print('I am', index)", count=3)
    assert code == 0
    assert out == "I am 0\n"
    for index in (1, 2):
        assert (tmp_path / f"run/logs/worker-{index}.log").read_text() == f"I am {index}\n"


def test_the_first_failure_decides_and_its_log_is_named(with_program, tmp_path):
    code, _, err = with_program("end.touch() or sys.exit(5) if index else wait() or sys.exit(1)")
    assert code == 5
    assert f"worker 1 ended with exit code 5; its log is {tmp_path}/run/logs/worker-1.log" in err


def test_a_killed_worker_gives_the_shells_exit_code(with_program):
    code, _, err = with_program(
        "end.touch() or os.kill(os.getpid(), signal.SIGKILL) if index else wait() or sys.exit(1)"
    )
    assert code == 128 + signal.SIGKILL
    assert "worker 1 was killed by signal 9; its log is" in err


def test_what_the_chief_has_said_is_not_repeated(with_program):
    code, _, err = with_program("sys.exit(2)")
    assert (code, err) == (2, "")


def test_workers_that_miss_nothing_are_stopped(with_program, monkeypatch):
    monkeypatch.setattr(workers, "LAST_WORDS_SECONDS", 0.5)
    monkeypatch.setattr(workers, "TERMINATE_SECONDS", 0.5)
    program = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    program += "if index == 2: end.touch() or sys.exit(3)\n"
    program += "time.sleep(60) if index == 1 else wait()"
    code, _, err = with_program(program, count=3)
    assert code == 3
    assert "worker 2 ended with exit code 3" in err


def test_a_request_to_stop_goes_to_the_chief_which_ends_in_its_own_way(with_program, tmp_path):
    chief = tmp_path / "chief"
    program = f"""
def stop(number, frame):
    open({str(chief)!r}, "a").write("saved")
    sys.exit(128 + number)
if index == 0:
    signal.signal(signal.SIGTERM, stop)
    open({str(chief)!r}, "w").close()
time.sleep(60)
"""

    def ask():
        while not chief.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=ask)
    thread.start()
    code, _, err = with_program(program)
    thread.join()
    assert code == 128 + signal.SIGTERM
    assert chief.read_text() == "saved"
    assert err == ""
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_process_that_starts_workers_needs_no_tensorflow():
    code = "import sys, tl_keras.cli.main; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_two_workers_train_the_model_that_one_process_trains(
    pictures, tiny_backbone, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("TL_KERAS_CACHE", str(tmp_path / "cache"))
    words = ["train", str(pictures), "--backbone", str(tiny_backbone), "--epochs", "2"]
    words += ["--schedule", "feature_extraction", "--batch-size", "7", "--test-split", "0.3"]
    for name, options in (("two", ["--workers=2"]), ("one", [])):
        code = main([*words, "--output", str(tmp_path / name), *options])
        assert code == 0, capfd.readouterr()
    models = [keras.saving.load_model(tmp_path / name / "model.keras") for name in ("one", "two")]
    for ours, theirs in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-5)
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    assert reports[0]["metrics"]["accuracy"] == reports[1]["metrics"]["accuracy"]
    log = (tmp_path / "two/logs/worker-1.log").read_text()
    assert "worker 1 (127.0.0.1:" in log
    assert "written" not in log
