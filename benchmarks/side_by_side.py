"""Trains several networks at once, one thread each, which uses all cores of small training runs."""

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence


@contextlib.contextmanager
def side_by_side(workers: int | None = None) -> Iterator[Callable]:
    """Give a function that maps like `itertools.starmap`, in processes, results in order.

    Args:
        workers: Processes; by default one a core.
    """
    # TensorFlow reads these when it starts in a worker.
    os.environ |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    context = multiprocessing.get_context("spawn")
    workers = workers or os.cpu_count()
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:

        def starmap(function: Callable, jobs: Iterable[Sequence]) -> Iterator:
            return pool.map(function, *zip(*jobs, strict=True))

        yield starmap
