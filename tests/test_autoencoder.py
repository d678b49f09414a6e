import numpy as np
import pytest

import tl_keras as tl
from tl_keras.utils.errors import InputError

RANDOM = np.random.default_rng(0)
IMAGES = (RANDOM.uniform(0, 255, (8, 1, 1, 1)) * np.ones((1, 12, 12, 1))).astype(np.uint8)


@pytest.mark.parametrize("latent", [None, 5])
def test_it_learns_to_reconstruct_and_lends_its_encoder(latent):
    pair = tl.build_autoencoder((12, 12, 1), filters=(4, 8), latent=latent, noise=0.05)
    assert pair.encoder.output_shape[1:] == ((3, 3, 8) if latent is None else (5,))
    with pytest.raises(InputError, match="it has no decoder yet"):
        pair.reconstruct(IMAGES)
    run = tl.pretrain(
        pair.model,
        IMAGES,
        objectives=[pair.objective],
        schedule=tl.Stage(30, unfreeze="all", learning_rate=0.02),
        batch_size=8,
        verbose=False,
    )
    assert run.history["loss"][-1] < 0.5 * run.history["loss"][0]
    images = pair.reconstruct(IMAGES, batch_size=3)
    assert images.shape == IMAGES.shape and images.min() >= 0 and images.max() <= 255
    error = np.square(images / 255 - IMAGES / 255).mean()
    assert error < 2 * run.history["loss"][0]
    model = tl.build_transfer_model(pair.model, 3)
    assert model.backbone is pair.encoder
    assert model(IMAGES).shape == (8, 3)


def test_bad_arguments_are_refused():
    with pytest.raises(InputError, match="input_shape: expected"):
        tl.build_autoencoder((28, 28))
    with pytest.raises(InputError, match="filters: expected at least one"):
        tl.build_autoencoder((28, 28, 1), filters=())
    with pytest.raises(InputError, match="images of 4×4 are too small"):
        tl.build_autoencoder((4, 4, 1))
    with pytest.raises(InputError, match="latent: expected a whole number"):
        tl.build_autoencoder((28, 28, 1), latent=0)
    with pytest.raises(InputError, match="noise: expected a number"):
        tl.build_autoencoder((28, 28, 1), noise=-1)
