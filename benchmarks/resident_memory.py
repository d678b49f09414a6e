"""Memory that a process holds, as Linux counts it."""

import os
import pathlib


def resident_bytes(pid: int | None = None, field: str = "VmRSS") -> float:
    """Return bytes of memory of a process, this one by default; 0 if there is none.

    Args:
        pid: Number of the process.
        field: `"VmRSS"`: now; `"VmHWM"`: at its peak.
    """
    try:
        status = pathlib.Path(f"/proc/{pid or os.getpid()}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    lines = (line.split() for line in status.splitlines())
    return next((1024.0 * int(line[1]) for line in lines if line[0] == f"{field}:"), 0.0)
