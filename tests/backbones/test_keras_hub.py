import keras
import numpy as np
import pytest

import tl_keras as tl
from tl_keras.utils.errors import InputError

keras_hub = pytest.importorskip("keras_hub", reason='pip install "tl_keras[keras-hub]"')

SCALE = [1 / 50.0, 1 / 60.0, 1 / 70.0]
OFFSET = [-2.0, -1.5, -1.0]


@pytest.fixture
def preset(tmp_path) -> str:
    """A small ResNet with an image converter, saved as KerasHub saves presets."""
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 2],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )
    backbone.save_to_preset(tmp_path)
    converter = keras_hub.layers.ResNetImageConverter(
        image_size=(32, 32), scale=SCALE, offset=OFFSET
    )
    converter.save_to_preset(tmp_path)
    return str(tmp_path)


def test_a_preset_is_preprocessed_as_its_converter_says(preset, tmp_path):
    model = tl.build_transfer_model(f"keras_hub:{preset}", 3)
    assert model.modality.shape == (32, 32, 3)
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    backbone = keras_hub.models.Backbone.from_preset(preset)
    scaled = x * np.array(SCALE, "float32") + np.array(OFFSET, "float32")
    expected = backbone.predict(scaled, verbose=0).mean(axis=(1, 2))
    np.testing.assert_allclose(model.features(x), expected, rtol=1e-4, atol=1e-5)


def test_a_preset_has_blocks_trains_and_saves(preset, tmp_path):
    model = tl.build_transfer_model(f"keras_hub:{preset}", 2)
    assert len(model.blocks) >= 3
    x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    tl.fine_tune(model, (x, [0, 1, 0, 1]), schedule=tl.Stage(1, unfreeze=1), verbose=False)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


def test_random_weights_on_request(preset):
    trained, random = (
        tl.build_transfer_model(f"keras_hub:{preset}", weights=weights)
        for weights in ("imagenet", None)
    )
    kernels = [model.blocks[0].weights[0].numpy() for model in (trained, random)]
    assert not np.array_equal(*kernels)


def test_a_preset_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="KerasHub could not load the preset"):
        tl.build_transfer_model(f"keras_hub:{tmp_path}/nothing", 2)
