"""Large matrices are refused before they are taken, not after the machine has stalled."""

import os

from tl_keras.errors import InputError

SHARE = 0.8


def available_bytes() -> int:
    """Return the bytes of memory that are free now, within the limit of a container if any."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return free


def check_memory(needed: float, method: str, remedy: str, limit: int | None = None) -> None:
    """Refuse work that would not fit.

    Args:
        needed: Bytes that the work takes at its peak.
        method: Name for the error.
        remedy: What the user can do instead, a sentence.
        limit: Bytes that may be taken; by default four fifths of what is free now.

    Raises:
        InputError: If more is needed.
    """
    limit = int(SHARE * available_bytes()) if limit is None else limit
    if needed > limit:
        raise InputError(
            f"{method}: this needs about {needed / 2**30:.1f} GiB of memory, of which "
            f"{limit / 2**30:.1f} GiB may be used. {remedy}"
        )
