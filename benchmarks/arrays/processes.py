"""One method of one library at one size, in a process of its own with a limit of its own."""

import dataclasses
import json
import math
import os
import statistics
import subprocess
import sys
import time

from benchmarks.arrays.domains import blobs
from benchmarks.arrays.methods import Method, methods, runner, width
from benchmarks.resident_memory import resident_bytes

MOST_BYTES = 4e9
MOST_SECONDS = 300.0
# Pools of threads get along differently from machine to machine; compared is the work.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
STARTING = 20.0  # Seconds for imports and data, beside those.
FEWEST, MOST, ENOUGH_SECONDS, LONG_SECONDS = 3, 20, 2, 30
RUNS = (
    f"{FEWEST} to {MOST} runs, as many as take {ENOUGH_SECONDS} seconds; of one if that takes more "
    f"than {LONG_SECONDS}"
)
TOO_LARGE, TOO_SLOW = f"> {MOST_BYTES / 1e9:.0f} GB", f"> {MOST_SECONDS / 60:.0f} min"


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one library did.

    Attributes:
        seconds: Median over runs, NaN if it did not finish.
        peak: Bytes of memory at the peak, above those of the process before.
        problem: Why it did not finish.
    """

    seconds: float = math.nan
    peak: float = math.nan
    problem: str = ""

    @property
    def at_least(self) -> float:
        """Seconds, or those after which it was stopped; NaN if it failed for another reason."""
        return MOST_SECONDS if self.problem == TOO_SLOW else self.seconds

    @property
    def too_much(self) -> bool:
        """Whether it ran into a limit of time or memory."""
        return self.problem.startswith((TOO_SLOW, TOO_LARGE, "memory"))

    def __str__(self) -> str:
        """Return the cell of the table."""
        return self.problem or f"{self.seconds:.3g} s, {max(self.peak, 0) / 1e9:.1f} GB"


def in_own_process(method: Method, library: str, size: int) -> Measured:
    """Measure in a process of its own, and stop it where it takes too much."""
    if library != "ours" and (method.adapt if library == "ADAPT" else method.skada) is None:
        return Measured(problem="–")
    command = [
        sys.executable,
        "-m",
        "benchmarks.arrays",
        "--child",
        method.name,
        library,
        str(size),
    ]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | ONE_THREAD,
    )
    started = time.monotonic()
    problem = ""
    while child.poll() is None:
        time.sleep(0.1)
        if resident_bytes(child.pid) > MOST_BYTES:
            problem = TOO_LARGE
        elif time.monotonic() - started > MOST_SECONDS + STARTING:
            problem = TOO_SLOW
        if problem:
            child.kill()
            break
    answer = child.communicate()[0].strip().splitlines()
    if problem:
        return Measured(problem=problem)
    if child.returncode or not answer:
        return Measured(problem="fails")
    return Measured(**json.loads(answer[-1]))


def measure_here(name: str, library: str, size: int) -> None:
    """Measure in this process, and print the result as JSON."""
    method = next(one for one in methods() if one.name == name)
    domains = blobs(size)
    g = width(domains)
    run = runner(method, library)
    run(blobs(200), g)()
    before, seconds = resident_bytes(), []
    while len(seconds) < FEWEST or (sum(seconds) < ENOUGH_SECONDS and len(seconds) < MOST):
        work = run(domains, g)
        started = time.perf_counter()
        try:
            work()
        except MemoryError:
            print(json.dumps({"problem": "memory"}))
            return
        except Exception as error:
            print(json.dumps({"problem": f"{type(error).__name__}"}))
            return
        seconds.append(time.perf_counter() - started)
        if seconds[0] > LONG_SECONDS:
            break
    peak = resident_bytes(field="VmHWM") - before
    print(json.dumps({"seconds": statistics.median(seconds), "peak": peak}))
