"""What the folder of a SavedModel may hold, and what is copied out of it."""

import os
import shutil

import pytest
import tensorflow as tf

import tl_keras as tl
from tl_keras.backbones.module_check import reason_to_refuse
from tl_keras.backbones.module_folder import copy_folder, link_outside
from tl_keras.backbones.module_source import resolve_module
from tl_keras.utils.errors import InputError


class Twice(tf.Module):
    """A SavedModel with a variable."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, images):
        return images * self.factor


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "twice"
    tf.saved_model.save(Twice(), str(path))
    return path


@pytest.fixture
def module(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "twice")
    (tmp_path / "secret.txt").write_text("SECRET" * 20)
    return tmp_path / "twice"


def link(path, target):
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("assets/words.txt", "../../secret.txt"),
        ("readme", "/etc/passwd"),
        ("variables/variables.index", "../../secret.txt"),
        ("loop", "."),
        ("more", "variables"),
        ("nowhere", "../nothing"),
    ],
)
def test_links_to_elsewhere_need_trust(module, name, target):
    link(module / name, target)
    text = rf"source: .* is refused, because it holds a link to something elsewhere \({name}\)"
    with pytest.raises(InputError, match=text):
        tl.SavedModelBackbone(module)
    with pytest.raises(InputError, match="which is not copied"):
        copy_folder(str(module), str(module.parent / "copy"), "it", follow_links=False)
    assert not (module.parent / "copy").exists()


def test_a_link_that_came_later_is_not_saved_with_the_model(module, tmp_path):
    layer = tl.SavedModelBackbone(module)
    link(module / "assets" / "words.txt", "../../secret.txt")
    with pytest.raises(InputError, match=r"something elsewhere, 'assets/words\.txt'"):
        layer.save_assets(str(tmp_path / "assets"))


def test_trusted_links_are_followed_and_endless_ones_told(module, tmp_path):
    link(module / "assets" / "words.txt", "../../secret.txt")
    tl.SavedModelBackbone(module, trust=True).save_assets(str(tmp_path / "one"))
    assert (tmp_path / "one" / "module" / "assets" / "words.txt").read_text() == "SECRET" * 20
    link(module / "loop", ".")
    with pytest.raises(InputError, match=r"cannot be copied \(.*Too many levels"):
        copy_folder(str(module), str(tmp_path / "two"), "it", follow_links=True)


def test_links_of_hugging_faces_cache_stay_inside(saved, tmp_path):
    repository = tmp_path / "models--a--b"
    blobs, snapshot = repository / "blobs", repository / "snapshots" / "0123"
    shutil.copytree(saved, snapshot)
    blobs.mkdir()
    shutil.move(snapshot / "variables" / "variables.index", blobs / "4567")
    link(snapshot / "variables" / "variables.index", "../../../blobs/4567")
    assert link_outside(str(snapshot)) is None
    assert tl.SavedModelBackbone(snapshot).module_input_shape == (4,)
    (blobs / "4567").unlink()
    (blobs / "4567").symlink_to("/etc/passwd")
    assert link_outside(str(snapshot)) == "variables/variables.index"


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    "name", ["fingerprint.pb", "variables/variables.index", "variables/pipe", "more/pipe"]
)
def test_pipes_do_not_block(module, name, trust, no_waiting):
    (module / name).parent.mkdir(exist_ok=True)
    (module / name).unlink(missing_ok=True)
    os.mkfifo(module / name)
    with pytest.raises(InputError, match=f"holds '{name}', which is a pipe, a device or a socket"):
        tl.SavedModelBackbone(module, trust=trust)


@pytest.mark.parametrize("name", ["../../secret.txt", "/etc/passwd", "a/../../b", "C:\\x", "..\\x"])
@pytest.mark.parametrize("place", ["field", "collection"])
def test_assets_outside_need_trust(module, name, place):
    graphs = resolve_module(module).graphs
    asset = tf.compat.v1.MetaGraphDef().asset_file_def.add(filename="words.txt")
    for filename, refused in (("words.txt", False), ("more/words.txt", False), (name, True)):
        asset.filename = filename
        if place == "field":
            graphs[0].asset_file_def.append(asset)
        else:
            graphs[0].collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
        reason = reason_to_refuse(graphs)
        assert (reason or "").startswith("its assets lie outside") == refused
