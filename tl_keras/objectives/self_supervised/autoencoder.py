"""`build_autoencoder`: an encoder to pretrain on images, and the decoder that teaches it."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tl_keras.backbones.backbone import Backbone
from tl_keras.inputs import preprocessing
from tl_keras.models.builder import build_transfer_model
from tl_keras.models.transfer_model import TransferModel
from tl_keras.objectives.self_supervised.reconstruction import Reconstruction
from tl_keras.utils.arguments import hidden_units, whole
from tl_keras.utils.errors import InputError
from tl_keras.utils.tracing import PerBatch


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """An encoder, and the objective whose decoder it trains with.

    Attributes:
        model: Gives the code of an image as its features; its backbone is the encoder. Pass it to
            `tl.pretrain`, then to `build_transfer_model` as the backbone.
        objective: For `tl.pretrain`; the decoder belongs to it.
    """

    model: TransferModel
    objective: Reconstruction

    @property
    def encoder(self) -> keras.Model:
        """The backbone: images in 0 … 1 to codes."""
        return self.model.backbone

    @property
    def decoder(self) -> keras.Model:
        """The decoder: codes to images in 0 … 1; there is one once it has been trained."""
        if self.objective.decoder is None:
            raise InputError(
                "autoencoder: it has no decoder yet. Train it first: "
                "tl.pretrain(autoencoder.model, images, objectives=[autoencoder.objective])."
            )
        return self.objective.decoder

    def reconstruct(self, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Return images encoded and decoded, float32, in the range that the model takes.

        Args:
            images: `(n, height, width, channels)`, 0–255 or in the model's `pixel_range`.
            batch_size: Images at a time.
        """
        decoder = self.decoder

        def reconstructed(batch):
            decoded = decoder(tf.cast(self.model.feature_map(batch), tf.float32))
            return preprocessing.from_eight_bits(255.0 * decoded, self.model.pixel_range)

        run = PerBatch(reconstructed, self.model.modality.batch_spec)
        parts = [run(images[i : i + batch_size]) for i in range(0, len(images), batch_size)]
        return np.concatenate([part.numpy() for part in parts])


def build_autoencoder(
    input_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (32, 64, 128),
    latent: int | None = None,
    noise: float = 0.0,
    pixel_range: tuple[float, float] | None = None,
    name: str = "autoencoder",
) -> Autoencoder:
    """Return a convolutional autoencoder for images, to pretrain an encoder without labels.

    Each of `filters` is a 3×3 convolution of stride 2 with ReLU; the decoder goes the same way
    back. Minimises the mean squared error per pixel (see `tl.objectives.Reconstruction`, which
    also works on any other backbone).

    Args:
        input_shape: `(height, width, channels)` of the images.
        filters: Channels of each convolution, at least one.
        latent: Length of the code. None leaves the last feature map as the code, which the head
            averages over positions; a vector keeps what is where.
        noise: Standard deviation, ≥ 0, of the noise on the encoder's input as a share of the pixel
            range: above 0 it is a denoising autoencoder.
        pixel_range: Darkest and brightest value of the images, as for `build_transfer_model`;
            None for 0–255.
        name: Name of the encoder.

    Returns:
        The encoder as a model, and the objective.

    Raises:
        InputError: If an argument is out of range.

    Vincent et al.: *Extracting and Composing Robust Features with Denoising Autoencoders*, ICML
    2008.

    Example:
        >>> pair = tl.build_autoencoder((28, 28, 1), noise=0.3)  # doctest: +SKIP
        >>> tl.pretrain(pair.model, images, objectives=[pair.objective])  # doctest: +SKIP
        >>> model = tl.build_transfer_model(pair.model, 10)  # doctest: +SKIP
        >>> tl.fine_tune(model, (few_images, labels))  # doctest: +SKIP
    """
    shape = tuple(input_shape)
    if len(shape) != 3:
        raise InputError(f"input_shape: expected (height, width, channels), got {input_shape!r}.")
    shape = tuple(whole(side, "input_shape") for side in shape)
    filters = hidden_units(filters, "filters")
    if not filters:
        raise InputError("filters: expected at least one number of channels, such as (32, 64).")
    if min(shape[:2]) < 2 ** len(filters):
        raise InputError(
            f"filters: {len(filters)} convolutions halve the size as often, and images of "
            f"{shape[0]}×{shape[1]} are too small for that. Use fewer."
        )
    inputs = x = keras.Input(shape, name="images")
    for index, count in enumerate(filters):
        x = keras.layers.Conv2D(
            count,
            3,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"block{index + 1}_conv",
        )(x)
    mirrored = [*filters[-2::-1], filters[0]]
    if latent is not None:
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(whole(latent, "latent"), name="latent")(x)
        mirrored = list(filters[::-1])
    encoder = keras.Model(inputs, x, name=name)
    backbone = Backbone(name, encoder, preprocessing.unit_range(), shape)
    model = build_transfer_model(backbone, pixel_range=pixel_range)
    return Autoencoder(model, Reconstruction(mirrored, noise))
