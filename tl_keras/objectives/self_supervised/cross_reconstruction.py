"""Cross-reconstruction: one encoder for two domains, a decoder for each, one latent space."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tl_keras.inputs.preprocessing import from_eight_bits
from tl_keras.objectives.augmented_views import require_images
from tl_keras.objectives.batch import Batch
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.self_supervised.decoders import build_decoder
from tl_keras.objectives.self_supervised.reconstruction import reconstruction_error
from tl_keras.utils.arguments import hidden_units, number


class CrossReconstruction(Objective):
    """Relational transfer: the backbone encodes all domains, and every domain has its own decoder.

    `own = Σ_d mean ‖x_d/255 − D_d(E(x_d))‖²`: the decoders hold what is particular to a domain, so
    the encoder is left with what the domains share. `cross = mean over pairs of a source and a
    target, both ways, of ‖x_a/255 − D_a(E(255·D_b(E(x_a))))‖²`: an image painted in the other
    domain must still say what it was. `loss = own + cross weight · cross`; both are means per
    pixel, `own` a mean over domains. With a `pixel_range` of the model, its darkest and brightest
    value take the place of 0 and 255.

    Add `Supervised` to keep the classes apart in the shared space, and an alignment such as `MMD`
    where the domains' features still differ. For images of the same objects by different means
    (scanners, sketches and photographs, seasons).

    The crossed images take a second pass through the backbone, in inference mode. Losses are means
    over examples: replicas and slices agree with one device.

    Args:
        cross: Weight of the second term, ≥ 0; 0 saves the second pass.
        filters: Channels of each decoder after each doubling of the size; see `build_decoder`.
        weight: What the loss is multiplied by.

    Raises:
        InputError: If the weight of the second term is negative, a source or target domain is
            missing, or the model does not take images of one size.

    The shared encoder: Bousmalis et al.: *Domain Separation Networks*, NeurIPS 2016. Through the
    other domain and back: Liu, Breuel, Kautz: *Unsupervised Image-to-Image Translation Networks*,
    NeurIPS 2017.
    """

    reads_images: ClassVar[bool] = True

    def __init__(
        self, cross: float = 1.0, filters: Sequence[int] | None = None, *, weight: Any = 1.0
    ):
        super().__init__(weight)
        self.cross = number(cross, "cross", least=0.0)
        self.filters = None if filters is None else hidden_units(filters, "filters")
        self.decoders: dict[str, keras.Model] = {}

    def begin(self, setup: Setup) -> None:
        """Build a decoder for every domain."""
        setup.require_domains(self)
        require_images(setup, "CrossReconstruction")
        self._pairs = [
            pair
            for source in setup.sources
            for target in setup.targets
            for pair in ((source, target), (target, source))
        ]
        self.decoders = {
            name: build_decoder(
                setup.forward_shapes.feature_map,
                setup.model.modality.shape,
                filters=self.filters,
                seed=setup.seed + 100 * index,
                name=f"decoder_{index}",
            )
            for index, name in enumerate(setup.domains)
        }

    def networks(self) -> dict[str, keras.layers.Layer]:
        """Return the decoders by domain."""
        return dict(self.decoders)

    def losses(self, batch: Batch) -> dict[str, Any]:
        """Return the weighted sum and its two terms."""
        maps = {name: tf.cast(one.feature_map, tf.float32) for name, one in batch.items()}
        pixel_range = batch.model.pixel_range
        own = tf.add_n(
            [
                one.mean(reconstruction_error(one.x, self.decoders[name](maps[name]), pixel_range))
                for name, one in batch.items()
            ]
        ) / len(batch)
        parts = {"own_reconstruction": own}
        if not self.cross:
            return {"loss": own, **parts}
        cross = self._crossed(batch, maps)
        return {"loss": own + self.cross * cross, **parts, "cross_reconstruction_back": cross}

    def _crossed(self, batch: Batch, maps: dict[str, Any]) -> Any:
        """Return the mean error of images that went through the other domain's decoder."""
        pixel_range = batch.model.pixel_range
        painted = [
            from_eight_bits(255.0 * self.decoders[other](maps[own]), pixel_range)
            for own, other in self._pairs
        ]
        sizes = [tf.shape(images)[0] for images in painted]
        again = batch.model.feature_map(tf.concat(painted, axis=0), training=False)
        pieces = tf.split(tf.cast(again, tf.float32), sizes, num=len(sizes))
        errors = []
        for (own, _), piece in zip(self._pairs, pieces, strict=True):
            piece.set_shape([None, *again.shape[1:]])
            decoded = self.decoders[own](piece)
            errors.append(batch[own].mean(reconstruction_error(batch[own].x, decoded, pixel_range)))
        return tf.add_n(errors) / len(errors)
