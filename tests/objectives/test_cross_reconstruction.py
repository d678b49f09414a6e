import numpy as np
import pytest

from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import CrossReconstruction
from tl_keras.training.step.train_step import weighted_losses
from tl_keras.utils.errors import InputError

DATA = {"source": (images(3), [0, 1, 2]), "target_a": images(4, 1), "target_b": images(2, 2)}


def mse(a, b):
    return np.square(np.asarray(a) - np.asarray(b)).mean(axis=(1, 2, 3)).mean()


def test_both_terms_by_their_formula():
    model = build()
    objective = begun(CrossReconstruction(cross=0.5), model, DATA)
    batch = viewed(model, DATA, objective)
    decode = objective.networks()
    own = np.mean(
        [mse(one.x.numpy() / 255.0, decode[name](one.feature_map)) for name, one in batch.items()]
    )
    errors = []
    for a, b in (
        ("source", "target_a"),
        ("target_a", "source"),
        ("source", "target_b"),
        ("target_b", "source"),
    ):
        painted = 255.0 * decode[b](batch[a].feature_map)
        errors.append(mse(batch[a].x.numpy() / 255.0, decode[a](model.feature_map(painted))))
    losses = objective.losses(batch)
    assert float(losses["own_reconstruction"]) == pytest.approx(own, rel=1e-4)
    crossed = float(losses["cross_reconstruction_back"])
    assert crossed == pytest.approx(np.mean(errors), rel=1e-3)
    assert float(losses["loss"]) == pytest.approx(own + 0.5 * crossed, rel=1e-5)


def test_without_the_second_term_there_is_no_second_pass():
    model = build()
    objective = begun(CrossReconstruction(cross=0), model, DATA)
    losses = objective.losses(viewed(model, DATA, objective))
    assert set(losses) == {"loss", "own_reconstruction"}


def test_parts_do_not_hide_the_loss_in_the_log():
    model = build()
    objective = begun(CrossReconstruction(), model, DATA)
    logged = weighted_losses([objective], viewed(model, DATA, objective))
    assert set(logged) == {"loss", "own_reconstruction", "cross_reconstruction_back"}


def test_one_domain_is_refused():
    with pytest.raises(InputError, match="CrossReconstruction needs a target domain"):
        begun(CrossReconstruction(), build(), {"data": images(2)})
    with pytest.raises(InputError, match="cross: expected a number ≥ 0"):
        CrossReconstruction(cross=-1)
