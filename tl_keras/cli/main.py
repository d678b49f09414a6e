"""The entry point `tl-keras`: commands, exit codes and errors in one line."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tl_keras.cli.backbones import backbones
from tl_keras.cli.cache import cache
from tl_keras.cli.doctor import doctor
from tl_keras.cli.evaluate import evaluate
from tl_keras.cli.export import export
from tl_keras.cli.interruption import interruption
from tl_keras.cli.loading import LOG_LEVEL, QUIET, start_tensorflow
from tl_keras.cli.option_names import command_of, group_of, in_words_of
from tl_keras.cli.output import examples, one_line, print_error, readable_warnings
from tl_keras.cli.predict import predict
from tl_keras.cli.train import train
from tl_keras.utils.errors import InputError, WorkerLost

if TYPE_CHECKING:

    class _ClickException(Exception):
        """What click's exception of this name has, wherever typer keeps it."""

        exit_code: int

        def format_message(self) -> str: ...


USAGE_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="tl-keras",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "tl-keras train cells/ --backbone EfficientNetB0 --output runs/cells",
        "tl-keras evaluate runs/cells more_cells/",
        "tl-keras predict runs/cells photo.jpg photos/",
        "tl-keras export runs/cells --format tflite --output cells.tflite",
    ),
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tl-keras {version('tl_keras')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; works anywhere.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Transfer learning on images: train, evaluate, predict and export classifiers.

    The exit code is 0 only on success: 1 is a failure, 2 a mistake in the command or its data.
    """
    del debug, version
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(USAGE_ERROR)


def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory that everything is written to.")
    ] = Path("demo_run"),
    quick: Annotated[
        bool, typer.Option("--quick", help="A minute instead of several, with a worse model.")
    ] = False,
) -> None:
    """Train, evaluate and export a classifier of pictures that come with the library."""
    start_tensorflow()
    from tl_keras.cli.demo import demo as run_demo

    run_demo(str(output), quick)


_EXAMPLES = {
    train: (
        "tl-keras train cells/ --output runs/cells",
        "tl-keras train cells.csv --backbone MobileNetV2 --schedule two_stage --output runs/cells",
        "tl-keras train cells/ --output runs/cells --assert-accuracy-at-least 0.9",
        "tl-keras train cells/train --validation cells/val --test cells/test --output runs/cells",
    ),
    evaluate: (
        "tl-keras evaluate runs/cells test_cells/",
        "tl-keras evaluate runs/cells test_cells/ --json report.json --plot report.png",
    ),
    predict: (
        "tl-keras predict runs/cells photo.jpg",
        "tl-keras predict runs/cells photos/ --top 3 --format csv --output predictions.csv",
        "tl-keras predict cells_saved_model 'photos/*.png' --format json",
    ),
    export: (
        "tl-keras export runs/cells --format saved_model --output cells_saved_model",
        "tl-keras export runs/cells --format tflite-int8 --representative cells/ "
        "--output cells.tflite",
    ),
    backbones: ("tl-keras backbones", "tl-keras backbones --json"),
    cache: ("tl-keras cache", "tl-keras cache --clear --older-than 30"),
    doctor: ("tl-keras doctor", "tl-keras doctor --json"),
    demo: ("tl-keras demo --quick", "tl-keras demo --output demo_run"),
}

for _command, _commands in _EXAMPLES.items():
    app.command(epilog=examples(*_commands))(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after `tl-keras`; None for those of the process.

    Returns:
        The exit code: 0 on success, 1 on failure, 2 for a mistake in the command or its data,
        130 if interrupted.
    """
    words, debug = _without_debug(sys.argv[1:] if arguments is None else list(arguments))
    command = command_of(group_of(app), words)
    os.environ.setdefault(LOG_LEVEL, QUIET)
    # The same classes whether typer uses click or carries it inside.
    usage_error = typer.BadParameter.__bases__[0]
    click_exception: type[_ClickException] = usage_error.__bases__[0]
    try:
        with readable_warnings(lambda text: in_words_of(command, text)):
            code = app(words, prog_name="tl-keras", standalone_mode=False) or 0
        if code == INTERRUPTED:
            print_error(interruption(command, words))
        return code
    except click_exception as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "tl-keras"
        print_error(f"{one_line(error.format_message()).rstrip('.')}. Try `{path} --help`.")
        return error.exit_code
    except InputError as error:
        if debug:
            raise
        print_error(in_words_of(command, str(error)))
        return USAGE_ERROR
    except (KeyboardInterrupt, typer.Abort):
        print_error(interruption(command, words))
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has gone: let the interpreter flush to nowhere at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except WorkerLost as error:
        if debug:
            raise
        print_error(error)
        return 1
    except Exception as error:
        if debug:
            raise
        first = next((line for line in str(error).splitlines() if line.strip()), "no message")
        print_error(
            f"{type(error).__name__}: {one_line(first)[:300]} (rerun with --debug for the "
            "traceback)"
        )
        return 1


def _without_debug(words: list[str]) -> tuple[list[str], bool]:
    """Take `--debug` out of the words before `--`, wherever it stands."""
    end = words.index("--") if "--" in words else len(words)
    options = [word for word in words[:end] if word != "--debug"]
    return options + words[end:], len(options) < end


if __name__ == "__main__":
    sys.exit(main())
