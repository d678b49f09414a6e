"""What a command says when Ctrl-C has ended it."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tl_keras.utils.cluster import cluster_from_environment

NOTHING = "interrupted before training had begun; nothing is saved"


def interruption(command: Any, words: Sequence[str]) -> str:
    """Say whether anything is saved, and which command resumes.

    Args:
        command: The command that was called, or None.
        words: The words after `tl-keras`.
    """
    output = _output(command, words) if command is not None and command.name == "train" else None
    if output is None:
        return "interrupted"
    if not output.is_dir():
        return NOTHING
    from tl_keras.training.runs.run_directory import CHECKPOINTS, MODEL_FILE

    if (output / MODEL_FILE).is_file():
        state = f"interrupted; the trained model is in {str(output)!r}. Do the rest with"
    elif any((output / CHECKPOINTS).glob("*")):
        state = f"interrupted; the state is saved in {str(output)!r}. Resume with"
    else:
        return NOTHING
    if cluster_from_environment() is not None:
        return f"{state} the same command on all workers"
    kept = [word for word in words if word != "--overwrite"]
    return f"{state}: {shlex.join(['tl-keras', *kept])}"


def _output(command: Any, words: Sequence[str]) -> Path | None:
    rest = list(words)[list(words).index(command.name) + 1 :]
    output = command.make_context(command.name, rest, resilient_parsing=True).params.get("output")
    return None if output is None else Path(output)
