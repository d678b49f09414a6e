"""Tables of results as Markdown files, with what they were measured on."""

import os
import pathlib
import platform
import sys
from collections.abc import Sequence

import keras
import numpy as np
import sklearn
import tensorflow as tf

import tl_keras as tl

RESULTS = pathlib.Path(__file__).parent / "results"


def machine() -> str:
    """Return processor, cores and versions in one line."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"NumPy {np.__version__}, scikit-learn {sklearn.__version__}, tl_keras {tl.__version__}"
    )


def write_results(name: str, title: str, lines: Sequence[str]) -> pathlib.Path:
    """Write a table under its title, with the command and the machine.

    Args:
        name: Of the benchmark, `python -m benchmarks.NAME`, and of the file.
        title: What was measured.
        lines: The rest of the file.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    command = " ".join(["python -m", f"benchmarks.{name}", *sys.argv[1:]])
    head = [f"# {title}", "", f"`{command}`", "", machine(), ""]
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return path


def _processor() -> str:
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
