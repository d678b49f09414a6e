"""SavedModels as layers: every way in, training, saving and the messages."""

import contextlib
import functools
import gc
import http.server
import importlib
import importlib.metadata
import io
import os
import shutil
import subprocess
import sys
import tarfile
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from tl_keras.backbones import module_download
from tl_keras.backbones.saved_model import SavedModelBackbone, is_module_source
from tl_keras.utils.errors import InputError
from tools.torture import hostile_archives

IMAGES = tf.TensorSpec((None, 4, 4, 3), tf.float32, name="images")
KERNEL = np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2)


def batch(seed=0, size=5):
    return np.random.default_rng(seed).uniform(0, 1, (size, 4, 4, 3)).astype("float32")


class Network(tf.Module):
    """Mean over the image, times a kernel, minus a running mean as batch normalisation has it."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(KERNEL, name="dense/kernel")
        self.mean = tf.Variable(tf.zeros(2), trainable=False, name="dense/mean")
        self.unused = tf.Variable(tf.ones(7), name="unused")

    @tf.function
    def __call__(self, images, training=False):
        features = tf.reduce_mean(images, (1, 2)) @ self.kernel
        if training:
            center = tf.reduce_mean(features, 0)
            self.mean.assign(0.5 * self.mean + 0.5 * center)
            return features - center
        return features - self.mean

    @tf.function(input_signature=[IMAGES])
    def several(self, images):
        features = tf.reduce_mean(images, (1, 2)) @ self.kernel
        return {"low": features, "high": 10 * features}

    @tf.function(input_signature=[IMAGES])
    def with_default(self, images):
        return {"default": tf.reduce_mean(images, (1, 2)) @ self.kernel, "other": images}


class SignaturesOnly(tf.Module):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(KERNEL)

    @tf.function(input_signature=[IMAGES])
    def serve(self, images):
        return {"features": tf.reduce_mean(images, (1, 2)) @ self.kernel}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The one SavedModel that `module` copies."""
    network = Network()
    for training in (True, False):
        network.__call__.get_concrete_function(IMAGES, training=training)
    path = str(tmp_path_factory.mktemp("saved") / "network")
    tf.saved_model.save(network, path, signatures={"serving_default": network.several})
    return path


@pytest.fixture
def module(saved, tmp_path):
    """A SavedModel that no other test has: by its files, copies of layers find each other."""
    path = shutil.copytree(saved, tmp_path / "network")
    (path / "of").write_text(str(tmp_path))
    return str(path)


def archive(path, target, name=None):
    with tarfile.open(target, "w:gz") as file:
        file.add(path, arcname=name or "./")
    return str(target)


def expected(images, kernel=KERNEL):
    return images.mean((1, 2)) @ kernel


def test_layer_is_the_module(module):
    layer = SavedModelBackbone(module)
    assert layer.module_input_shape == (4, 4, 3)
    assert layer.module_input_dtype == "float32"
    np.testing.assert_allclose(layer(batch()).numpy(), expected(batch()), atol=1e-6)
    assert [weight.name for weight in layer.trainable_weights] == ["dense_kernel"]
    assert [weight.name for weight in layer.non_trainable_weights] == ["dense_mean"]
    assert layer.trainable_weights[0].path == f"{layer.name}/dense_kernel"
    inputs = keras.Input((4, 4, 3))
    assert layer(inputs).shape == (None, 2)
    assert layer.compute_output_shape((8, 4, 4, 3)) == (8, 2)
    integers = (255 * batch()).astype("uint8")
    np.testing.assert_allclose(layer(integers), expected(integers), rtol=1e-5)
    with pytest.raises(InputError, match=r"takes inputs of shape \(None, 4, 4, 3\), got \(2, 5"):
        layer(np.zeros((2, 5, 5, 3)))


