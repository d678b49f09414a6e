"""What the package has to survive: kills, full disks, hostile files and arrays, lost workers.

    python -m tools.torture [--quick] [--only AREA ...] [--seed 0] [--output FILE]

Prints a table of the cases that were tried, survived and lost, and ends with 1 if one was lost.
"""

import argparse
import importlib
import os
import pathlib
import shutil
import sys
import tempfile
import time

from tools.torture.figures import Figures, table

AREAS = {
    "kill_points": "killed at every replace, unlink and array write, then resumed",
    "two_jobs": "two jobs with one directory",
    "full_disk": "disk full at every write",
    "images": "damaged images: inspection, decoder and serving",
    "pth": "hostile `.pth` files",
    "saved_models": "hostile SavedModels and `.keras` files",
    "archives": "hostile archives",
    "estimators": "hostile arrays in estimators",
    "worker_faults": "faults of workers",
}
"""Module of each area, and what the table calls it."""

MEMORY_FOLDER, ROOM = "/dev/shm", 2**32
RESULTS = pathlib.Path(__file__).parent / "results.md"


def main() -> int:
    """Run the areas that were asked for, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.torture", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="a few cases of every kind")
    parser.add_argument("--only", nargs="+", choices=AREAS, default=list(AREAS), metavar="AREA")
    parser.add_argument("--seed", type=int, default=0, help="of the cases that are drawn")
    parser.add_argument(
        "--output", type=pathlib.Path, help=f"file of the table; {RESULTS.name} beside this module"
    )
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rows = []
    with tempfile.TemporaryDirectory(prefix="torture_", dir=_fast_folder()) as folder:
        tempfile.tempdir = folder
        os.environ["TL_KERAS_CACHE"] = os.path.join(folder, "cache")
        for name in arguments.only:
            start = time.monotonic()
            area = importlib.import_module(f"tools.torture.{name}")
            figures: Figures = area.run(arguments.seed, arguments.quick)
            rows.append((AREAS[name], figures, time.monotonic() - start))
            for one in figures.lost:
                print(f"lost: {name}: {one}", file=sys.stderr, flush=True)
            print(f"{name}: {figures.survived} of {figures.tried}", file=sys.stderr, flush=True)
    text = table(rows)
    print(text)
    if arguments.output or (set(arguments.only) == set(AREAS) and not arguments.quick):
        command = f"`python -m tools.torture --seed {arguments.seed}`"
        (arguments.output or RESULTS).write_text(f"# {command}\n\n{text}", encoding="utf-8")
    return int(any(figures.lost for _, figures, _ in rows))


def _fast_folder() -> str | None:
    """Return a folder in memory, where waiting for the disk takes no time, or None for the usual.

    It is taken where nobody has said by `TMPDIR` what is, and if it has room.
    """
    usable = "TMPDIR" not in os.environ and os.access(MEMORY_FOLDER, os.W_OK)
    return MEMORY_FOLDER if usable and shutil.disk_usage(MEMORY_FOLDER).free > ROOM else None


if __name__ == "__main__":
    sys.exit(main())
