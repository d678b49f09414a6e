"""Objectives that look below the head see the same with a feature store and without."""

import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras import objectives as found

STAGE = {"learning_rate": 0.05, "optimizer": "sgd", "decay": "constant"}
FROZEN_FROM_THE_START = (tl.Stage(2, unfreeze=0, **STAGE),)
FROZEN_ONCE_MOVED = (tl.Stage(1, unfreeze="all", **STAGE), tl.Stage(2, unfreeze=1, **STAGE))
ALL_FROZEN_ONCE_MOVED = (FROZEN_ONCE_MOVED[0], tl.Stage(2, unfreeze=0, **STAGE))


def source_head():
    head = keras.layers.Dense(5, kernel_initializer=keras.initializers.GlorotUniform(seed=2))
    head.build((None, 8))
    return head


def history(blobs, objective, stages, head, cache):
    x, y = blobs
    model = tl.build_transfer_model(tiny_network(), 3, head=head)
    data = {"source": (x[:30], y[:30]), "target": x[30:]}
    run = tl.fine_tune(
        model,
        data,
        objectives=[found.Supervised(), objective()],
        schedule=stages,
        batch_size=10,
        cache=cache,
        verbose=False,
    )
    return np.array(run.history["loss"])


@pytest.mark.parametrize(
    ("objective", "stages"),
    [
        (lambda: found.LwF(source_head()), FROZEN_ONCE_MOVED),
        (lambda: found.LwF(source_head()), ALL_FROZEN_ONCE_MOVED),
        (lambda: found.CoTuning(source_head(), np.full((3, 5), 0.2)), FROZEN_FROM_THE_START),
        (lambda: found.FeatureHints(tiny_network(1)), FROZEN_FROM_THE_START),
        (lambda: found.MMD(("feature_map",), weight=10.0), FROZEN_FROM_THE_START),
        (lambda: found.DELTA(weight=1.0), FROZEN_ONCE_MOVED),
        (lambda: found.MeanTeacher(0.9, weight=10.0), FROZEN_ONCE_MOVED),
    ],
    ids=["LwF", "LwF all frozen", "CoTuning", "FeatureHints", "MMD", "DELTA", "MeanTeacher"],
)
@pytest.mark.slow
def test_losses_are_the_same(blobs, objective, stages, tmp_path):
    head = tl.heads.HeadSpec(pooling="max")
    cache = tl.FeatureCache(folder=tmp_path)
    live = history(blobs, objective, stages, head, None)
    np.testing.assert_allclose(history(blobs, objective, stages, head, cache), live, rtol=1e-4)
