"""Hostile `.tar.gz` files: each is refused in one line, and nothing of it is left anywhere."""

import os
import random
import resource
import tempfile
from pathlib import Path
from typing import Any

from tl_keras.backbones.module_source import ModuleFiles, resolve_module
from tools.torture.children import fork, limit_memory
from tools.torture.figures import Figures
from tools.torture.hostile_archives import FILES, cases
from tools.torture.survey import drawn, figures_of, survey

QUICK = 60
SECONDS = 400
MEMORY = 2**28
LARGEST_FILE = 2**28
GROWTH = 100 * 2**20


def run(seed: int = 0, quick: bool = False) -> Figures:
    """Unpack all hostile archives, or some of every family, in one process with limits."""
    with tempfile.TemporaryDirectory(prefix="archives_") as outer:
        ended = fork(_survey, Path(outer), seed, quick, seconds=SECONDS, memory=None)
    return figures_of(ended, GROWTH)


def _survey(outer: Path, seed: int, quick: bool) -> Any:
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    inner = outer / "temporary"
    inner.mkdir()
    tempfile.tempdir = str(inner)

    def after() -> str | None:
        left = [name for name in os.listdir(inner) if not name.startswith("torture_")]
        left += [name for name in os.listdir(outer) if name != inner.name]
        return f"left on the disk: {left}" if left else None

    chosen = drawn(cases(seed), QUICK if quick else None, random.Random(seed))
    limit_memory(MEMORY)
    return survey(chosen, resolve_module, _harmless, after, ".tar.gz")


def _harmless(name: str, files: ModuleFiles) -> bool:
    folder = Path(files.path)
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    files._temporary.cleanup()
    return name.startswith("flip/") and found == FILES
