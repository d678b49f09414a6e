"""Hugging Face directories say in `preprocessor_config.json` how pixels are scaled."""

import json

import numpy as np
import pytest

import tl_keras as tl
from tl_keras.backbones.preprocessor_config import image_size_of, preprocessing_of
from tl_keras.utils.errors import InputError

keras_hub = pytest.importorskip("keras_hub", reason='pip install "tl_keras[keras-hub]"')

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
VIT = {
    "model_type": "vit",
    "image_size": 32,
    "patch_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "hidden_size": 8,
    "intermediate_size": 16,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "qkv_bias": True,
}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(params=["keras_hub", "hugging_face"])
def directory(request, tmp_path):
    """A small ViT without an image converter, as either library lays it out."""
    if request.param == "keras_hub":
        network = keras_hub.models.ViTBackbone(
            image_shape=(32, 32, 3),
            patch_size=(8, 8),
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            mlp_dim=16,
        )
        network.save_to_preset(tmp_path)
    else:
        pytest.importorskip("safetensors", reason="pip install safetensors")
        (tmp_path / "config.json").write_text(json.dumps(VIT))
    return tmp_path


def test_a_directory_is_preprocessed_as_hugging_face_does(directory):
    config = {"image_mean": MEAN, "image_std": STD, "size": {"height": 32, "width": 32}}
    (directory / "preprocessor_config.json").write_text(json.dumps(config))
    model = tl.build_transfer_model(f"keras_hub:{directory}", 2, weights=None)
    expected = (PIXELS / 255 - MEAN) / STD
    np.testing.assert_allclose(model.preprocessing(PIXELS), expected, rtol=1e-4, atol=1e-5)
    assert model.modality.shape == (32, 32, 3)


def test_what_states_nothing_is_refused_with_the_remedy(directory):
    name = f"keras_hub:{directory}"
    with pytest.raises(InputError, match=r"nothing states how .* takes pixels.*preprocessing=…"):
        tl.build_transfer_model(name, 2, weights=None)
    layer = tl.preprocessing.to_minus_one_one()
    model = tl.build_transfer_model(name, 2, weights=None, preprocessing=layer)
    np.testing.assert_allclose(model.preprocessing(PIXELS), PIXELS / 127.5 - 1.0, rtol=1e-4)
    (directory / "preprocessor_config.json").write_text("{")
    with pytest.raises(InputError, match=r"preprocessor_config.json' cannot be read"):
        tl.build_transfer_model(name, 2, weights=None)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"image_mean": 0.5, "image_std": 0.5, "size": 224}, (PIXELS / 255 - 0.5) / 0.5),
        (
            {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 127.5},
            (PIXELS / 127.5 - MEAN) / STD,
        ),
        ({"do_rescale": False, "image_mean": MEAN, "image_std": STD}, (PIXELS - MEAN) / STD),
        ({"do_normalize": False}, PIXELS / 255),
        ({"do_normalize": False, "rescale_factor": None}, PIXELS / 255),
        ({"do_normalize": False, "image_mean": MEAN, "image_std": STD}, PIXELS / 255),
        ({"do_normalize": False, "do_rescale": False}, PIXELS * 1.0),
        ({"do_normalize": False, "do_flip_channel_order": True}, PIXELS[..., ::-1] / 255),
    ],
)
def test_flags_and_factors(config, expected):
    np.testing.assert_allclose(preprocessing_of(config)(PIXELS), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", [None, {}, {"size": 224}, {"do_normalize": True}])
def test_what_does_not_determine_the_scaling_gives_none(config):
    assert preprocessing_of(config) is None


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (None, None),
        ({"size": 384}, (384, 384)),
        ({"size": {"height": 20, "width": 30}}, (20, 30)),
        ({"size": [20, 30]}, (20, 30)),
        ({"size": {"shortest_edge": 256}}, (256, 256)),
        (
            {
                "size": {"shortest_edge": 256},
                "do_center_crop": True,
                "crop_size": {"height": 224, "width": 224},
            },
            (224, 224),
        ),
    ],
)
def test_sizes(config, size):
    assert image_size_of(config) == size


HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}


@pytest.mark.parametrize(
    "config",
    [
        HALF | {"rescale_factor": "abc"},
        HALF | {"rescale_factor": [1]},
        HALF | {"rescale_factor": 1e-320},
        HALF | {"image_std": [0, 1, 1]},
        HALF | {"image_std": 0},
        HALF | {"image_mean": "grey"},
        HALF | {"image_mean": [float("nan")] * 3},
        HALF | {"image_mean": []},
        HALF | {"image_mean": {"red": 1}},
        HALF | {"image_std": [10**400]},
    ],
)
def test_values_that_are_no_numbers_to_use(config):
    with pytest.raises(InputError, match=r"preprocessor_config\.json holds values that cannot be"):
        preprocessing_of(config)


@pytest.mark.parametrize(
    "size",
    ["big", [1, 2, 3], -5, 10**30, [[1], 2], float("inf"), {"height": "x", "width": 3}],
)
def test_sizes_that_are_none(size):
    with pytest.raises(InputError, match=r"preprocessor_config\.json holds values that cannot be"):
        image_size_of({"size": size})
