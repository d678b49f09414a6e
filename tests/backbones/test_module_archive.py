"""Archives of SavedModels; `tools/torture/archives.py` unpacks some that mean harm."""

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tl_keras.backbones import module_archive
from tl_keras.backbones.module_archive import unpack_archive
from tl_keras.utils.errors import InputError
from tools.torture.hostile_archives import FILES, cases, honest, member


def pack(path, content, end=bytes(1024)):
    path.write_bytes(gzip.compress(content + end))
    return str(path)


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def nothing_left(tmp_path, monkeypatch):
    """Check that the temporary directory is as empty after the test as before."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    yield
    assert os.listdir(tmp_path / "temporary") == []


def test_corpus():
    names = [name for name, _ in cases(1)]
    assert len(set(names)) == len(names) > 300


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_reads_what_tar_writes(tmp_path, nothing_left, form, mode):
    long = "/".join(["module", *["folder" * 8] * 2, "n" * 90])
    files = {"module/saved_model.pb": b"x" * 1000, "module/größe": b"", long: b"y" * 512}
    with tarfile.open(tmp_path / "x.tar.gz", mode, format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), 1.5
            archive.addfile(info, io.BytesIO(content))
    with unpack_archive(str(tmp_path / "x.tar.gz")) as folder:
        assert contents(Path(folder)) == files


def test_reads_what_the_program_tar_writes(tmp_path, nothing_left):
    if shutil.which("tar") is None:
        pytest.skip("needs the program tar")
    for name, content in FILES.items():
        (tmp_path / "module" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "module" / name).write_bytes(content)
    for form in ("gnu", "ustar", "posix", "v7"):
        command = ["tar", f"--format={form}", "-czf", "x.tgz", "-C", "module", "."]
        subprocess.run(command, cwd=tmp_path, check=True)
        with unpack_archive(str(tmp_path / "x.tgz")) as folder:
            assert contents(Path(folder)) == FILES


def test_a_sparse_file_of_10_tb_is_refused(tmp_path, nothing_left):
    large = b"\x80" + (10**13).to_bytes(11, "big")
    path = pack(tmp_path / "x.tar.gz", member("a", kind=b"S", tail=bytes(138) + large))
    assert os.path.getsize(path) < 206
    with pytest.raises(InputError, match="refused, because its member 'a' is a sparse file; a S"):
        unpack_archive(path)


def test_size_is_bounded_by_ratio(tmp_path, nothing_left, monkeypatch):
    monkeypatch.setattr(module_archive, "_ANY_RATIO", 2**20)
    content = member("saved_model.pb", bytes(2**21)) + member("a", os.urandom(2**14))
    with pytest.raises(InputError, match=r"take more than 1,[89]\d\d,\d{3} bytes, 100 times its"):
        unpack_archive(pack(tmp_path / "x.tar.gz", content))
    content += member("a", os.urandom(2**15))
    with pytest.raises(InputError, match="two of its members have one name"):
        unpack_archive(pack(tmp_path / "x.tar.gz", content))


def test_size_is_bounded_by_the_disk(tmp_path, nothing_left, monkeypatch):
    space = shutil.disk_usage(tmp_path)._replace(free=10**7)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: space)
    path = pack(tmp_path / "x.tar.gz", member("saved_model.pb", bytes(11 * 10**6)))
    with pytest.raises(InputError, match="than the 9,000,000 bytes that the disk has to spare"):
        unpack_archive(path)


def test_a_full_disk_is_told(tmp_path, nothing_left, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module_archive, "_extract", full)
    (tmp_path / "x.tar.gz").write_bytes(honest())
    with pytest.raises(InputError, match=r"doesn't fit on the disk of .* Free some space, or set"):
        unpack_archive(str(tmp_path / "x.tar.gz"))


def test_interrupts_leave_nothing(tmp_path, nothing_left, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module_archive, "_extract", interrupt)
    (tmp_path / "x.tar.gz").write_bytes(honest())
    with pytest.raises(KeyboardInterrupt):
        unpack_archive(str(tmp_path / "x.tar.gz"))


def test_only_files_are_archives(tmp_path, nothing_left):
    os.mkfifo(tmp_path / "pipe.tar.gz")
    for name, fault in {
        "pipe.tar.gz": "expected a regular file, '.*pipe.tar.gz' is a named pipe",
        "gone.tar.gz": "there is no file '.*gone.tar.gz'",
    }.items():
        with pytest.raises(InputError, match=fault):
            unpack_archive(str(tmp_path / name))