def test_mixed_precision_casts_the_features(module):
    layer = SavedModelBackbone(module, dtype="mixed_float16")
    assert layer(batch()).dtype == tf.float16
    assert layer.weights[0].dtype == "float32"
    assert layer(keras.Input((4, 4, 3))).dtype == "float16"


def test_training_reaches_the_module_unless_frozen(module):
    layer = SavedModelBackbone(module)
    layer.trainable = False
    for training in (True, False):
        np.testing.assert_allclose(layer(batch(), training=training), expected(batch()), atol=1e-6)
    layer.trainable, layer.inference_only = True, True
    np.testing.assert_allclose(layer(batch(), training=True), expected(batch()), atol=1e-6)
    np.testing.assert_array_equal(layer.non_trainable_weights[0], [0, 0])
    layer.inference_only = False
    center = expected(batch()).mean(0)
    np.testing.assert_allclose(layer(batch(), training=True), expected(batch()) - center, atol=1e-6)
    np.testing.assert_allclose(layer.non_trainable_weights[0], 0.5 * center, atol=1e-6)


def step_of(layer, optimizer):
    @tf.function
    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(images, training=False))
        variables = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)

    return step


def test_a_step_trains_with_the_right_gradient(module):
    layer = SavedModelBackbone(module)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(layer.trainable_variables)
    step_of(layer, optimizer)(tf.constant(batch()))
    gradient = np.repeat(batch().mean((1, 2)).sum(0)[:, None], 2, axis=1)
    np.testing.assert_allclose(layer.trainable_weights[0], KERNEL - 0.1 * gradient, atol=1e-6)
    changed = layer.trainable_weights[0].numpy()
    np.testing.assert_allclose(layer(batch()), expected(batch(), changed), atol=1e-5)


def classifier(layer):
    inputs = keras.Input((4, 4, 3))
    outputs = keras.layers.Dense(2, activation="softmax")(layer(inputs))
    model = keras.Model(inputs, outputs)
    model.compile(optimizer=keras.optimizers.Adam(0.1), loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("frozen", [True, False])
def test_fit_inside_a_model(module, frozen):
    keras.utils.set_random_seed(0)
    layer = SavedModelBackbone(module)
    layer.trainable = not frozen
    before = layer.get_weights()
    classifier(layer).fit(batch(), np.array([0, 1, 0, 1, 1]), verbose=0)
    same = [np.array_equal(*pair) for pair in zip(before, layer.get_weights(), strict=True)]
    assert same == [frozen, frozen]


def test_keras_file_carries_the_module(module, tmp_path):
    keras.utils.set_random_seed(0)
    model = classifier(SavedModelBackbone(module, inference_only=True))
    labels = np.array([0, 1, 0, 1, 1])
    model.fit(batch(), labels, verbose=0, epochs=2)
    model.save(tmp_path / "model.keras")
    outputs = model(batch()).numpy()
    shutil.rmtree(module)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch()).numpy(), outputs)
    assert loaded.layers[1].inference_only
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert ours.path == theirs.path
    for ours, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())

    model.fit(batch(), labels, verbose=0, shuffle=False)
    loaded.fit(batch(), labels, verbose=0, shuffle=False)
    np.testing.assert_allclose(loaded(batch()), model(batch()), atol=1e-6)
    loaded.save(tmp_path / "again.keras")
    outputs = loaded(batch()).numpy()
    del loaded
    again = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(again(batch()).numpy(), outputs)


def test_keras_file_carries_a_module_from_an_archive(module, tmp_path):
    """Which differs until the file is written; what is loaded has a copy in either case."""
    source = archive(module, tmp_path / "network.tar.gz")
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(source)])
    model.set_weights([KERNEL + 1, np.ones(2)])
    model.save(tmp_path / "model.keras")
    shutil.rmtree(module)
    os.remove(source)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch()).numpy(), model(batch()).numpy())
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
        assert ours.path == theirs.path


