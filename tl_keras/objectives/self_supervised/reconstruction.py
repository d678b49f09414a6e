"""Reconstruction: a decoder must find the image again in the features."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import tensorflow as tf
from keras import ops

from tl_keras.inputs.preprocessing import to_eight_bits
from tl_keras.objectives.augmented_views import checked_view, require_images
from tl_keras.objectives.batch import Batch, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_supervised.decoders import build_decoder
from tl_keras.utils.arguments import hidden_units, number
from tl_keras.utils.errors import InputError

VIEW = "reconstruction_noisy"


def reconstruction_error(images, decoded, pixel_range=None):
    """Return the mean squared error of each image `(b,)` over pixels and channels.

    Args:
        images: `(b, …)`, 0–255 or in `pixel_range`.
        decoded: `(b, …)`, 0 … 1 from the darkest value to the brightest.
        pixel_range: Darkest and brightest value of the images; None for 0–255.
    """
    difference = to_eight_bits(images, pixel_range) / 255.0 - decoded
    return tf.reduce_mean(tf.square(difference), axis=tuple(range(1, len(decoded.shape))))


@keras.saving.register_keras_serializable("tl_keras")
class PixelNoise(keras.layers.Layer):
    """Adds normal noise to images; what leaves the pixel range is not cut off.

    Args:
        deviation: Standard deviation as a share of the range 0–255, ≥ 0.
        dtype: Of the computation; half precision is too coarse for pixels.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call:
        images: `(batch, …)`, 0–255.

    Returns:
        Noisy images, same shape.
    """

    def __init__(self, deviation: float, *, dtype: Any = "float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        self.deviation = float(deviation)
        self.generator = keras.random.SeedGenerator()

    def call(self, images, training=None):
        """Add noise, in inference too."""
        noise = keras.random.normal(ops.shape(images), seed=self.generator)
        return images + 255.0 * self.deviation * noise

    def compute_output_shape(self, input_shape):
        """Return the input's shape."""
        return input_shape

    def get_config(self):
        """Return what `from_config` needs to build the same layer."""
        return {**super().get_config(), "deviation": self.deviation}


class Reconstruction(Objective):
    """An autoencoder: the backbone encodes, and a decoder of the objective's own paints the image.

    `loss = mean ‖x/255 − D(E(x'))‖² / (h·w·c)` with `x' = x`, or with noise `x' = x + 255·σ·n`,
    `n ~ N(0, 1)` (a denoising autoencoder, which cannot get away with copying). Images of a model
    with a `pixel_range` are brought to 0–255 first, and the model cuts their noise off at the
    range. To pretrain an encoder on images without labels, see `tl.build_autoencoder` and
    `tl.pretrain`; or beside `Supervised`, to keep what unlabelled images show: with
    `domains="target"` that is DRCN.

    Args:
        filters: Channels of the decoder after each doubling of the size, from the features to the
            image; see `build_decoder`.
        noise: σ ≥ 0, the noise's standard deviation as a share of the pixel range; 0.1 … 0.5.
        domains: Whose images: `"all"`, `"source"` or `"target"`.
        weight: What the loss is multiplied by.

    Attributes:
        decoder: The decoder of the last run.

    Raises:
        InputError: If an argument is out of range, there is no such domain, or the model does not
            take images of one size.

    Vincent et al.: *Extracting and Composing Robust Features with Denoising Autoencoders*, ICML
    2008. Ghifary et al.: *Deep Reconstruction-Classification Networks for Unsupervised Domain
    Adaptation*, ECCV 2016.
    """

    reads_images: ClassVar[bool] = True

    def __init__(
        self,
        filters: Sequence[int] | None = None,
        noise: float = 0.0,
        domains: Literal["all", "source", "target"] = "all",
        *,
        weight: Any = 1.0,
    ):
        super().__init__(weight)
        if domains not in ("all", "source", "target"):
            raise InputError(f"domains: expected 'all', 'source' or 'target', got {domains!r}.")
        self.filters = None if filters is None else hidden_units(filters, "filters")
        self.noise = number(noise, "noise", least=0.0)
        self.domains = domains
        self.reads_views_only = self.noise > 0
        self.decoder: Any = None

    def begin(self, setup: Setup) -> None:
        """Build the decoder."""
        require_images(setup, "Reconstruction")
        named = {"all": setup.domains, "source": setup.sources, "target": setup.targets}
        self._names = named[self.domains]
        if not self._names:
            setup.require_domains(self)
        self.decoder = build_decoder(
            setup.forward_shapes.feature_map,
            setup.model.modality.shape,
            filters=self.filters,
            seed=setup.seed,
            name="reconstruction_decoder",
        )
        self._layers = ()
        if self.noise:
            self._layers = checked_view((PixelNoise(self.noise),), setup)

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the decoder."""
        return {"decoder": self.decoder}

    def views(self) -> dict[str, Any]:
        """Return the noisy images, if there is noise."""
        return {VIEW: (self._layers, self._names)} if self._layers else {}

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the mean squared error per pixel."""
        clean = [batch[name] for name in self._names]
        seen = clean
        if self._layers:
            seen = [batch.views[VIEW][name] for name in self._names]
        errors = [
            reconstruction_error(
                one.x,
                self.decoder(tf.cast(other.feature_map, tf.float32)),
                batch.model.pixel_range,
            )
            for one, other in zip(clean, seen, strict=True)
        ]
        return {"loss": pooled(seen).mean(tf.concat(errors, axis=0))}
