"""A resumed run reads frozen layers' outputs from a store where it did before, and only there.

A store's values and those of the layers themselves differ in the last bits.
"""

import contextlib
import dataclasses
import tempfile
from collections.abc import Callable
from typing import TypeVar

from tl_keras.frozen.feature_cache import FeatureCache
from tl_keras.utils.errors import warn_user

Stored = TypeVar("Stored")


class StoresBefore:
    """What the stages of a run have had a store of, kept in its checkpoints.

    Args:
        record: For each stage begun, what → whether there is a store. The last one is added to.
    """

    def __init__(self, record: list[dict[str, bool]]):
        self._record = record

    def make(
        self,
        what: str,
        cache: FeatureCache,
        make: Callable[[FeatureCache], Stored | None],
        stack: contextlib.ExitStack,
    ) -> Stored | None:
        """Return a store as before: in the cache, else in a temporary folder; None for none.

        Args:
            what: What it is of.
            cache: Where it belongs.
            make: Makes it in a cache; gives None if it cannot.
            stack: Removes the temporary folder.
        """
        *earlier, now = self._record
        before = now.get(what)
        if before is False:
            return None
        found = make(cache)
        needed = before or (any(one.get(what) for one in earlier) and not _takes_files(cache))
        if found is None and needed:
            found = _in_temporary_folder(cache, make, stack)
            if found is None and before:
                warn_user(
                    f"the {what} features were stored before the run was stopped, and cannot be "
                    "now: the result will not be the same to the last bit. Make room in "
                    f"{str(cache.features_folder)!r}, and start again for that."
                )
        now[what] = found is not None
        return found


def _in_temporary_folder(cache, make, stack: contextlib.ExitStack):
    try:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="tl_keras_features_", ignore_cleanup_errors=True)
        )
    except OSError:
        return None
    return make(dataclasses.replace(cache, folder=folder))


def _takes_files(cache: FeatureCache) -> bool:
    try:
        cache.features_folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=cache.features_folder) as file:
            file.write(b"probe")
    except OSError:
        return False
    return True
