"""Messages of the library in the words of the command line."""

import re
import shlex
from collections.abc import Sequence
from typing import Any

import typer

RENAMED = {
    "augmentation": "augment",
    "data": "data",
    "path": "data",
    "model": "run",
    "input_shape": "image_size",
    "num_classes": "data",
}
"""Arguments in Python → parameters of commands with other names, where a command has these."""
OWN = {("export", "path"): "output", ("predict", "run"): "model"}
"""The same for one command."""


def in_words_of(command: Any, message: str) -> str:
    """Return a message with arguments of Python as the options of a command.

    `batch_size: expected …` becomes `--batch-size: expected …`, `overwrite=True` becomes
    `--overwrite`, and `on_problem='skip'` becomes `--on-problem skip`. Of a call of
    `tl.data.image_table` the options stay. Words that may be plain English are left alone, unless
    they begin the message or an `=` follows.

    Args:
        command: The command that was called, or None.
        message: What the library says.
    """
    options = _options(command)
    if "path_column" in options:
        message = re.sub(r"tl\.data\.image_table\(([^()]*)\)", _columns_called, message)
    for name, option in options.items():
        flag = rf"(?<![\w./'\"-]){name}=True\b"
        value = rf"(?<![\w./'\"-]){name}=('[^']*'|[^\s'.,;)]+)"
        message = re.sub(flag, option, message)
        message = re.sub(value, lambda found, to=option: f"{to} {_as_word(found[1])}", message)
        if "_" in name:
            message = re.sub(rf"(?<![\w./'\"-]){name}(?![\w/'\"=]|\.\w)", option, message)
        elif re.match(rf"{name}(: |\[)", message):
            message = option + message[len(name) :]
    return message


def _columns_called(call: re.Match) -> str:
    """Return the arguments of a call of `image_table` that commands have options for."""
    named = [part for part in call[1].split(", ") if "=" in part]
    return " ".join(part.replace("path=", "path_column=", 1) for part in named) or "--label"


def _as_word(value: str) -> str:
    """Return a value as a shell takes it; the sign for what is left out stays."""
    value = value.strip("'")
    return value if value == "…" else shlex.quote(value)


def command_of(group: Any, words: Sequence[str]) -> Any:
    """Return the command that words after `tl-keras` call, or None."""
    name = next((word for word in words if not word.startswith("-")), None)
    return group.commands.get(name)


def _options(command: Any) -> dict[str, str]:
    """Return name of an argument in Python → what the command line calls it."""
    if command is None:
        return {}
    own = {
        parameter.name: parameter.metavar or parameter.name.upper()
        if parameter.param_type_name == "argument"
        else max(parameter.opts, key=len)
        for parameter in command.params
    }
    renamed = {name: own[other] for name, other in RENAMED.items() if other in own}
    special = {name: own[other] for (of, name), other in OWN.items() if of == command.name}
    return {**renamed, **own, **special}


def group_of(app: typer.Typer) -> Any:
    """Return the commands of an app."""
    return typer.main.get_command(app)
