"""Hostile `.pth` files: each is refused in one line, and an honest one reads as before."""

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tl_keras.backbones.torch_state import read_state_dict
from tools.torture.children import fork, limit_memory
from tools.torture.figures import Figures
from tools.torture.hostile_pth import HONEST, cases, honest
from tools.torture.survey import drawn, figures_of, survey

QUICK = 80
SECONDS = 400
MEMORY = 2**29
GROWTH = 150 * 2**20
"""Bytes of memory that the process may have taken in the end."""


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Read all hostile files, or some of every family of them, in one process with limits."""
    ended = fork(_survey, seed, quick, seconds=SECONDS, memory=None)
    return figures_of(ended, GROWTH)


def _survey(seed: int, quick: bool) -> Any:
    with tempfile.TemporaryDirectory(prefix="pth_") as folder:
        path = Path(folder, "honest.pth")
        path.write_bytes(honest())

        def after() -> str | None:
            state = read_state_dict(path)
            return None if _as_written(state) else "an honest file reads differently"

        def harmless(name: str, state: dict[str, np.ndarray]) -> bool:
            return name.startswith("flip/") and _as_written(state)

        chosen = drawn(cases(seed), QUICK if quick else None, random.Random(seed))
        limit_memory(MEMORY)
        return survey(chosen, read_state_dict, harmless, after, ".pth")


def _as_written(state: dict[str, np.ndarray]) -> bool:
    shape, numbers = HONEST["weight"]
    expected = np.reshape(np.float32(numbers), shape)
    return list(state) == ["weight"] and np.array_equal(state["weight"], expected)
