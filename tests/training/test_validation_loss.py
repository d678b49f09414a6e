"""The validation loss says something whatever weight the losses on labels end with."""

import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Distillation, Linear, Supervised


def trained(blobs, objectives, epochs=2):
    """Return the run and the log loss on its held-out examples, as `evaluate` finds it."""
    x, y = blobs
    held_out = x[24:], y[24:]
    run = tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3),
        (x[:24], y[:24]),
        held_out,
        schedule=tl.Stage(epochs, learning_rate=0.1, optimizer="sgd", decay="constant"),
        objectives=objectives,
        batch_size=8,
        cache=None,
        verbose=False,
    )
    return run, tl.evaluate(run.model, held_out, verbose=False).metrics["log_loss"]


@pytest.mark.parametrize(
    ("weight", "factor"),
    [(Linear(1.0, 0.0), 1.0), (0.0, 1.0), (0.5, 0.5), (Linear(0.0, 0.5), 0.5)],
    ids=["falls to 0", "0", "one half", "rises to one half"],
)
def test_the_loss_on_labels_counts_with_its_last_weight_or_once(blobs, weight, factor):
    teacher = tl.build_transfer_model(tiny_network(1), 3)
    run, log_loss = trained(blobs, [Supervised(weight=weight), Distillation(teacher)])
    losses = run.history["val_loss"]
    assert min(losses) == pytest.approx(factor * log_loss, rel=1e-4)
    assert run.best_epoch == np.argmin(losses) and losses[0] != losses[1]
