import numpy as np
import pytest

from tl_keras.objectives import build_decoder
from tl_keras.utils.errors import InputError


@pytest.mark.parametrize(
    ("features", "image"),
    [
        ((4, 4, 8), (28, 28, 1)),
        ((5, 3, 8), (33, 20, 3)),
        ((8, 8, 4), (8, 8, 3)),
        ((32,), (28, 28, 1)),
    ],
)
def test_images_come_out_in_0_to_1(features, image):
    decoder = build_decoder(features, image)
    values = np.random.default_rng(0).normal(0, 5, (2, *features)).astype("float32")
    images = decoder(values).numpy()
    assert images.shape == (2, *image)
    assert images.min() >= 0 and images.max() <= 1 and images.std() > 0


def test_the_seed_decides_the_weights():
    one, again, other = (build_decoder((4, 4, 8), (16, 16, 3), seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.get_weights()[0], again.get_weights()[0])
    assert np.abs(one.get_weights()[0] - other.get_weights()[0]).max() > 0


def test_filters_are_the_channels_after_each_doubling():
    decoder = build_decoder((4, 4, 8), (16, 16, 3), filters=(6, 5), name="own")
    assert decoder.get_layer("own_conv0").filters == 6
    assert decoder.get_layer("own_conv1").filters == 5


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="the decoder doubles the size 2 times"):
        build_decoder((4, 4, 8), (16, 16, 3), filters=(6,))
    with pytest.raises(InputError, match="a decoder needs a feature map"):
        build_decoder((16, 8), (16, 16, 3))
    with pytest.raises(InputError, match=r"output_shape: expected .*, got \(8, 8\)"):
        build_decoder((4, 4, 8), (8, 8))
    with pytest.raises(InputError, match=r"a decoder needs a feature map .* gives 32"):
        build_decoder(32, (8, 8, 3))
    with pytest.raises(InputError, match="filters: expected a list of widths"):
        build_decoder((4, 4, 8), (8, 8, 3), filters=8)
    with pytest.raises(InputError, match="is larger than the image"):
        build_decoder((20, 20, 8), (16, 16, 3))
