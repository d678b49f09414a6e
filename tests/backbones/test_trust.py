"""Files of strangers: nothing in them acts when they are loaded, and refusals say what to do."""

import gc
import json
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.backbones import module_trust
from tl_keras.backbones.saved_model import SavedModelBackbone
from tl_keras.cli.main import main
from tl_keras.utils.errors import InputError
from tools.torture.hostile_saved_models import replace_graph

IMAGES = tf.TensorSpec((None, 8, 8, 3), tf.float32, name="images")
BATCH = np.ones((2, 8, 8, 3), "float32")


class Printer(tf.saved_model.experimental.TrackableResource):
    """Appends to a file when it is initialised, which loading does."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def _create_resource(self):
        return tf.constant(1.0)

    def _initialize(self):
        tf.print("was here", output_stream=f"file://{self.path}")
        return tf.constant(1.0)


class Network(tf.Module):
    def __init__(self, printer=None):
        super().__init__()
        self.kernel = tf.Variable(np.ones((3, 2), "float32"))
        self.printer = printer

    @tf.function(input_signature=[IMAGES])
    def __call__(self, images):
        return images @ self.kernel


def write_main_op(path, written):
    """Write a SavedModel of TensorFlow 1 that writes a file when it is loaded."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        images = v1.placeholder(tf.float32, (None, 8, 8, 3))
        features = images @ v1.get_variable("w", initializer=np.ones((3, 2), "float32"))
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(path))
        signature = v1.saved_model.predict_signature_def({"images": images}, {"default": features})
        main_op = tf.io.write_file(str(written), "was here")
        builder.add_meta_graph_and_variables(
            session, ["serve"], {"serving_default": signature}, main_op=main_op
        )
        builder.save()


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A `.keras` file with a SavedModel, and the directory of that."""
    folder = tmp_path_factory.mktemp("honest")
    tf.saved_model.save(Network(), str(folder / "module"))
    layer = SavedModelBackbone(folder / "module")
    keras.Sequential([keras.Input((8, 8, 3)), layer]).save(folder / "honest.keras")
    return folder


@pytest.fixture(scope="module", params=["PrintV2", "WriteFile"])
def saved(request, tmp_path_factory):
    """The operation, a directory, and the file that it writes when TensorFlow loads it."""
    folder = tmp_path_factory.mktemp("hostile")
    path, written = folder / "module", folder / "written"
    if request.param == "PrintV2":
        tf.saved_model.save(Network(Printer(written)), str(path))
    else:
        write_main_op(path, written)
    written.unlink(missing_ok=True)
    tf.saved_model.load(str(path))
    assert "was here" in written.read_text()
    return request.param, path, written


@pytest.fixture
def hostile(saved, honest, tmp_path):
    """The same, and a `.keras` file; no other test has its directory, which one may trust."""
    operation, source, written = saved
    written.unlink(missing_ok=True)
    path = shutil.copytree(source, tmp_path / "module")
    (path / "of").write_text(str(tmp_path))
    graph = (path / "saved_model.pb").read_bytes()
    file = replace_graph(tmp_path / "model.keras", honest / "honest.keras", graph)
    yield operation, path, file, written
    gc.collect()


def test_keras_refuses_the_file_in_words_that_help(hostile):
    operation, _, file, written = hostile
    with pytest.raises(ValueError, match="refused in safe mode, because") as error:
        keras.saving.load_model(file)
    line = next(line for line in str(error.value).splitlines() if line.startswith("path: "))
    assert f"({operation})" in line and "load it with `safe_mode=False`" in line
    assert "register" not in str(error.value)
    assert not written.exists()


def test_the_library_refuses_file_and_directory(hostile):
    operation, path, file, written = hostile
    for spec, argument in ((file, "backbone"), (path, "source")):
        with pytest.raises(
            InputError, match=rf"^{argument}: .* is refused.*\({operation}\).*"
        ) as e:
            tl.build_transfer_model(spec, 2)
        assert str(e.value).endswith("trust its author, pass trust=True.")
        assert "register" not in str(e.value) and len(str(e.value)) < 600
    with pytest.raises(InputError, match=rf"^run: .*\({operation}\)"):
        tl.load_run_model(file)
    with pytest.raises(InputError, match=r"weights: .* load it with keras\.saving\.load_model\("):
        tl.build_transfer_model("MobileNetV2", 2, weights=file, input_shape=(32, 32, 3))
    assert not written.exists()


def test_who_trusts_the_author_loads_it(hostile):
    _, path, file, written = hostile
    for load in (
        lambda: SavedModelBackbone(path, trust=True),
        lambda: tl.build_transfer_model(path, 2, trust=True),
    ):
        assert load() is not None
        assert written.exists()
        written.unlink()
    gc.collect()
    with pytest.raises(InputError):
        tl.build_transfer_model(file, 2)
    assert not written.exists()


@pytest.mark.parametrize("saved", ["WriteFile"], indirect=True)
@pytest.mark.parametrize("command", ["predict", "evaluate", "export", "train"])
def test_commands_refuse_it_and_name_their_option(hostile, command, tmp_path, capsys):
    operation, path, file, written = hostile
    images = tmp_path / "images"
    for name in ("a", "b"):
        (images / name).mkdir(parents=True)
        for index in range(4):
            keras.utils.save_img(images / name / f"{index}.png", np.zeros((8, 8, 3)))
    words = {
        "predict": [[file, images], [path, images]],
        "evaluate": [[file, images]],
        "export": [[file, "--format", "saved_model", "--output", tmp_path / "out"]],
        "train": [
            [images, "--backbone", spec, "--output", tmp_path / "run", "--image-size", 8]
            for spec in (file, path)
        ],
    }
    for these in words[command]:
        assert main([command, *map(str, these)]) == 2
        error = capsys.readouterr().err
        assert f"({operation})" in error
        assert "pass --trust." in error and "register" not in error
    assert not written.exists()


def test_the_option_reaches_the_file(tmp_path, capsys):
    doubled = keras.layers.Lambda(lambda x: x * 2)
    backbone = keras.Sequential([keras.Input((8, 8, 3)), doubled, keras.layers.Conv2D(2, 1)])
    tl.build_transfer_model(backbone, class_names=["a", "b"]).save(tmp_path / "model.keras")
    keras.utils.save_img(tmp_path / "x.png", np.zeros((8, 8, 3)))
    words = ["predict", str(tmp_path / "model.keras"), str(tmp_path / "x.png")]
    assert main(words) == 2
    assert "Lambda layer" in capsys.readouterr().err
    assert main([*words, "--trust"]) == 0


def test_trust_holds_for_copies_in_the_process_that_gave_it(hostile, tmp_path):
    _, path, _, _ = hostile
    with pytest.raises(InputError) as refused:  # Which keeps files alive that are not trusted.
        SavedModelBackbone(path)
    layer = SavedModelBackbone(path, trust=True)
    model = keras.Sequential([keras.Input((8, 8, 3)), layer])
    np.testing.assert_array_equal(keras.models.clone_model(model)(BATCH), model(BATCH))
    model.save(tmp_path / "own.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "own.keras")(BATCH), model(BATCH)
    )
    assert "trust" not in layer.get_config()
    del layer, model, refused
    gc.collect()
    with pytest.raises(ValueError, match="refused in safe mode"):
        keras.saving.load_model(tmp_path / "own.keras")


def test_a_finished_run_of_a_trusted_backbone_is_returned(tmp_path):
    tf.saved_model.save(Network(Printer(tmp_path / "written")), str(tmp_path / "module"))
    data = np.zeros((4, 8, 8, 3), "uint8"), [0, 1, 0, 1]
    weights = []
    for _ in range(2):
        model = tl.build_transfer_model(tmp_path / "module", 2, trust=True)
        tl.fine_tune(
            model, data, schedule=tl.Stage(1), output=tmp_path / "run", seed=0, verbose=False
        )
        weights.append(model.head.get_weights())
    np.testing.assert_array_equal(weights[0][0], weights[1][0])


def with_config(path, template, change):
    """Copy a `.keras` file with another config of its SavedModel layer."""
    with zipfile.ZipFile(template) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config["config"]["layers"][1]["config"])
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return path


@pytest.fixture
def no_source(monkeypatch):
    """Fail where the source that a file names is followed."""
    followed = []
    monkeypatch.setattr(
        "tl_keras.backbones.saved_model.resolve_module", lambda *words: followed.append(words)
    )
    yield
    assert not followed


@pytest.mark.parametrize("source", ["https://example.com/module.tar.gz", "/etc"])
def test_a_config_makes_the_loader_read_no_path(honest, tmp_path, no_source, source):
    def change(config):
        config["source"], config["trust"] = source, True
        del config["module_spec"]

    path = with_config(tmp_path / "model.keras", honest / "honest.keras", change)
    for load in (keras.saving.load_model, lambda path: tl.build_transfer_model(path, 2)):
        with pytest.raises(InputError, match="is missing or damaged"):
            load(path)


def test_clones_do_not_follow_the_source_either(honest, tmp_path, no_source):
    def change(config):
        config["source"] = "https://example.com/module.tar.gz"
        config["module_spec"]["fingerprint"] = "0"

    path = with_config(tmp_path / "model.keras", honest / "honest.keras", change)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "bare.keras", "w") as new:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            new.writestr(name, old.read(name))  # Without assets Keras asks the layer for none.
    loaded = keras.saving.load_model(tmp_path / "bare.keras")
    for model in (loaded, keras.models.clone_model(keras.models.clone_model(loaded))):
        with pytest.raises(InputError, match="built from a config"):
            model(BATCH)
    whole = keras.saving.load_model(path)
    clone = keras.models.clone_model(whole)
    shutil.rmtree(whole.layers[0]._files.path)
    with pytest.raises(InputError, match="built from a config"):
        clone(BATCH)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"input_dtype": "no dtype"}, "is missing or damaged"),
        ({"variables": [{"name": "x"}]}, "is missing or damaged"),
        ({"outputs": 3}, "is missing or damaged"),
        ({"shape": [10**6, 10**7]}, "needs about 74505.8 GiB of memory"),
        ({"shape": ["a"]}, "is missing or damaged"),
        ({"shape": [-3, 2]}, "is missing or damaged"),
        ({"dtype": "string"}, "is missing or damaged"),
        ({"dtype": 3.5}, "is missing or damaged"),
    ],
)
def test_damaged_and_huge_descriptions(honest, tmp_path, spec, text):
    def change(config):
        target = config["module_spec"]
        if set(spec) & {"shape", "dtype"}:
            target = target["variables"][0]
        target.update(spec)

    path = with_config(tmp_path / "model.keras", honest / "honest.keras", change)
    with pytest.raises(InputError, match=text):
        keras.saving.load_model(path)
    with pytest.raises(InputError, match=rf"^backbone: .* is refused: .*{text}"):
        tl.build_transfer_model(path, 2)


def test_damaged_saved_models_in_files(honest, tmp_path):
    path = replace_graph(tmp_path / "model.keras", honest / "honest.keras", b"\xff" * 50)
    with pytest.raises(InputError, match=r"^backbone: .*damaged or cut short") as error:
        tl.build_transfer_model(path, 2)
    assert "register" not in str(error.value)


def test_archives_that_unpack_to_much_more(honest, tmp_path):
    path = tmp_path / "model.keras"
    with (
        zipfile.ZipFile(honest / "honest.keras") as old,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
        for index in range(2):  # Each is small enough for Keras.
            with new.open(f"assets/{index}", "w") as file:
                for _ in range(200):
                    file.write(bytes(2**20))
    with pytest.raises(InputError, match=r"backbone: .* bytes unpack to 419,\d+,\d+"):
        tl.build_transfer_model(path, 2)


def test_members_and_links_that_leave_the_file(honest, tmp_path):
    weights = tmp_path / "weights.h5"
    with zipfile.ZipFile(honest / "honest.keras") as old:
        weights.write_bytes(old.read("model.weights.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["0"] = np.zeros((3, 2), "float32")
    with h5py.File(weights, "a") as file:
        group = next(name for name in file["layers"] if "saved" in name)
        del file[f"layers/{group}/vars/0"]
        file[f"layers/{group}/vars/0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/0")
    with (
        zipfile.ZipFile(honest / "honest.keras") as old,
        zipfile.ZipFile(tmp_path / "links.keras", "w") as links,
        zipfile.ZipFile(tmp_path / "outside.keras", "w") as outside,
    ):
        for name in old.namelist():
            content = old.read(name)
            is_weights = name == "model.weights.h5"
            links.writestr(name, weights.read_bytes() if is_weights else content)
            outside.writestr(name, content)
        outside.writestr("assets/../../outside-of-the-file", b"x")
        outside.writestr("/outside-of-the-file", b"x")
    with pytest.raises(InputError, match="could not be loaded"):
        tl.build_transfer_model(tmp_path / "links.keras", 2)
    with pytest.warns(UserWarning, match="Skipping invalid path"):
        tl.build_transfer_model(tmp_path / "outside.keras", 2)
    assert not [*tmp_path.rglob("outside-of-the-file")]


def raise_noted():
    with module_trust.note_errors():
        raise InputError("x: no")


def test_errors_are_noted_only_while_someone_asks():
    with pytest.raises(InputError):
        raise_noted()
    with module_trust.noted_errors() as errors, pytest.raises(InputError):
        raise_noted()
    assert [str(error) for error in errors] == ["x: no"]


def test_control_characters_of_a_file_do_not_reach_the_terminal(honest, tmp_path):
    path = tmp_path / "red.keras"
    with zipfile.ZipFile(honest / "honest.keras") as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][0]["class_name"] = "\x1b[31m"
                content = json.dumps(config).encode()
            new.writestr(name, content)
    with pytest.raises(InputError) as error:
        tl.build_transfer_model(path, 2)
    assert r"\x1b[31m" in str(error.value) and "\x1b" not in str(error.value)
