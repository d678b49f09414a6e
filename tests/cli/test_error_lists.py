import pytest

from tl_keras.cli.output import print_error


@pytest.mark.parametrize(
    ("message", "printed"),
    [
        ("output: other settings:\n  --seed: 0 before, 1 now\nChoose another.",
         "output: other settings: --seed: 0 before, 1 now. Choose another."),
        ("two things:\n  a is 1\n  b is 2.\nMend them.", "two things: a is 1; b is 2. Mend them."),
        ("why:\nthe disk is full", "why: the disk is full"),
        ("nothing more:", "nothing more:"),
    ],
)  # fmt: skip
def test_a_list_in_an_error_is_read_on_one_line(message, printed, capsys):
    print_error(message)
    assert capsys.readouterr().err == f"error: {printed}\n"
