import keras
import numpy as np
import pytest

import tl_keras as tl
from tests.objectives.views import begun, build, images, viewed
from tl_keras.objectives import Reconstruction
from tl_keras.objectives.self_supervised.reconstruction import VIEW, reconstruction_error
from tl_keras.utils.errors import InputError

DATA = {"source": (images(3), [0, 1, 2]), "target": images(4, 1)}


def test_the_error_by_its_formula():
    decoded = np.random.default_rng(0).uniform(0, 1, (3, 16, 16, 3)).astype("float32")
    expected = np.square(images(3) / 255 - decoded).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(reconstruction_error(images(3), decoded), expected, rtol=1e-5)


@pytest.mark.parametrize("domains", ["all", "target"])
def test_the_loss_is_that_of_the_decoded_features(domains):
    model = build()
    objective = begun(Reconstruction(domains=domains), model, DATA)
    batch = viewed(model, DATA, objective)
    names = ["source", "target"] if domains == "all" else ["target"]
    errors = [
        np.square(
            batch[n].x.numpy() / 255.0 - objective.decoder(batch[n].feature_map).numpy()
        ).mean(axis=(1, 2, 3))
        for n in names
    ]
    expected = np.concatenate(errors).mean()
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_noise_goes_to_the_encoder_and_not_to_what_it_must_find():
    model = build()
    data = {"data": np.full((6, 16, 16, 3), 128, np.uint8)}
    objective = begun(Reconstruction(noise=0.2), model, data)
    batch = viewed(model, data, objective)
    assert batch["data"].forward is None
    noisy = batch.views[VIEW]["data"]
    assert np.std(noisy.x.numpy() - data["data"]) == pytest.approx(0.2 * 255, rel=0.05)
    decoded = objective.decoder(noisy.feature_map)
    expected = np.square(128 / 255 - decoded.numpy()).mean()
    assert float(objective.losses(batch)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_frozen_backbone_still_gives_its_feature_map():
    model = build()
    run = tl.fine_tune(
        model,
        {"source": (images(4), [0, 1, 2, 0]), "target": images(4, 1)},
        schedule=tl.Stage(1),
        objectives=[tl.objectives.Supervised(), Reconstruction()],
        batch_size=4,
        verbose=False,
    )
    assert np.isfinite(run.history["reconstruction"]).all()


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="noise: expected a number ≥ 0"):
        Reconstruction(noise=-0.1)
    with pytest.raises(InputError, match="domains: expected 'all', 'source' or 'target'"):
        Reconstruction(domains="both")
    with pytest.raises(InputError, match="Reconstruction needs a target domain"):
        begun(Reconstruction(domains="target"), build(), {"data": images(2)})
    vectors = keras.Sequential([keras.Input((7,)), keras.layers.Dense(3)])
    with pytest.raises(InputError, match="Reconstruction needs images"):
        begun(Reconstruction(), tl.build_transfer_model(vectors, 2), {"data": images(2)})
