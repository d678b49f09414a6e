"""How much memory is free: what would not fit is refused before the machine stalls."""

import contextlib
import math
import os

from tl_keras.utils.errors import InputError

SHARE = 0.8
# Work of fewer bytes is not worth the quarter of a millisecond that asking for free memory takes.
SMALL = 2**25
MEMINFO = "/proc/meminfo"
# Files of a control group that limit a container, version 2 and version 1: its limit, its use, and
# the name of the part of it that is cached files, which give way.
CONTROL_GROUPS = (
    ("/sys/fs/cgroup/", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available_bytes() -> float:
    """Return the bytes of memory that are free now, within the limit of a container if any.

    Infinity where the system does not say.
    """
    return min(_free_of_machine(), _free_of_container())


def machine_memory(source: str | os.PathLike | None = None) -> dict[str, int | None]:
    """Return the `total` and `available` main memory in bytes; None where the system does not say.

    Args:
        source: File in which Linux tells it, by default `/proc/meminfo`.
    """
    names = {"MemTotal": "total", "MemAvailable": "available"}
    found: dict[str, int | None] = dict.fromkeys(names.values())
    try:
        with open(source or MEMINFO, encoding="ascii") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name in names:
                    found[names[name]] = int(value.split()[0]) * 1024
    except OSError:
        for key, name in (("SC_PHYS_PAGES", "total"), ("SC_AVPHYS_PAGES", "available")):
            with contextlib.suppress(AttributeError, OSError, ValueError):
                found[name] = os.sysconf(key) * os.sysconf("SC_PAGE_SIZE")
    return found


def _free_of_machine() -> float:
    available = machine_memory()["available"]
    return math.inf if available is None else float(available)


def _free_of_container() -> float:
    for directory, limit, used, cache in CONTROL_GROUPS:
        try:
            free = _number(directory + limit) - _number(directory + used)
            return max(free + _reclaimable(directory + "memory.stat", cache), 0.0)
        except (OSError, ValueError):
            continue
    return math.inf


def _number(path: str) -> float:
    with open(path, encoding="ascii") as file:
        return float(file.read().strip().replace("max", "inf"))


def _reclaimable(path: str, name: str) -> float:
    with open(path, encoding="ascii") as lines:
        return sum(float(line.split()[1]) for line in lines if line.split()[0] == name)


def check_memory(needed: float, method: str, remedy: str, limit: float | None = None) -> None:
    """Refuse work that would not fit; what needs less than 32 MiB is not refused.

    Args:
        needed: Bytes that the work takes at its peak.
        method: Name for the error.
        remedy: What the user can do instead, a sentence.
        limit: Bytes that may be taken; by default four fifths of what is free now.

    Raises:
        InputError: If more is needed.
    """
    if limit is None:
        if needed < SMALL:
            return
        limit = SHARE * available_bytes()
    if needed > limit:
        raise InputError(
            f"{method}: this needs about {needed / 2**30:.1f} GiB of memory, of which "
            f"{limit / 2**30:.1f} GiB may be used. {remedy}"
        )
