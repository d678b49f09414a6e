import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from tl_keras.cli import main as main_module
from tl_keras.cli.main import _EXAMPLES, app, main
from tl_keras.utils.errors import InputError

COMMANDS = ("train", "evaluate", "predict", "export", "backbones", "cache", "doctor", "demo")


def start(*words, code=None):
    """Run the command line in a process of its own."""
    program = code or "import sys; from tl_keras.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_examples(command):
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    examples = result.output.partition("Examples")[2]
    assert f"tl-keras {command}" in examples
    assert "[/bold]" not in result.output


def test_help_names_all_commands_and_shows_long_options_in_full():
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"})
    assert result.exit_code == 0
    assert all(command in result.output for command in COMMANDS)
    assert "tl-keras train cells/" in result.output
    for command in ("train", "evaluate"):
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "80"}).output
        assert "--assert-accuracy-at-least" in shown


def test_the_examples_in_the_help_parse(monkeypatch):
    """Options in examples exist: each example gets to the point where data are looked for."""
    import shlex

    for commands in _EXAMPLES.values():
        for text in commands:
            words = shlex.split(text)[1:]
            command = typer.main.get_command(app).commands[words[0]]
            context = command.make_context(words[0], words[1:])
            assert context.params is not None


def test_help_does_not_import_tensorflow():
    code = (
        "import sys\nfrom tl_keras.cli.main import main\ncode = main(sys.argv[1:])\n"
        "loaded = {'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print('loaded', sorted(loaded))\nsys.exit(code)"
    )
    result = start("train", "--help", code=code)
    assert result.returncode == 0
    assert "loaded []" in result.stdout


def test_the_process_ends_with_the_exit_code():
    assert start("--version").returncode == 0
    result = start("train", "no_such_folder", "--no-such-option")
    assert result.returncode == 2
    assert (
        result.stderr == "error: No such option: --no-such-option. Try `tl-keras train --help`.\n"
    )


def test_no_command_shows_the_help_and_fails(tl_keras_cli):
    code, out, _ = tl_keras_cli()
    assert code == 2
    assert "Usage" in out


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["train", "none", "-o", "y"], "DIR: 'none' does not exist"),
        (["trian"], "No such command 'trian'"),
        (["train", "x"], "Missing option '--output'"),
        (["train", "x", "-o", "y", "--schedule", "fast"], "'fast' is not one of 'auto'"),
        (["train", "x", "-o", "y", "--assert-accuracy-at-least", "90"], "from 0 to 1, such as 0.9"),
        (["evaluate", "x", "y", "--batch-size", "0"], "--batch-size"),
        (["train", "x", "-o", "y", "--layer-decay", "0"], "'--layer-decay': expected a number abo"),
        (["train", "x", "-o", "y", "--layer-decay", "2"], "above 0 and up to 1, got 2"),
        (
            ["train", "x", "-o", "y", "--global-clipnorm", "0"],
            "'--global-clipnorm': expected a number above",
        ),
        (["train", "x", "-o", "y", "--learning-rate", "0"], "'--learning-rate': expected a number"),
        (["train", "x", "-o", "y", "--ema", "0.9"], "--ema is called --ema-momentum"),
        (["train", "x", "-o", "y", "--ema-momentum", "0"], "above 0 and below 1, got 0"),
        (
            ["train", "x", "-o", "y", "--ema-momentum", "1"],
            "'--ema-momentum': expected a number above 0 and below 1",
        ),
    ],
)
def test_mistakes_in_the_command_are_one_line_and_exit_code_2(tl_keras_cli, words, text):
    code, out, err = tl_keras_cli(*words)
    assert code == 2
    assert text in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert out == ""


def raising(monkeypatch, error):
    """Make `tl-keras backbones` raise an error."""

    def broken():
        raise error

    monkeypatch.setattr("tl_keras.cli.backbones.backbone_rows", broken)


def test_input_error_is_one_line_and_exit_code_2(tl_keras_cli, monkeypatch):
    raising(monkeypatch, InputError("data: no such thing.\n  Use another."))
    code, _, err = tl_keras_cli("backbones")
    assert code == 2
    assert err == "Use another.\nerror: data: no such thing.\n".replace("Use", "  Use")


def test_details_after_a_colon_join_the_line(tl_keras_cli, monkeypatch):
    raising(monkeypatch, InputError("path: expected folders:\n  a/one.jpg\n  b/two.jpg"))
    _, _, err = tl_keras_cli("backbones")
    assert err == "error: path: expected folders: a/one.jpg; b/two.jpg\n"


def test_other_errors_are_one_line_with_a_hint_and_exit_code_1(tl_keras_cli, monkeypatch):
    raising(monkeypatch, RuntimeError("\nthe disk burns\nin many lines"))
    code, _, err = tl_keras_cli("backbones")
    assert code == 1
    assert err == ("error: RuntimeError: the disk burns (rerun with --debug for the traceback)\n")


@pytest.mark.parametrize("words", [["--debug", "backbones"], ["backbones", "--debug"]])
def test_debug_lets_the_traceback_through(monkeypatch, words):
    raising(monkeypatch, RuntimeError("the disk burns"))
    with pytest.raises(RuntimeError, match="the disk burns"):
        main(words)


def test_debug_after_two_dashes_is_a_file_name():
    assert main_module._without_debug(["predict", "--debug", "--", "--debug"]) == (
        ["predict", "--", "--debug"],
        True,
    )


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_interruption_is_exit_code_130(tl_keras_cli, monkeypatch, error):
    raising(monkeypatch, error)
    code, _, err = tl_keras_cli("backbones")
    assert code == 130
    assert err.strip() == "error: interrupted"


def test_warnings_are_readable(tl_keras_cli, monkeypatch):
    import warnings

    def warn():
        warnings.warn("3 files left out", stacklevel=1)
        return []

    monkeypatch.setattr("tl_keras.cli.backbones.backbone_rows", warn)
    code, _, err = tl_keras_cli("backbones")
    assert code == 0
    assert err == "warning: 3 files left out\n"


def test_demo_gets_its_options(tl_keras_cli, monkeypatch):
    import types

    calls = []
    fake = types.SimpleNamespace(demo=lambda *arguments: calls.append(arguments))
    monkeypatch.setitem(sys.modules, "tl_keras.cli.demo", fake)
    assert tl_keras_cli("demo", "--output", "there", "--quick")[0] == 0
    assert tl_keras_cli("demo")[0] == 0
    assert calls == [("there", True), ("demo_run", False)]
