"""Two-way transfer between a near pair of domains and a far one, with two labels a class in each.

    python -m benchmarks.two_way [--seeds 3] [--pairs near far] [--quick]

Near: the UCI digits, and other ones of them at half the contrast on grey. Far: MNIST and the UCI
digits. Either domain has a network of its own, trained from scratch, and images without labels.
Training alone takes as many updates as all rounds together. Test images are seen by nothing.
"""

import argparse
import time
from collections.abc import Sequence

import keras
import numpy as np

import tl_keras as tl
from benchmarks.adaptation import network
from benchmarks.digits import few, mnist, uci_digits
from benchmarks.markdown import write_results

LABELS, UNLABELLED, ROUNDS, BATCH = 2, 600, 2, 64


def faint_digits() -> tuple[np.ndarray, np.ndarray]:
    """Return the UCI digits at half the contrast, on grey instead of black."""
    x, y = uci_digits()
    return (60 + 0.5 * x).astype(np.uint8), y


PAIRS = {
    "near": {"UCI digits": uci_digits, "faint UCI digits": faint_digits},
    "far": {"MNIST": mnist, "UCI digits": uci_digits},
}


def split(x: np.ndarray, y: np.ndarray, seed: int, place: int) -> tuple[dict, tuple]:
    """Return a domain for `two_way_transfer`, and test images with their labels.

    Domains at different places share no image, also where they are made of the same ones.
    """
    order = np.random.default_rng(seed).permutation(len(y))
    rows = order[place * UNLABELLED : (place + 1) * UNLABELLED]
    test = order[2 * UNLABELLED :]
    labelled = few((x[rows], y[rows]), LABELS, seed)
    return {"labelled": labelled, "target": x[rows]}, (x[test], y[test])


def measure(pair: str, seed: int, epochs: int) -> dict[str, list[float]]:
    """Return way of training → test accuracy in each domain."""
    parts = [split(*load(), seed, i) for i, load in enumerate(PAIRS[pair].values())]
    data = {name: domain for name, (domain, _) in zip(PAIRS[pair], parts, strict=True)}
    tests = [test for _, test in parts]
    all_layers = {"unfreeze": "all", "batch_norm": "update", "learning_rate": 3e-3}
    stage = tl.Stage(epochs, **all_layers)
    steps = -(-UNLABELLED // BATCH)

    def models() -> list[tl.TransferModel]:
        keras.utils.set_random_seed(seed)
        return [tl.build_transfer_model(network(), 10) for _ in data]

    def accuracies(trained: Sequence[tl.TransferModel]) -> list[float]:
        pairs = zip(trained, tests, strict=True)
        return [tl.evaluate(model, test, verbose=False)["accuracy"] for model, test in pairs]

    alone, together = models(), models()
    long = tl.Stage(epochs * steps * (ROUNDS + 1), **all_layers)
    for model, domain in zip(alone, data.values(), strict=True):
        tl.fine_tune(model, domain["labelled"], schedule=long, seed=seed, verbose=False)
    arguments = {"schedule": stage, "batch_size": BATCH, "seed": seed, "verbose": False}
    tl.two_way_transfer(*together, data, rounds=ROUNDS, **arguments)
    return {"alone": accuracies(alone), "two-way": accuracies(together)}


def main() -> None:
    """Measure all seeds, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--quick", action="store_true", help="one seed, few epochs, not written")
    options = parser.parse_args()
    started = time.perf_counter()
    seeds, epochs = (1, 3) if options.quick else (options.seeds, 20)
    lines = ["| pair | training | first | second | models that gain |", "|-|-|-|-|-|"]
    for pair in options.pairs:
        found = [measure(pair, seed, epochs) for seed in range(seeds)]
        gains = np.array([np.subtract(one["two-way"], one["alone"]) for one in found])
        named = f"{pair}: {', '.join(PAIRS[pair])}"
        for way, better in (("alone", ""), ("two-way", f"{(gains > 0).sum()} of {gains.size}")):
            values = np.array([one[way] for one in found])
            cells = zip(values.mean(axis=0), values.std(axis=0), strict=True)
            both = " | ".join(f"{mean:.3f} ± {deviation:.3f}" for mean, deviation in cells)
            lines.append(f"| {named} | {way} | {both} | {better} |")
            print(lines[-1], flush=True)
    lines += [
        "",
        f"{LABELS} labels a class and {UNLABELLED:,} images without in each domain, {ROUNDS} "
        f"rounds, equal numbers of updates; seeds 0 … {seeds - 1}, mean ± standard deviation; "
        f"{(time.perf_counter() - started) / 60:.0f} minutes.",
    ]
    if not options.quick:
        path = write_results("two_way", "Two-way transfer between near and far domains", lines)
        print(f"written to {path}")


if __name__ == "__main__":
    main()
