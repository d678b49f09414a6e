"""Domains whose images are of different types train as if all were float32."""

import numpy as np
import pytest

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.objectives import Distillation, Supervised
from tl_keras.objectives.batch import pooled
from tl_keras.training.step.domain_pass import Training, domain_pass, global_counts


def both_and_floats(blobs):
    """Return two sources and a target, once of both types and once of floats alone."""
    x, y = blobs
    floats = x.astype("float32")
    both = {"a": (x[:8], y[:8]), "b": (floats[8:16], y[8:16]), "target": x[16:24]}
    alone = {"a": (floats[:8], y[:8]), "b": both["b"], "target": floats[16:24]}
    return both, alone


def history(domains, **settings):
    teacher = tl.build_transfer_model(tiny_network(1), 3)
    run = tl.fine_tune(
        tl.build_transfer_model(tiny_network(), 3),
        domains,
        domains,
        objectives=[Supervised(), Distillation(teacher)],
        batch_size=8,
        verbose=False,
        **settings,
    )
    return run.history


@pytest.mark.parametrize(
    "stored",
    [pytest.param(False, id="images"), pytest.param(True, id="stored", marks=pytest.mark.slow)],
)
def test_bytes_beside_floats_train_as_floats(blobs, stored, tmp_path):
    settings = {
        "schedule": tl.Stage(2, unfreeze=0 if stored else 1),
        "cache": tl.FeatureCache(folder=tmp_path) if stored else None,
    }
    one, other = (history(domains, **settings) for domains in both_and_floats(blobs))
    for name in ("loss", "val_loss", "distillation"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-4)


def passed(x, **settings):
    model = tl.build_transfer_model(tiny_network(), 3)
    return domain_pass(model, model.forward, x, {}, global_counts(x, {}), Training(**settings))


def test_what_objectives_and_teachers_read_is_of_one_type(blobs):
    x = {"a": blobs[0][:3], "target": blobs[0][3:5].astype("float32")}
    batch = passed(x, teachers={"corner": lambda images: images[:, 0, 0]})
    for name, values in x.items():
        assert batch[name].x.dtype == "float32"
        np.testing.assert_array_equal(batch[name].x, values)
        np.testing.assert_array_equal(batch[name].teacher_outputs["corner"], values[:, 0, 0])
    assert pooled(list(batch.values())).x.shape == (5, 16, 16, 3)
    assert passed({"a": x["a"]})["a"].x.dtype == "uint8"
