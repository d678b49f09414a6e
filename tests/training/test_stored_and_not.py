"""Objectives that look below the head see the same with a feature store and without."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras import objectives as found


class Moved(keras.callbacks.Callback):
    """Moves the backbone away from where the objectives saw it, as a stage before would."""

    def on_train_begin(self, logs=None):
        for weight in self.model.backbone.weights:
            weight.assign(1.05 * weight + 0.01)


def source_head():
    head = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    head.build((None, 8))
    return head


def history(blobs, objective, unfreeze, callbacks, cache):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 3, head=tl.heads.HeadSpec(pooling="max"))
    stage = tl.Stage(2, unfreeze=unfreeze, learning_rate=0.05, optimizer="sgd", decay="constant")
    data = {"source": (x[:30], y[:30]), "target": x[30:]}
    run = tl.fine_tune(
        model,
        data,
        objectives=[found.Supervised(), objective()],
        schedule=stage,
        batch_size=10,
        callbacks=callbacks,
        cache=cache,
        verbose=False,
    )
    return np.array(run.history["loss"])


@pytest.mark.parametrize(
    ("objective", "unfreeze", "callbacks"),
    [
        (lambda: found.LwF(source_head()), 1, [Moved()]),
        (lambda: found.LwF(source_head()), 0, [Moved()]),
        (lambda: found.CoTuning(source_head(), np.full((3, 5), 0.2)), 0, []),
        (lambda: found.FeatureHints(tiny_network(1)), 0, []),
        (lambda: found.MMD(("feature_map",), weight=10.0), 0, []),
        (lambda: found.DELTA(weight=1.0), 1, [Moved()]),
        (lambda: found.MeanTeacher(0.9, weight=10.0), 1, [Moved()]),
    ],
    ids=["LwF", "LwF all frozen", "CoTuning", "FeatureHints", "MMD", "DELTA", "MeanTeacher"],
)
@pytest.mark.slow
def test_losses_are_the_same(blobs, objective, unfreeze, callbacks, tmp_path):
    live, stored = (
        history(blobs, objective, unfreeze, callbacks, cache)
        for cache in (None, tl.FeatureCache(folder=tmp_path))
    )
    np.testing.assert_allclose(stored, live, rtol=1e-4)
