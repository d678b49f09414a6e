"""Room for one more feature store, at the cost of those used least recently."""

from collections.abc import Callable

from tl_keras.frozen.feature_cache import (
    BYTES_VARIABLE,
    FeatureCache,
    bytes_of_all,
    free_bytes,
    size_text,
)
from tl_keras.frozen.feature_layout import Layout
from tl_keras.frozen.kept_stores import evict
from tl_keras.utils.errors import counted


def make_room(
    cache: FeatureCache, key: str, layout: Layout, there: int, say: Callable[[str], None]
) -> str:
    """Remove stores until a new one fits.

    Args:
        cache: Where, and how much.
        key: Of the store, which stays.
        layout: Of the store.
        there: Bytes that it takes already.
        say: Prints a line about what was removed.

    Returns:
        Why it cannot be kept; empty if it can.

    Raises:
        InputError: If `$TL_KERAS_CACHE_BYTES` is no size.
    """
    features = cache.features_folder
    of_all = bytes_of_all(features)
    allowed = min(cache.bytes_allowed(free_bytes(features) + there), of_all)
    text = f"features of {counted(layout.count, 'image')} would take {size_text(layout.bytes)}"
    if layout.bytes > allowed:
        return f"{text}, and the cache may take {size_text(max(0, allowed))} here"
    removed, left = evict(features, of_all - layout.bytes, spared=key)
    if removed:
        size = size_text(sum(one["bytes"] for one in removed))
        say(
            f"removed {counted(len(removed), 'store')} of features used least recently ({size}): "
            f"the cache may take {size_text(of_all)} (${BYTES_VARIABLE})"
        )
    if left + layout.bytes <= of_all:
        return ""
    return (
        f"{text}, and running processes use {size_text(left)} of the {size_text(of_all)} that the "
        f"cache may take (${BYTES_VARIABLE})"
    )
