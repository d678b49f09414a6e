"""Every Keras Applications backbone goes through one list of checks."""

import concurrent.futures
import gc
import multiprocessing
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.backbones.applications import APPLICATIONS

# Different enough to find what breaks; TL_KERAS_CONFORMANCE=all takes every row of the table.
FAMILIES = ("EfficientNetB0", "MobileNetV3Small")
EVERY_ONE = os.environ.get("TL_KERAS_CONFORMANCE") == "all"
# Half of a network has each kind of its blocks: where it ends, unless every row is taken.
ENDS = {"EfficientNetB0": "block3b_add", "MobileNetV3Small": "expanded_conv_5_add"}
# These take up to 18 GB, most of it in the export: `make conformance` runs one at a time.
LARGE = {
    *("ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtXLarge"),
    *("EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2L", "EfficientNetV2M"),
    *("InceptionResNetV2", "NASNetLarge", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2"),
}
# Networks of one module are one architecture in several sizes; the first is the smallest but once.
SMALLEST = {row.module: name for name, row in reversed(APPLICATIONS.items())}
SMALLEST["nasnet"] = "NASNetMobile"
BUILT = sorted(APPLICATIONS if EVERY_ONE else SMALLEST.values())
TRAINED = [
    pytest.param(name, marks=pytest.mark.large if name in LARGE else ())
    for name in (sorted(APPLICATIONS) if EVERY_ONE else FAMILIES)
]


@pytest.fixture(scope="module", autouse=True)
def only_what_is_made_here():
    """Let the search for cycles leave out what was there before, which is most of the objects."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def forget_the_network():
    """Let go of graphs and variables after each of forty networks."""
    yield
    keras.utils.clear_session()
    gc.collect()


def side_of(name: str) -> int:
    """Return the smallest image side that leaves every backbone a feature map."""
    return max(32, APPLICATIONS[name].smallest)


def build(name: str, head: str = "linear") -> tl.TransferModel:
    keras.utils.set_random_seed(0)
    side = side_of(name)
    return tl.build_transfer_model(name, 3, head=head, weights=None, input_shape=(side, side, 3))


def shorten(patch: pytest.MonkeyPatch, name: str) -> None:
    """Let Keras build an application only up to the layer in `ENDS`."""
    whole = getattr(keras.applications, name)

    def shortened(**arguments):
        network = whole(**arguments)
        end = network.get_layer(ENDS[name]).output
        return keras.Model(network.input, end, name=network.name)

    patch.setattr(keras.applications, name, shortened)


def leaves(layers):
    for layer in layers:
        yield from leaves(layer.layers) if isinstance(layer, keras.Model) else (layer,)


def make_alive(model: tl.TransferModel, x: np.ndarray) -> None:
    """Give BatchNorm layers the statistics of these images and more, as training would have.

    Without the images themselves among them, random weights make of two images' difference what
    no trained network does: scores of thousands, in which rounding decides.
    """
    others = np.random.default_rng(2).integers(0, 256, (26, *x.shape[1:]), np.uint8)
    x = np.concatenate([x, others])
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    model.backbone(model.preprocessing(x), training=True)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum


def test_every_application_that_keras_exports_is_in_the_table():
    exported = {
        name
        for name in dir(keras.applications)
        if name[0].isupper() and callable(getattr(keras.applications, name))
    }
    assert set(APPLICATIONS) == exported


@pytest.mark.parametrize("name", sorted(APPLICATIONS))
def test_preprocessing_is_the_applications_own(name):
    row = APPLICATIONS[name]
    module = getattr(keras.applications, row.module)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    expected = module.preprocess_input(pixels.astype("float32"))
    layer = row.preprocessing()
    np.testing.assert_allclose(layer(pixels), expected, atol=2e-5)
    np.testing.assert_allclose(layer(pixels.astype("float32")), expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_blocks_cover_all_layers_exactly_once(name):
    model = build(name)
    inside = [id(layer) for block in model.blocks for layer in leaves(block.layers)]
    assert len(inside) == len(set(inside))
    missing = {
        layer.name: layer.count_params()
        for layer in leaves(model.backbone.layers)
        if id(layer) not in set(inside) and layer.weights
    }
    assert not missing
    assert sum(block.count_params() for block in model.blocks) == model.backbone.count_params()
    assert len(model.blocks) >= 5
    assert all(block.weights for block in model.blocks)
    assert len({block.name for block in model.blocks}) == len(model.blocks)
    assert len(str(model.blocks).splitlines()) == len(model.blocks) + 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_trains_keeps_batch_norm_saves_and_exports(name, tmp_path, monkeypatch):
    if not EVERY_ONE:
        shorten(monkeypatch, name)
        check_training(name, tmp_path)
        return
    # TensorFlow keeps what it has compiled: forty networks in one process would take all memory.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as own:
        own.submit(check_training, name, tmp_path).result()


def check_training(name, tmp_path):
    """Train in each kind of stage, save, load and export."""
    model = build(name)
    side = side_of(name)
    x = np.random.default_rng(1).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    make_alive(model, x)
    y = np.array([0, 1, 2, 0, 1, 2])
    before = {w.path: w.numpy() for w in model.weights}
    statistics = [path for path in before if "moving_" in path]
    top = model.blocks[-1]

    # Small enough that the statistics still fit the weights afterwards.
    rate = 1e-5

    stage = tl.Stage(1, learning_rate=rate)
    tl.fine_tune(model, (x, y), schedule=stage, batch_size=6, verbose=False)
    assert changed(model.backbone, before) == set()
    assert changed(model.head, before)

    stage = tl.Stage(1, unfreeze=1, learning_rate=rate)
    tl.fine_tune(model, (x, y), schedule=stage, batch_size=6, cache=None, verbose=False)
    in_top = {w.path for w in top.weights}
    assert changed(model.backbone, before) and changed(model.backbone, before) <= in_top
    stage = tl.Stage(1, unfreeze="all", learning_rate=rate)
    tl.fine_tune(model, (x, y), schedule=stage, batch_size=6, verbose=False)
    assert not changed(model.backbone, before) <= in_top
    after = {w.path: w.numpy() for w in model.weights}
    assert all(np.array_equal(before[path], after[path]) for path in statistics)

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    expected = model.predict(x, verbose=0)
    assert np.array_equal(loaded.predict(x, verbose=0), expected)

    tl.export.saved_model(model, tmp_path / "export")
    served = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    scores = served(images=tf.constant(x, tf.float32))["scores"]
    limit = max(1e-5, steepness(model, x, expected))
    assert limit < 5e-3
    np.testing.assert_allclose(scores, expected, rtol=0, atol=limit)


def steepness(model: tl.TransferModel, x: np.ndarray, scores: np.ndarray) -> float:
    """Return how far the scores of images move when pixels move by a thousandth of a grey level.

    Two ways to compute such a network in float32 agree no better than that: the layers, run one by
    one, differ from `predict` by as much. Random weights make it more than 1e-5 in a few deep
    networks (some EfficientNets; ResNet101V2, whose residuals add up unnormalised).
    """
    nudge = np.random.default_rng(3).uniform(-1e-3, 1e-3, x.shape).astype("float32")
    return np.abs(model.predict(x + nudge, verbose=0) - scores).max()


def changed(layer, before) -> set[str]:
    return {w.path for w in layer.weights if not np.array_equal(w.numpy(), before[w.path])}


@pytest.mark.slow
def test_updated_batch_norm_moves_its_statistics():
    model = build("MobileNetV2")
    x = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    before = {w.path: w.numpy() for w in model.weights if "moving_" in w.path}
    stage = tl.Stage(1, unfreeze=2, batch_norm="update")
    tl.fine_tune(model, (x, [0, 1, 2] * 2), schedule=stage, batch_size=6, verbose=False)
    moved = {w.path for w in model.weights if "moving_" in w.path} & changed(
        model, {**{w.path: w.numpy() for w in model.weights}, **before}
    )
    inside = {w.path for block in model.blocks[-2:] for w in block.weights if "moving_" in w.path}
    assert moved == inside


def test_efficientnet_constants_survive_copying(monkeypatch):
    shorten(monkeypatch, "EfficientNetB0")
    model = build("EfficientNetB0")
    normalization = next(
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Normalization)
    )
    weights = model.get_weights()
    position = [w.path for w in model.weights].index(normalization.variables[0].path)
    weights[position] = np.array([0.485, 0.456, 0.406], "float32")
    model.set_weights(weights)
    x = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    make_alive(model, x)
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.features(x), model.features(x))
    np.testing.assert_allclose(np.ravel(normalization.mean), [0.485, 0.456, 0.406], rtol=1e-6)
