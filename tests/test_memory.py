import math

import pytest

from tl_keras import InputError
from tl_keras.utils import memory
from tl_keras.utils.memory import check_memory

GIB = 2**30


def test_what_does_not_fit_is_refused():
    text = (
        r"Method: this needs about 3\.0 GiB of memory, of which 2\.0 GiB may be used\. Take less\."
    )
    with pytest.raises(InputError, match=text):
        check_memory(3 * GIB, "Method", "Take less.", limit=2 * GIB)
    check_memory(2 * GIB, "Method", "Take less.", limit=2 * GIB)


def test_four_fifths_of_what_is_free_may_be_used(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10.0 * GIB)
    check_memory(8 * GIB, "Method", "")
    with pytest.raises(InputError, match=r"8\.1 GiB of memory, of which 8\.0 GiB may be used"):
        check_memory(8.1 * GIB, "Method", "")


def test_what_is_small_is_not_worth_the_question(monkeypatch):
    def asked():
        raise AssertionError("free memory was read")

    monkeypatch.setattr(memory, "available_bytes", asked)
    check_memory(2**25 - 1, "Method", "")
    with pytest.raises(AssertionError, match="was read"):
        check_memory(2**25, "Method", "")


def test_this_machine_says_what_is_free():
    assert 1e6 < memory.available_bytes() < 1e15


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with 10 GiB free, no container, whose files a test can write."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable:   {10 * 2**20} kB\n")
    monkeypatch.setattr(memory, "MEMINFO", str(meminfo))
    groups = [
        (str(tmp_path / name) + "/", *rest)
        for name, *rest in (
            ("v2", "memory.max", "memory.current", "inactive_file"),
            ("v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        )
    ]
    monkeypatch.setattr(memory, "CONTROL_GROUPS", groups)
    return tmp_path


def test_the_machine_alone(machine):
    assert memory.available_bytes() == 10 * GIB


@pytest.mark.parametrize("version", [2, 1])
def test_the_limit_of_a_container(machine, version):
    directory = machine / f"v{version}"
    directory.mkdir()
    names = {2: ("memory.max", "memory.current", "inactive_file")}
    names[1] = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    limit, used, cache = names[version]
    (directory / limit).write_text(f"{4 * GIB}\n")
    (directory / used).write_text(f"{3 * GIB}\n")
    (directory / "memory.stat").write_text(f"anon 5\n{cache} {GIB}\nother_{cache} 7\n")
    assert memory.available_bytes() == 2 * GIB
    (directory / used).write_text(f"{9 * GIB}\n")
    assert memory.available_bytes() == 0


def test_a_container_without_a_limit(machine):
    (machine / "v2").mkdir()
    for name, text in (
        ("memory.max", "max\n"),
        ("memory.current", "5\n"),
        ("memory.stat", "a 1\n"),
    ):
        (machine / "v2" / name).write_text(text)
    assert memory.available_bytes() == 10 * GIB


def test_a_system_that_does_not_say(machine, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", str(machine / "none"))

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    assert memory.available_bytes() == math.inf
    check_memory(1e18, "Method", "")
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.available_bytes() == math.inf
