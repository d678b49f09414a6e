"""Downloading modules from TF Hub, Kaggle and other hosts through tensorflow_hub."""

import contextlib
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from typing import Any, BinaryIO

from tl_keras.backbones.module_archive import extract_archive
from tl_keras.utils.errors import InputError

__all__ = ["download_module"]

_CHUNK = 2**20


def download_module(handle: str) -> str:
    """Download a module, unless it's in the cache, and return its directory.

    `tensorflow_hub.resolve` does it, which knows the hosts' download formats, locks and caches
    (`TFHUB_CACHE_DIR`). tensorflow_hub 0.16 imports `pkg_resources`, which setuptools no longer
    carries since version 82; it needs one function of it while it's being imported, and gets that.
    Archives are unpacked by this library's reader instead of its own, which has no limits.

    Raises:
        InputError: If tensorflow_hub isn't installed or the download fails.
    """
    hub = _tensorflow_hub(handle)
    try:
        with _strict_unpacking(handle):
            return hub.resolve(handle)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"source: {handle!r} could not be downloaded ({type(error).__name__}: {error}). Check "
            "the address and the network, or download the module's .tar.gz elsewhere and pass its "
            "path."
        ) from error


@contextlib.contextmanager
def _strict_unpacking(handle: str) -> Iterator[None]:
    """Let tensorflow_hub unpack what it downloads meanwhile with `extract_archive`."""
    from tensorflow_hub import file_utils

    before = file_utils.extract_tarfile_to_destination

    def extract(fileobj: BinaryIO, dst_path: str, log_function: Any = None) -> None:
        if "://" in dst_path:  # A cache on a remote file system, which only TensorFlow writes to.
            before(fileobj, dst_path, log_function)
            return
        with tempfile.TemporaryDirectory(prefix="tl_keras_download_") as folder:
            path = os.path.join(folder, "module.tar.gz")
            left = shutil.disk_usage(folder).free // 2
            with open(path, "xb") as file:
                while part := fileobj.read(_CHUNK):
                    left -= len(part)
                    if left < 0:
                        raise InputError(
                            f"source: the archive {handle!r} takes more than half of the free disk "
                            f"of {tempfile.gettempdir()!r}. Set TMPDIR to another disk."
                        )
                    file.write(part)
            extract_archive(path, dst_path, handle)

    file_utils.extract_tarfile_to_destination = extract
    try:
        yield
    finally:
        file_utils.extract_tarfile_to_destination = before


def _tensorflow_hub(handle: str) -> types.ModuleType:
    try:
        with _pkg_resources():
            import tensorflow_hub
    except ImportError as error:
        raise InputError(
            f"source: downloading {handle!r} needs tensorflow_hub ({error}): "
            '`pip install "tl_keras[hub]"`. Or pass the path of a downloaded module.'
        ) from error
    return tensorflow_hub


@contextlib.contextmanager
def _pkg_resources():
    """Stand in for `pkg_resources.parse_version` during an import, where setuptools lacks it."""
    try:
        import pkg_resources  # noqa: F401
    except ImportError:
        from packaging.version import parse

        before = {name: sys.modules[name] for name in ("pkg_resources",) if name in sys.modules}
        sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
        vars(sys.modules["pkg_resources"])["parse_version"] = parse
        try:
            yield
        finally:
            del sys.modules["pkg_resources"]
            sys.modules.update(before)
    else:
        yield
