"""What is not a regular file is refused at once, whoever names it."""

import errno
import os
import socket

import pytest

from tl_keras.utils.errors import InputError
from tl_keras.utils.regular_files import UnfitFile, open_regular, read_regular, require_regular


@pytest.fixture
def special(tmp_path):
    """Name → path of a pipe, a socket, devices, and links to them."""
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    before = os.getcwd()
    os.chdir(tmp_path)  # The path of a socket is at most 108 bytes long.
    server.bind("socket")
    os.chdir(before)
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    yield {
        "a named pipe": tmp_path / "pipe",
        "a socket": tmp_path / "socket",
        "a device": "/dev/zero",
        "a folder": tmp_path,
    } | {f"a {kind}": tmp_path / name for kind, name in LINKS.items()}
    server.close()


LINKS = {"named pipe ": "link", "device ": "endless"}


def test_special_files(special):
    for kind, path in special.items():
        for read in (open_regular, read_regular):
            with pytest.raises(UnfitFile, match=f"{kind.strip()}, and only regular files") as found:
                read(path)
            assert found.value.kind == "not a regular file"
        if kind != "a folder":
            with pytest.raises(InputError, match=rf"^weights: expected .* is {kind.strip()}, and"):
                require_regular(path, "weights")
    require_regular(special["a folder"], "weights")
    require_regular("nowhere", "weights")
    require_regular("no\0where", "weights")


def test_a_pipe_that_takes_the_place_of_a_file(tmp_path, monkeypatch):
    """Between the look at the path and its opening: nothing is waited for."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"content")
    found = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda path: found)
    with pytest.raises(UnfitFile, match="a named pipe"):
        open_regular(tmp_path / "pipe")


def test_sizes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_regular(path, 100) == bytes(100)
    with pytest.raises(UnfitFile, match="100 bytes, at most 99 are read") as found:
        read_regular(path, 99)
    assert (found.value.kind, found.value.errno) == ("too large", errno.EFBIG)
    os.truncate(path, 2**40)
    with pytest.raises(UnfitFile, match="1,099,511,627,776 bytes, at most 1,073,741,824 are"):
        read_regular(path)


def test_files_whose_size_says_nothing():
    with open("/proc/cpuinfo", "rb") as file:
        assert read_regular("/proc/cpuinfo")[:20] == file.read(20)
    with pytest.raises(UnfitFile, match="more bytes, at most 10 are read"):
        read_regular("/proc/cpuinfo", 10)


def test_ordinary_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "gone")
    with pytest.raises(ValueError, match="null"):
        read_regular("a\0b")