def test_clones_have_variables_of_their_own(module):
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    nested = keras.Sequential([keras.Input((4, 4, 3)), model])
    clone = keras.models.clone_model(nested)
    np.testing.assert_allclose(clone(batch()), expected(batch()), atol=1e-6)
    again = keras.models.clone_model(nested)
    again.set_weights([np.zeros((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(again(batch()), np.zeros((5, 2)))
    np.testing.assert_allclose(nested(batch()), expected(batch()), atol=1e-6)
    assert again.get_layer(index=0).layers[0].trainable_weights[0].shape == (3, 2)


def test_config_alone_does_not_follow_paths(module, tmp_path):
    layer = SavedModelBackbone(module)
    layer(keras.Input((4, 4, 3)))
    config = keras.saving.serialize_keras_object(layer)
    os.rename(module, tmp_path / "moved")
    config["config"]["module_spec"]["fingerprint"] = "another"
    rebuilt = keras.saving.deserialize_keras_object(config)
    assert rebuilt(keras.Input((4, 4, 3))).shape == (None, 2)
    with pytest.raises(InputError, match="built from a config, which doesn't hold its SavedModel"):
        rebuilt(batch())


def test_hdf5_which_would_lose_the_module_is_refused(module, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    with pytest.raises(InputError, match=r"filepath: expected a path that ends in \.keras"):
        model.save(tmp_path / "model.h5")
    model.save(tmp_path / "model.keras")


def test_weights_files(module, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    model.set_weights([np.full((3, 2), 2.0), np.ones(2)])
    model.save_weights(tmp_path / "x.weights.h5")
    other = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    other.load_weights(tmp_path / "x.weights.h5")
    np.testing.assert_allclose(
        other(batch()), expected(batch(), np.full((3, 2), 2.0)) - 1, atol=1e-5
    )


def test_export_runs_without_keras(module, tmp_path):
    """A model and what is loaded from its file, in one other process."""
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    model.set_weights([KERNEL + 1, np.ones(2)])
    model.export(tmp_path / "exported", verbose=False)
    model.save(tmp_path / "model.keras")
    reloaded = keras.models.load_model(tmp_path / "model.keras")
    reloaded.export(tmp_path / "exported_again", verbose=False)
    shutil.rmtree(module)
    np.save(tmp_path / "images.npy", batch())
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "for name in ('exported', 'exported_again'):\n"
        "    served = tf.saved_model.load(name).signatures['serving_default']\n"
        "    outputs = served(tf.constant(np.load('images.npy')))\n"
        "    np.save(name + '.npy', list(outputs.values())[0].numpy())\n"
        "assert 'tl_keras' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    for name in ("exported", "exported_again"):
        np.testing.assert_allclose(
            np.load(tmp_path / f"{name}.npy"), expected(batch(), KERNEL + 1) - 1, atol=1e-5
        )


def test_plain_saved_model_save_and_checkpoint(module, tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
    tf.train.Checkpoint(model=model).write(str(tmp_path / "checkpoint"))
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "checkpoint"))]
    assert any("mean" in name or "_non_trainable" in name for name in names)
    holder = tf.Module()
    holder.model = model
    holder.serve = tf.function(model, input_signature=[IMAGES])
    tf.saved_model.save(holder, str(tmp_path / "held"))
    loaded = tf.saved_model.load(str(tmp_path / "held"))
    np.testing.assert_allclose(loaded.serve(batch()), expected(batch()), atol=1e-6)


def distributed_step(strategy, model):
    @tf.function
    def step(images):
        def replica(part):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(part, training=False)[:, 0] ** 2)
            variables = model.trainable_variables
            gradients = tape.gradient(loss, [v.value for v in variables])
            model.optimizer.apply(gradients, variables)

        strategy.run(replica, args=(images,))

    return step


@pytest.mark.parametrize("reloaded", [False, True])
def test_two_devices_train_as_one(module, tmp_path, reloaded, two_devices):
    def build():
        model = keras.Sequential([keras.Input((4, 4, 3)), SavedModelBackbone(module)])
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        model.optimizer.build(model.trainable_variables)
        return model

    single = build()
    distributed_step(tf.distribute.get_strategy(), single)(tf.constant(batch(1, 8)))
    single.save(tmp_path / "model.keras")
    strategy = two_devices
    with strategy.scope():
        mirrored = keras.models.load_model(tmp_path / "model.keras") if reloaded else build()
    single = single if reloaded else build()
    data = tf.data.Dataset.from_tensor_slices(batch(2, 8)).batch(8)
    for images in strategy.experimental_distribute_dataset(data):
        distributed_step(strategy, mirrored)(images)
    distributed_step(tf.distribute.get_strategy(), single)(tf.constant(batch(2, 8)))
    assert not np.allclose(single.get_weights()[0], KERNEL)
    np.testing.assert_allclose(mirrored.get_weights()[0], single.get_weights()[0], atol=1e-6)


def test_several_outputs(module):
    with pytest.raises(InputError, match=r"output_key= one of: 'high' \(None, 2\), 'low'"):
        SavedModelBackbone(module, signature="serving_default")
    layer = SavedModelBackbone(module, signature="serving_default", output_key="high")
    np.testing.assert_allclose(layer(batch()), 10 * expected(batch()), atol=1e-5)
    layer = SavedModelBackbone(module, signature="several", output_key="low")
    np.testing.assert_allclose(layer(batch()), expected(batch()), atol=1e-5)
    layer = SavedModelBackbone(module, signature="with_default")
    np.testing.assert_allclose(layer(batch()), expected(batch()), atol=1e-5)
    with pytest.raises(InputError, match="got 'middle'"):
        SavedModelBackbone(module, signature="several", output_key="middle")
    with pytest.raises(InputError, match="one of: 'serving_default', 'several', 'with_default'"):
        SavedModelBackbone(module, signature="serve")


def test_signature_only_modules_train(tmp_path):
    network = SignaturesOnly()
    holder = tf.Module()
    holder.kernel = network.kernel
    path = str(tmp_path / "signatures")
    tf.saved_model.save(holder, path, signatures={"serving_default": network.serve})
    layer = SavedModelBackbone(path)
    np.testing.assert_allclose(layer(batch()), expected(batch()), atol=1e-6)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(layer.trainable_variables)
    step_of(layer, optimizer)(tf.constant(batch()))
    gradient = np.repeat(batch().mean((1, 2)).sum(0)[:, None], 2, axis=1)
    np.testing.assert_allclose(layer.get_weights()[0], KERNEL - 0.1 * gradient, atol=1e-6)


def test_modules_of_keras_export(tmp_path):
    source = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(2, 1)])
    source.export(tmp_path / "exported", verbose=False)
    layer = SavedModelBackbone(tmp_path / "exported")
    np.testing.assert_allclose(layer(batch()), source(batch()), atol=1e-6)
    assert len(layer.trainable_weights) == 2


def test_modules_without_variables(tmp_path):
    network = tf.Module()
    network.__class__ = type("Fixed", (tf.Module,), {"__call__": lambda self, x: self.f(x)})
    network.f = tf.function(lambda images: images * 2, input_signature=[IMAGES])
    tf.saved_model.save(network, str(tmp_path / "fixed"), signatures=network.f)
    layer = SavedModelBackbone(tmp_path / "fixed")
    assert not layer.trainable
    np.testing.assert_allclose(layer(batch()), 2 * batch())
    with pytest.raises(InputError, match="has no variables that can be trained"):
        SavedModelBackbone(tmp_path / "fixed", trainable=True)


@pytest.mark.parametrize("hub", [False, True])
def test_modules_of_tensorflow_1(tmp_path, hub):
    v1 = tf.compat.v1
    path = str(tmp_path / "v1")
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 4, 4, 3))
        features = tf.reduce_mean(images, (1, 2)) @ v1.get_variable("w", initializer=KERNEL)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(path)
        signature = v1.saved_model.predict_signature_def({"images": images}, {"default": features})
        builder.add_meta_graph_and_variables(
            session, [] if hub else ["serve"], {"default": signature}
        )
        builder.add_meta_graph(["train"], {"default": signature})
        builder.save()
    layer = SavedModelBackbone(path)
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    np.testing.assert_allclose(model(batch()), expected(batch()), atol=1e-6)
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(layer.trainable_variables)
    step_of(layer, optimizer)(tf.constant(batch()))
    assert not np.array_equal(layer.get_weights()[0], KERNEL)
    model.save(tmp_path / "model.keras")
    outputs = model(batch()).numpy()
    shutil.rmtree(path)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(batch()).numpy(), outputs)


