"""What `tools.torture` counts as lost: each judge is shown one case of every kind."""

import os
import pathlib
import random
import signal
import time
import warnings

import numpy as np
import pytest
from sklearn.utils import check_array

from tl_keras.utils.errors import InputError
from tools.torture import estimators, full_disk
from tools.torture.array_methods import Method
from tools.torture.children import fork, fork_each
from tools.torture.figures import Figures, table
from tools.torture.file_faults import FullDisk, Kill, file_size_limit
from tools.torture.hostile_arrays import Samples, cases, honest
from tools.torture.survey import drawn, survey


def fail(error):
    raise error


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def take(size):
    return len(bytearray(size))


def test_children_end_in_every_way():
    assert fork(pow, 2, 5).value == 32
    assert fork(fail, InputError("x: no")).trouble == "InputError: 'x: no'"
    assert "SIGKILL" in fork(die).trouble
    assert fork(time.sleep, 60, seconds=0.3).trouble.startswith("not done after")
    assert fork(os._exit, 3).trouble.endswith("exit status 3 without a value'")
    assert fork(take, 2**20, memory=2**28).value == 2**20
    assert fork(take, 2**29, memory=2**28).trouble.startswith("MemoryError")
    ended = dict(fork_each(divmod, (("one", (7, 2)), ("two", (7, 0)), ("three", (9, 2)))))
    assert ended["one"].value == (3, 1) and ended["three"].value == (4, 1)
    assert ended["two"].trouble.startswith("ZeroDivisionError")


def write_thrice(path):
    for number in range(3):
        (path / str(number)).write_text("content")
        os.replace(path / str(number), path / f"{number}.txt")


def killed_at(number, path):
    Kill(number).install()
    write_thrice(path)


def test_kills_come_before_an_operation(tmp_path):
    with Kill(None).installed() as watch:
        write_thrice(tmp_path)
    assert watch.seen == ["open", "replace"] * 3
    for path in tmp_path.iterdir():
        path.unlink()
    assert fork(killed_at, 3, tmp_path).killed_by == 9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.txt", "1"]


@pytest.mark.parametrize(("lasts", "left"), [(True, 1), (False, 2)])
def test_full_disks(tmp_path, lasts, left):
    (tmp_path / "there").write_text("kept")
    with FullDisk(1, lasts).installed():
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "new").write_text("twelve bytes")
        if not lasts:
            (tmp_path / "second").write_text("a")
    (tmp_path / "new").unlink()
    assert len(list(tmp_path.iterdir())) == left
    with file_size_limit(3), pytest.raises(OSError, match="File too large"):
        (tmp_path / "new").write_text("twelve bytes")


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (InputError("output: one line"), None),
        (InputError("output: two\nlines"), "not one readable line"),
        (InputError("\x1b[31mred"), "not one readable line"),
        (OSError(28, "No space"), "OSError in place of InputError"),
    ],
)
def test_errors_of_full_disks(error, trouble):
    found = full_disk.what_is_wrong(error)
    assert found is None if trouble is None else found.startswith(trouble)


def warn(X, y, domain):
    np.log(np.zeros(1))
    return X


def change(X, y, domain):
    X[0] = 7.0
    return X


@pytest.mark.parametrize(
    ("apply", "trouble"),
    [
        (lambda X, y, domain: X.sum(axis=1), None),
        (lambda X, y, domain: check_array([[np.nan]]), None),
        (lambda X, y, domain: fail(InputError("X: no")), None),
        (lambda X, y, domain: fail(ValueError("no")), "ValueError: 'no'"),
        (lambda X, y, domain: np.linalg.inv(np.zeros((2, 2))), "LinAlgError"),
        (lambda X, y, domain: X[:3], "a result of shape"),
        (lambda X, y, domain: X * np.nan, "a result that is not finite"),
        (warn, "warned: divide by zero"),
        (change, "the input has changed"),
    ],
)
def test_what_estimators_may_do(apply, trouble):
    found = estimators.tried(Method(apply), honest(0, regression=False))
    assert found is None if trouble is None else found.startswith(trouble)


def test_hostile_arrays_are_those_of_the_seed():
    names = [name for name, _ in cases(0, regression=False)]
    assert len(set(names)) == len(names) > 120
    one, two = (dict(cases(0, regression=True))["X/one of 1e8"].X for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert isinstance(honest(1, regression=True), Samples)


def test_surveys_count_and_tables_show():
    def read(path):
        content = pathlib.Path(path).read_bytes()
        if content == b"refused":
            raise InputError("x: no")
        if content == b"raw":
            raise KeyError("x")
        return content

    files = [("a", b"refused"), ("b", b"raw"), ("flip/1", b"as before"), ("c", b"read")]
    found = survey(files, read, lambda name, value: "/" in name, lambda: None, ".x")
    assert (found.tried, found.refused, found.harmless) == (4, 1, 1)
    assert [one.partition(": ")[0] for one in found.lost] == ["b", "c"]
    after = survey(files[:1], read, lambda name, value: True, lambda: "left", ".x")
    assert after.lost == ["a: left"]
    figures = Figures().extend([("one", None), ("two", "broken")])
    assert "| area | 2 | 1 | 1 | 3 |" in table([("area", figures, 3.2)])


def test_some_of_every_family_are_drawn():
    files = [(f"{family}/{number}", b"") for family in "abc" for number in range(50)]
    chosen = drawn(files, 12, random.Random(0))
    assert [name[0] for name, _ in chosen] == ["a"] * 4 + ["b"] * 4 + ["c"] * 4
    assert drawn(files, None, random.Random(0)) == files


def test_warnings_of_numpy_are_not_hidden_by_filters():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert estimators.tried(Method(warn), honest(0, regression=False))
