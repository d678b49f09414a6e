"""Links, files of the system, and names that no table can show as they are."""

import os
import shutil
import warnings

import numpy as np
import pytest
import tensorflow as tf

from tests.data.images import noise, write_folder
from tl_keras.cli.output import one_line, print_table
from tl_keras.data import image_folder
from tl_keras.evaluation.tables import text_table
from tl_keras.predictions.files import find_files
from tl_keras.utils.errors import InputError, printable


@pytest.fixture
def pets(tmp_path):
    return write_folder(tmp_path / "pets", {"cats": 3, "dogs": 3})


def read(root, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return image_folder(root, image_size=8, **options)


def counts(images):
    return dict(zip(images.class_names, np.bincount(images.labels).tolist(), strict=True))


def test_linked_folders_are_read_and_loops_end(pets, tmp_path):
    more = write_folder(tmp_path / "elsewhere", {"kittens": 2, "birds": 4})
    (pets / "cats" / "more").symlink_to(more / "kittens")
    (pets / "birds").symlink_to(more / "birds")
    (pets / "dogs" / "self").symlink_to(pets / "dogs")
    (pets / "dogs" / "up").symlink_to(tmp_path)
    (pets / "dogs" / "twice").symlink_to(more / "kittens")
    images = read(pets)
    assert counts(images) == {"birds": 4, "cats": 5, "dogs": 3}
    assert {(p.path, p.kind, p.is_note) for p in images.problems} == {
        ("dogs/self", "linked again", True),
        ("dogs/up", "linked again", True),
        ("dogs/twice", "two labels", False),
    }
    assert len(find_files([str(pets)])) == 12


def test_a_folder_goes_before_a_link_to_it(pets):
    (pets / "cats" / "all").symlink_to(pets / "dogs")
    (pets / "aliases").symlink_to(pets / "cats")
    images = read(pets)
    assert counts(images) == {"cats": 3, "dogs": 3}
    assert {p.path for p in images.problems if p.kind == "two labels"} == {"cats/all", "aliases"}
    assert not [p for p in images.problems if p.kind == "empty class"]


def test_broken_links_are_reported(pets):
    (pets / "birds").symlink_to(pets / "gone")
    (pets / "loop").symlink_to(pets / "loop")
    (pets / "cats" / "away.png").symlink_to(pets / "gone.png")
    kinds = {p.path: p.kind for p in read(pets).problems}
    assert kinds == {"birds": "broken link", "loop": "broken link", "cats/away.png": "missing"}


SYSTEM = [
    "@eaDir",
    "Thumbs",
    ".ipynb_checkpoints",
    "__MACOSX",
    ".thumbnails",
    "#recycle",
    "@Recycle",
]


@pytest.mark.parametrize("name", SYSTEM)
def test_folders_of_the_system_are_no_classes_and_hold_no_images(pets, name):
    for place in (pets, pets / "cats"):
        (place / name).mkdir()
        noise().save(place / name / "thumb.jpg")
    (pets / "cats" / "._01.png").write_bytes(b"Mac OS X")
    (pets / "cats" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    with pytest.warns(UserWarning, match="0 problems .left out. and 1 note in"):
        images = image_folder(pets, image_size=8, on_problem="refuse")
    assert counts(images) == {"cats": 3, "dogs": 3}
    (note,) = images.problems
    assert name in note.path and "._01.png" in note.path and "(3 in all)" in note.detail
    assert len(images.problem_table().splitlines()) == 2
    assert len(find_files([str(pets)])) == 6


CONTROLS = {"\r": r"\r", "\n": r"\n", "\t": r"\t", "\x1b[31m": r"\x1b[31m", "\u202e": r"\u202e"}


@pytest.mark.parametrize("control", CONTROLS, ids=CONTROLS.values())
def test_control_characters_are_escaped_where_names_are_shown(pets, control, capsys):
    shown = f"do{CONTROLS[control]}gs"
    (pets / "dogs").rename(pets / f"do{control}gs")
    (pets / "cats" / f"x{control}y.png").write_bytes(b"")
    images = read(pets)
    assert images.class_names == ("cats", f"do{control}gs")
    assert f"cats/x{CONTROLS[control]}y.png  empty" in images.problem_table()
    print_table(("class", "count"), [(f"do{control}gs", 3)])
    printed = capsys.readouterr().out
    table = text_table("title", ("class", "count"), [(f"do{control}gs", "3")])
    for text in (images.summary(), printed, table):
        assert shown in text and all(line.isprintable() for line in text.splitlines())
    assert one_line(f"a{control}b").isprintable()
    with pytest.raises(InputError) as caught:
        image_folder(pets / f"x{control}", image_size=8)
    assert str(caught.value).isprintable()


def test_file_names_that_are_not_utf8(tmp_path):
    root = write_folder(tmp_path / "pets", {"cats": 4, "dogs": 4})
    try:
        for name in ("cats", "dogs"):
            old = os.fsencode(root / name / "00.png")
            os.rename(old, old.replace(b"00", b"k\xe4tzchen"))
        shutil.copytree(root / "cats", root / "k\udce4fer")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    images = read(root)
    assert images.class_names == ("cats", "dogs", r"k\xe4fer") and len(images) == 12
    pixels = np.concatenate([x.numpy() for x in images.batches(None, 5)])
    raw = [tf.io.read_file(os.fsencode(path)) for path in images.paths]
    expected = [tf.image.resize(tf.io.decode_png(one), (8, 8), antialias=True) for one in raw]
    np.testing.assert_allclose(pixels, np.round(expected), atol=1)
    assert len(images.fingerprint()) == 32
    parts = read(root, split=(0.5, 0.5))
    assert [len(part) for part in parts] == [6, 6]
    (root / "cats" / "b\udce4r.png").write_bytes(b"")
    assert r"cats/b\xe4r.png" in read(root).problem_table()


def test_class_names_are_composed_and_folders_that_differ_by_it_are_one_class(tmp_path):
    root = write_folder(tmp_path, {"cafe\u0301": 2, "tea": 2})
    assert image_folder(root, image_size=8).class_names == ("caf\u00e9", "tea")
    write_folder(tmp_path, {"caf\u00e9": 3})
    with pytest.warns(UserWarning, match="another Unicode form"):
        images = image_folder(root, image_size=8)
    assert counts(images) == {"caf\u00e9": 5, "tea": 2}


def test_printable_keeps_letters_of_all_languages():
    for text in ("日本語", "می\u200cخواهم", "naïve café", "👩\u200d🔬", "a\u00a0b"):
        assert printable(text) == text
    assert printable("a\udcffb\x7f\u2028") == r"a\xffb\x7f\u2028"
