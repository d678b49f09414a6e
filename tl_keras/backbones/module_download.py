"""Downloading modules from TF Hub, Kaggle and other hosts through tensorflow_hub."""

import contextlib
import sys
import types

from tl_keras.utils.errors import InputError

__all__ = ["download_module"]


def download_module(handle: str) -> str:
    """Download a module, unless it's in the cache, and return its directory.

    `tensorflow_hub.resolve` does it, which knows the hosts' download formats, locks and caches
    (`TFHUB_CACHE_DIR`). tensorflow_hub 0.16 imports `pkg_resources`, which setuptools no longer
    carries since version 82; it needs one function of it while it's being imported, and gets that.

    Raises:
        InputError: If tensorflow_hub isn't installed or the download fails.
    """
    hub = _tensorflow_hub(handle)
    try:
        return hub.resolve(handle)
    except Exception as error:
        raise InputError(
            f"source: {handle!r} could not be downloaded ({type(error).__name__}: {error}). Check "
            "the address and the network, or download the module's .tar.gz elsewhere and pass its "
            "path."
        ) from error


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

        missing = object()
        before = sys.modules.get("pkg_resources", missing)
        sys.modules["pkg_resources"] = types.ModuleType("pkg_resources")
        sys.modules["pkg_resources"].parse_version = parse
        try:
            yield
        finally:
            del sys.modules["pkg_resources"]
            if before is not missing:
                sys.modules["pkg_resources"] = before
    else:
        yield
