"""Accuracy on real pairs of domains, and time and memory by size, against ADAPT and skada.

    python -m benchmarks.arrays [--quick] [--methods KMM TCA] [--sizes 1000 5000 20000 100000]

Accuracy is that of a logistic regression on the target, trained on what each method makes of the
source; no method sees labels of the target, but for TrAdaBoost, which sees five a class. Every
measurement by size runs in a process of its own with one thread, which is stopped at 4 GB or five
minutes; larger sizes of what was stopped are not tried.
"""

import argparse
import math
import statistics
import time
import warnings
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.arrays.boosting import tradaboost_on_mushrooms
from benchmarks.arrays.domains import REAL, Domains
from benchmarks.arrays.methods import LIBRARIES, Method, labelled, methods, runner, width
from benchmarks.arrays.optima import at_the_optimum
from benchmarks.arrays.processes import RUNS, Measured, in_own_process, measure_here
from benchmarks.markdown import write_results

SIZES = (1000, 5000, 20000, 100000)
# "and the like": methods whose cost grows with the square or cube of the samples.
KERNEL_METHODS = ("KMM", "TCA")


def accuracy(method: Method, domains: Domains, found) -> float:
    """Return the accuracy on the target of what a method makes of the source."""
    if method.labels:
        test = np.setdiff1d(np.arange(len(domains.yt)), labelled(domains))
        return float(np.mean(np.ravel(found.predict(domains.Xt[test])) == domains.yt[test]))
    Zs, Zt, weights = found
    if weights is not None:
        # Their scale acts like the strength of the penalty: the same in all libraries.
        weights = weights / np.mean(weights)
    model = LogisticRegression(max_iter=1000).fit(Zs, domains.ys, sample_weight=weights)
    return float(model.score(Zt, domains.yt))


def on_real_data(sets: dict[str, Domains], wanted: Sequence[Method], size: int, seeds: int):
    """Yield the lines of the table of accuracies."""
    yield "| domains | method | ours | ADAPT | skada | ours − best peer | seconds |"
    yield "|-|-|-|-|-|-|-|"
    differences = []
    for name, domains in sets.items():
        samples = [domains.sample(size, seed) for seed in range(seeds)]
        plain = np.mean([_plain(one) for one in samples])
        yield f"| {name} | no adaptation | {plain:.3f} | | | | |"
        for method in wanted:
            means, seconds = {}, {}
            for library in LIBRARIES:
                means[library], seconds[library] = _mean_accuracy(method, library, samples)
            peers = [v for k, v in means.items() if k != "ours" and not np.isnan(v)]
            difference = means["ours"] - max(peers) if peers else math.nan
            if peers:
                differences.append(difference)
            cells = " | ".join(_cell(means[library], ".3f") for library in LIBRARIES)
            times = ", ".join(_cell(seconds[library], ".2f") for library in LIBRARIES)
            yield f"| {name} | {method.name} | {cells} | {_cell(difference, '+.3f')} | {times} |"
    lowest, better = min(differences), sum(one > 0 for one in differences)
    yield (
        f"| all | | | | | lowest {lowest:+.3f}, must ≥ −0.010: {_met(lowest >= -0.01)}; better on "
        f"{better}, equal on {sum(one == 0 for one in differences)} of {len(differences)} | |"
    )


def by_size(wanted: Sequence[Method], sizes: Sequence[int]):
    """Yield the lines of the table of seconds and memory by size."""
    yield "| method | samples a domain | ours | ADAPT | skada | fastest peer ÷ ours | must |"
    yield "|-|-|-|-|-|-|-|"
    for method in (one for one in wanted if one.timed):
        table = {}
        for size in sizes:
            table[size] = {
                library: _unless_hopeless(method, library, size, table) for library in LIBRARIES
            }
            ours, *peers = (table[size][library] for library in LIBRARIES)
            fastest = min(
                (one for one in peers if not np.isnan(one.at_least)),
                key=lambda one: one.at_least,
                default=Measured(),
            )
            ratio = fastest.at_least / ours.seconds
            more = "> " if fastest.problem else ""
            cells = " | ".join(str(table[size][library]) for library in LIBRARIES)
            yield (
                f"| {method.name} | {size:,} | {cells} | {_cell(ratio, '.2f', '×', more)} | "
                f"{_must(method, size, ratio, ours)} |"
            )
        growth = ", ".join(
            f"{library} {_cell(_exponent(table, library), '.2f')}" for library in LIBRARIES
        )
        yield f"| {method.name} | growth exponent | {growth} | | | | |"