def test_archives(module, tmp_path):
    for name in ("plain.tar.gz", "nested.tgz"):
        path = archive(module, tmp_path / name, "a/network" if name[0] == "n" else None)
        assert is_module_source(path)
        np.testing.assert_allclose(SavedModelBackbone(path)(batch()), expected(batch()), atol=1e-6)
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"broken\.tar\.gz' can't be read"):
        SavedModelBackbone(tmp_path / "broken.tar.gz")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="found 0"):
        SavedModelBackbone(archive(tmp_path / "empty", tmp_path / "empty.tar.gz"))


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside", "link"])
def test_archives_stay_in_their_folder(tmp_path, name):
    member = tarfile.TarInfo(name)
    member.size = 5
    if name == "link":
        member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as file:
        file.addfile(member, io.BytesIO(b"evil!"))
    with pytest.raises(InputError, match="is refused, because its member"):
        SavedModelBackbone(tmp_path / "evil.tar.gz")
    assert not list(tmp_path.glob("**/outside"))


def test_not_a_saved_model(module, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"")
    assert not is_module_source(str(tmp_path / "photos"))
    assert not is_module_source("ResNet50")
    assert is_module_source(module)
    with pytest.raises(InputError, match=r"contains saved_model\.pb.* This one contains cat\.png"):
        SavedModelBackbone(tmp_path / "photos")
    with pytest.raises(InputError, match="expected the directory of a SavedModel"):
        SavedModelBackbone(tmp_path / "nowhere")
    with open(os.path.join(module, "saved_model.pb"), "r+b") as file:
        file.truncate(100)
    with pytest.raises(InputError, match="damaged or cut short"):
        SavedModelBackbone(module)


