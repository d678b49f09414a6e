import json
import os

import psutil
import pytest

from tl_keras.cli import doctor as doctor_module
from tl_keras.cli.doctor import _warnings, examine, missing_cuda_libraries
from tl_keras.utils.memory import machine_memory


def test_doctor_prints_versions_devices_and_memory(tl_keras_cli):
    import tensorflow as tf

    code, out, err = tl_keras_cli("doctor")
    assert code == 0
    assert err == ""
    assert tf.__version__ in out
    for part in ("keras", "numpy", "CPUs", "GPUs", "memory", "disk free", "extra onnx"):
        assert part in out
    assert "tl-keras can be used here." in out


def test_json_agrees_with_other_sources(tl_keras_cli):
    code, out, _ = tl_keras_cli("doctor", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["memory_bytes"]["total"] == psutil.virtual_memory().total
    assert facts["cpus"] == len(psutil.Process().cpu_affinity())
    assert facts["problems"] == []


def test_memory_is_read_from_meminfo(tmp_path):
    source = tmp_path / "meminfo"
    source.write_text("MemTotal:  2000 kB\nMemFree: 5 kB\nMemAvailable:  1500 kB\n")
    assert machine_memory(source) == {"total": 2_048_000, "available": 1_536_000}


def test_memory_without_meminfo(tmp_path):
    total = machine_memory(tmp_path / "absent")["total"]
    assert total == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_missing_extra_comes_with_its_command(tl_keras_cli, monkeypatch):
    monkeypatch.setitem(doctor_module.EXTRAS, "onnx", ("no-such-distribution",))
    assert examine()["extras"]["onnx"]["missing"] == ["no-such-distribution"]
    code, out, _ = tl_keras_cli("doctor")
    assert code == 0
    assert 'missing no-such-distribution: pip install "tl_keras[onnx]"' in out


def facts(**changed):
    cuda = {"built_with_cuda": True, "missing_libraries": ["cudnn"]}
    return {
        "nvidia_gpus": ["H200"],
        "gpus": [],
        "cuda": cuda,
        "memory_bytes": {"total": 16e9, "available": 12e9},
        "disk_free_bytes": 50e9,
        **changed,
    }


def test_unused_gpu_is_a_warning_with_the_command():
    (warning,) = _warnings(facts())
    assert "(H200) that TensorFlow does not use; missing: cudnn." in warning
    assert 'pip install "tensorflow[and-cuda]"' in warning
    (warning,) = _warnings(facts(cuda={"built_with_cuda": False, "missing_libraries": []}))
    assert "built without CUDA" in warning


def test_no_warning_without_cause():
    assert _warnings(facts(gpus=["GPU:0 H200"])) == []
    assert _warnings(facts(nvidia_gpus=[])) == []


def test_little_memory_and_disk_are_warnings():
    found = _warnings(
        facts(nvidia_gpus=[], memory_bytes={"total": 4e9, "available": 1e9}, disk_free_bytes=1e9)
    )
    assert "only 1.0 GB of memory" in found[0]
    assert "only 1.0 GB of disk" in found[1]


def test_cuda_libraries_count_as_present_by_pip_or_on_the_system(monkeypatch):
    class Distribution:
        def __init__(self, name):
            self.metadata = {"Name": name}

    monkeypatch.setattr(
        doctor_module.metadata, "distributions", lambda: [Distribution("nvidia_cudnn_cu12")]
    )
    monkeypatch.setattr(
        doctor_module.ctypes.util, "find_library", lambda name: name == "nccl" or None
    )
    missing = missing_cuda_libraries()
    assert "cudnn" not in missing
    assert "nccl" not in missing
    assert {"cublas", "cufft"} <= set(missing)


def test_nvidia_smi_names_the_gpus(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert doctor_module.nvidia_gpus() == ["NVIDIA H200"]


def test_unusable_tensorflow_is_exit_code_1(tl_keras_cli, monkeypatch):
    def broken():
        raise ImportError("libtensorflow is gone\nmore")

    monkeypatch.setattr(doctor_module, "_tensorflow_facts", broken)
    code, _, err = tl_keras_cli("doctor")
    assert code == 1
    assert err == "error: TensorFlow cannot be used: ImportError: libtensorflow is gone\n"


@pytest.mark.parametrize("name", ["numpy", "rich"])
def test_version_of_agrees_with_the_package(name):
    import importlib.metadata

    assert doctor_module.version_of(name) == importlib.metadata.version(name)
    assert doctor_module.version_of("no-such-distribution") is None