def main() -> None:
    """Measure, print and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", help="names of methods; default all")
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--samples", type=int, default=1000, help="of each real domain")
    parser.add_argument("--seeds", type=int, default=3, help="draws of the real samples")
    parser.add_argument("--quick", action="store_true", help="one draw, small, not written")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.child:
        measure_here(options.child[0], options.child[1], int(options.child[2]))
        return
    if options.quick:
        options.samples, options.seeds, options.sizes = 200, 1, [500]
    started = time.perf_counter()
    wanted = [one for one in methods() if not options.methods or one.name in options.methods]
    sets = {name: make() for name, make in REAL.items()}
    lines: list[str] = []
    for part in (
        on_real_data(sets, wanted, options.samples, options.seeds),
        by_size(wanted, options.sizes),
        at_the_optimum(500 if options.quick else 1000),
        tradaboost_on_mushrooms(2 if options.quick else 10),
    ):
        for line in part:
            lines.append(line)
            print(line, flush=True)
        lines.append("")
        print(flush=True)
    minutes = (time.perf_counter() - started) / 60
    lines.append(
        f"Accuracy: {options.samples:,} samples of each domain, mean of {options.seeds} draws. "
        f"Time by size: 64 features, one thread, median of {RUNS}; "
        f"GB are those above the process before. {minutes:.0f} minutes in all. "
        f"{_versions()}"
    )
    print(lines[-1])
    if not options.quick and not options.methods:
        path = write_results("arrays", "Transfer on feature arrays", lines)
        print(f"written to {path}")


def _plain(domains: Domains) -> float:
    model = LogisticRegression(max_iter=1000).fit(domains.Xs, domains.ys)
    return float(model.score(domains.Xt, domains.yt))


def _mean_accuracy(method: Method, library: str, samples: Sequence[Domains]):
    run = runner(method, library)
    if run is None:
        return math.nan, math.nan
    scores, seconds = [], []
    for domains in samples:
        g = width(domains)
        work = run(domains, g)
        started = time.perf_counter()
        try:
            found = work()
        except Exception as error:
            print(f"({method.name}, {library}: {type(error).__name__}: {str(error)[:100]})")
            return math.nan, math.nan
        seconds.append(time.perf_counter() - started)
        scores.append(accuracy(method, domains, found))
    return float(np.mean(scores)), statistics.median(seconds)


def _exponent(table: dict[int, dict[str, Measured]], library: str) -> float:
    points = [
        (math.log(size), math.log(row[library].seconds))
        for size, row in table.items()
        if not np.isnan(row[library].seconds)
    ]
    return float(np.polyfit(*zip(*points, strict=True), 1)[0]) if len(points) > 1 else math.nan


def _unless_hopeless(method: Method, library: str, size: int, table: dict) -> Measured:
    """Measure, unless a smaller size ran into a limit already."""
    for smaller, row in table.items():
        if row[library].too_much:
            return Measured(problem=f"{row[library].problem} at {smaller:,}")
    return in_own_process(method, library, size)


def _must(method: Method, size: int, ratio: float, ours: Measured) -> str:
    if size >= 100000:
        return f"finishes: {_met(not ours.problem)}"
    least = {1000: 1, 5000: 3 if method.name in KERNEL_METHODS else None}.get(size)
    if least is None or ours.problem or method.adapt is method.skada is None:
        return ""
    # A peer that ran out of memory took no time that could be compared.
    return f"≥ {least}×: {_met(ratio >= least) if ratio > 0 else 'no peer finishes'}"


def _met(yes: bool) -> str:
    return "yes" if yes else "**no**"


def _cell(value: float, form: str, unit: str = "", before: str = "") -> str:
    return "" if np.isnan(value) else f"{before}{value:{form}}{unit}"


def _versions() -> str:
    import importlib.metadata

    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("adapt", "skada"))


if __name__ == "__main__":
    main()
