"""Pretraining without labels on MNIST: what 1, 5 and 20 labels a class are worth afterwards.

    python -m benchmarks.pretraining [--seeds 3] [--draws 2] [--epochs 60] [--quick]

Every row is the same small encoder, fine-tuned in the same way: the head starts from the class
means of the labelled images' features, then everything trains for as many updates. Rows differ in
where the encoder starts: at random, from a denoising autoencoder, or from contrasting views. Both
of these see 4,000 images without their labels. Accuracy is that on 1,000 other images.
"""

import argparse
import math
import time

import keras
import numpy as np
from sklearn.model_selection import train_test_split

import tl_keras as tl
from benchmarks.digits import few, mnist
from benchmarks.markdown import write_results
from tl_keras.objectives.self_supervised.autoencoder import Autoencoder

LABELS = (1, 5, 20)
TEST = 1000
SCRATCH, AUTOENCODER, CONTRASTIVE = "scratch", "denoising autoencoder", "contrastive (SimCLR)"
WAYS = (SCRATCH, AUTOENCODER, CONTRASTIVE)


def fresh(shape: tuple[int, int, int]) -> Autoencoder:
    """Return an untrained encoder and its objective."""
    return tl.build_autoencoder(shape, filters=(32, 64, 128), latent=64, noise=0.3)


def pretrained(way: str, images: np.ndarray, seed: int, options: argparse.Namespace):
    """Return the weights of the encoder as one way leaves them, and the seconds that it took."""
    started = time.perf_counter()
    keras.utils.set_random_seed(seed)
    pair = fresh(images.shape[1:])
    if way != SCRATCH:
        tl.pretrain(
            pair.model,
            images,
            objectives=[pair.objective if way == AUTOENCODER else tl.objectives.SimCLR()],
            schedule=tl.Stage(options.epochs, unfreeze="all", learning_rate=2e-3, warmup=0.05),
            batch_size=256,
            seed=seed,
            verbose=options.verbose,
        )
    return pair.model.get_weights(), time.perf_counter() - started


def fine_tuned_accuracy(weights, labelled, test, seed: int, options: argparse.Namespace) -> float:
    """Return the accuracy of the encoder with a head, trained on a few labels."""
    keras.utils.set_random_seed(seed)
    pair = fresh(labelled[0].shape[1:])
    pair.model.set_weights(weights)
    model = tl.build_transfer_model(pair.model, 10)
    tl.set_prototypes(model, labelled)
    batch_size = min(64, len(labelled[0]))
    epochs = math.ceil(options.updates / math.ceil(len(labelled[0]) / batch_size))
    tl.fine_tune(
        model,
        labelled,
        schedule=tl.Stage(epochs, unfreeze="all", learning_rate=5e-4, warmup=0.1),
        batch_size=batch_size,
        seed=seed,
        verbose=False,
    )
    return tl.evaluate(model, test, batch_size=256, verbose=False)["accuracy"]


def measure(seed: int, options: argparse.Namespace) -> tuple[dict, dict]:
    """Return (way, labels) → accuracies of all draws, and way → seconds of pretraining."""
    x, y = mnist()
    x, test_x, y, test_y = train_test_split(x, y, test_size=TEST, stratify=y, random_state=seed)
    accuracies, seconds = {}, {}
    for way in WAYS:
        weights, seconds[way] = pretrained(way, x[: options.images], seed, options)
        for labels in LABELS:
            accuracies[way, labels] = [
                fine_tuned_accuracy(
                    weights, few((x, y), labels, draw), (test_x, test_y), seed, options
                )
                for draw in range(100 * seed, 100 * seed + options.draws)
            ]
            print(f"seed {seed}, {way}, {labels}: {accuracies[way, labels]}", flush=True)
        keras.utils.clear_session()
    return accuracies, seconds


def table(results: list[tuple[dict, dict]]) -> list[str]:
    """Return the lines of the table of all seeds and draws."""
    columns = " | ".join(f"{labels} a class" for labels in LABELS)
    lines = [f"| start of the encoder | {columns} | must | seconds |", "|-" * 6 + "|"]
    for way in WAYS:
        cells = []
        for labels in LABELS:
            values = [np.array(own[way, labels]) for own, _ in results]
            base = np.mean([own[SCRATCH, labels] for own, _ in results])
            values = np.concatenate(values)
            mark = "" if way == SCRATCH else (" ✓" if values.mean() > base else " ✗")
            cells.append(f"{values.mean():.3f} ± {values.std():.3f}{mark}")
        must = "the reference" if way == SCRATCH else "better at each"
        seconds = np.mean([own[way] for _, own in results])
        lines.append(f"| {way} | {' | '.join(cells)} | {must} | {seconds:.0f} |")
    return lines


def main() -> None:
    """Measure all seeds, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=2, help="sets of labels for each seed")
    parser.add_argument("--epochs", type=int, default=60, help="of pretraining")
    parser.add_argument("--updates", type=int, default=150, help="of fine-tuning")
    parser.add_argument("--images", type=int, default=4000, help="without labels")
    parser.add_argument("--quick", action="store_true", help="one seed, small, not written")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.draws, options.epochs, options.images = 1, 1, 15, 2000
    results = [measure(seed, options) for seed in range(options.seeds)]
    lines = table(results)
    print("\n".join(lines))
    note = (
        f"Mean ± standard deviation over seeds 0 … {options.seeds - 1} and {options.draws} sets of "
        f"labels each; {options.images:,} images without labels, {options.epochs} epochs; test "
        f"accuracy on {TEST:,} images. Seconds are those of pretraining, one seed."
    )
    if not options.quick:
        title = "Pretraining without labels on MNIST"
        print(f"written to {write_results('pretraining', title, [*lines, '', note])}")


if __name__ == "__main__":
    main()