class Reader(tf.Module):
    @tf.function(input_signature=[IMAGES])
    def __call__(self, images):
        tf.io.write_file("written-by-a-model", "text")
        return images


def test_safe_mode_refuses_file_operations(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tf.saved_model.save(Reader(), str(tmp_path / "reader"))
    layer = SavedModelBackbone(tmp_path / "reader", trust=True)
    keras.Sequential([keras.Input((4, 4, 3)), layer]).save(tmp_path / "model.keras")
    del layer
    gc.collect()
    with pytest.raises(Exception, match=r"refused in safe mode, because .* \(WriteFile\)"):
        keras.models.load_model(tmp_path / "model.keras")
    assert not (tmp_path / "written-by-a-model").exists()
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=False)
    np.testing.assert_array_equal(loaded(batch()), batch())


@contextlib.contextmanager
def serving(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_downloads(module, tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_hub", reason='pip install "tl_keras[hub]"')
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    archive(module, tmp_path / "network.tar.gz")
    with serving(tmp_path) as address:
        layer = SavedModelBackbone(f"{address}/network.tar.gz")
        np.testing.assert_allclose(layer(batch()), expected(batch()), atol=1e-6)
        with pytest.raises(InputError, match=r"could not be downloaded .*404"):
            SavedModelBackbone(f"{address}/nothing.tar.gz")
    SavedModelBackbone(f"{address}/network.tar.gz")
    with pytest.raises(InputError, match=r"could not be downloaded .* Check the address and the"):
        SavedModelBackbone(f"{address}/another.tar.gz")


HOSTILE = {"size/10000000000", "double/file", "bomb/12,000", "name/escape", "kind/symbolic link"}


def test_downloads_are_unpacked_by_the_strict_reader(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_hub", reason='pip install "tl_keras[hub]"')
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    chosen = {}
    for name, content in hostile_archives.cases():
        family = next((one for one in HOSTILE if name.startswith(one)), None)
        if family and family not in chosen:
            chosen[family] = content
        if set(chosen) == HOSTILE:  # Those that follow take time to make.
            break
    assert set(chosen) == HOSTILE
    with serving(tmp_path) as address:
        for number, (family, content) in enumerate(chosen.items()):
            (tmp_path / f"{number}.tar.gz").write_bytes(content)
            with pytest.raises(
                InputError, match=rf"archive '{address}/{number}\.tar\.gz' is refused"
            ):
                SavedModelBackbone(f"{address}/{number}.tar.gz")
            assert not [*(tmp_path / "cache").rglob("*")], family


def test_downloads_without_an_end(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow_hub", reason='pip install "tl_keras[hub]"')
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    usage = shutil.disk_usage(tmp_path)._replace(free=2 * 10**6)
    monkeypatch.setattr(module_download.shutil, "disk_usage", lambda folder: usage)
    (tmp_path / "large.tar.gz").write_bytes(bytes(10**6 + 1))
    with (
        serving(tmp_path) as address,
        pytest.raises(InputError, match="takes more than half of the free disk"),
    ):
        SavedModelBackbone(f"{address}/large.tar.gz")
    assert not [*(tmp_path / "cache").rglob("*")]


def test_downloads_need_tensorflow_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(InputError, match=r'pip install "tl_keras\[hub\]"'):
        SavedModelBackbone("https://tfhub.dev/google/imagenet/mobilenet_v2/feature_vector/4")


def test_tensorflow_hub_imports_without_pkg_resources(monkeypatch):
    pytest.importorskip("tensorflow_hub", reason='pip install "tl_keras[hub]"')
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorflow_hub"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pkg_resources", None)
    with pytest.raises(ImportError, match="pkg_resources"):
        importlib.import_module("pkg_resources")
    hub = module_download._tensorflow_hub("x")
    assert hub is sys.modules["tensorflow_hub"] and callable(hub.resolve)
    assert sys.modules["pkg_resources"] is None


def basic_pitch():
    install = "pip install --no-deps basic-pitch==0.4.0"
    try:
        files = importlib.metadata.distribution("basic-pitch").files or ()
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(install)
    found = next(file for file in files if str(file).endswith("nmp/saved_model.pb"))
    return os.path.dirname(str(found.locate()))


def test_third_party_module_of_keras_2(tmp_path):
    pytest.importorskip("tf_keras", reason="pip install tf_keras")
    path = basic_pitch()
    with pytest.raises(InputError, match=r"one of: 'contour' \(None, 172, 264\), 'note'"):
        SavedModelBackbone(path)
    layer = SavedModelBackbone(path, output_key="note")
    assert layer.module_input_shape == (43844, 1)
    assert len(layer.trainable_weights) == 18
    assert len(layer.non_trainable_weights) == 6
    sound = np.random.default_rng(0).normal(size=(1, 43844, 1)).astype("float32")
    served = tf.saved_model.load(path).signatures["serving_default"]
    notes = layer(sound).numpy()
    np.testing.assert_allclose(notes, served(input_2=sound)["note"], atol=1e-5)
    model = keras.Sequential([keras.Input((43844, 1)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(sound).numpy(), notes)


def test_tf_keras_is_named_where_it_is_missing(module, monkeypatch):
    def load(*_, **__):
        raise AttributeError("'_UserObject' object has no attribute 'add_slot'")

    monkeypatch.setattr(tf.saved_model, "load", load)
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    with pytest.raises(InputError, match="pip install tf_keras"):
        SavedModelBackbone(module)
