"""Folders of splits are not folders of classes."""

import warnings

import pytest

from tests.data.images import noise, write_folder
from tl_keras.data import image_folder
from tl_keras.utils.errors import InputError


def tree(root, *folders):
    """Write an image into each folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True, exist_ok=True)
        noise(seed=number).save(root / folder / f"{number}.png")
    return root


SPLITS = [
    ("train", "val", "test"),
    ("Train", "Test"),
    ("training", "validation"),
    ("TRAIN", "VALID"),
    ("dev", "test"),
    ("seg_train", "seg_test"),
    ("train2017", "val2017"),
    ("training_set", "test_set"),
]


@pytest.mark.parametrize("splits", SPLITS, ids="-".join)
def test_splits_are_refused_with_the_calls_that_read_them(tmp_path, splits):
    root = tree(tmp_path / "data", *(f"{split}/{name}" for split in splits for name in "ab"))
    with pytest.raises(InputError, match="holds the splits") as caught:
        image_folder(root, image_size=8)
    calls = [line for line in str(caught.value).splitlines() if "=" in line]
    assert len(calls) == len(splits)
    for split in splits:
        call = next(line for line in calls if repr(str(root / split)) in line)
        assert call.split(" = ")[0].strip() in ("train", "validation", "test")
        part = image_folder(root / split, image_size=8)
        assert part.class_names == ("a", "b") and len(part) == 2


@pytest.mark.parametrize(
    ("folders", "text"),
    [
        (("train", "test"), "no class folders are in them"),
        (("train/a", "train/b", "test"), "train = tl.data.image_folder"),
        (("train/a", "train/b", "test/a", "unlabelled"), "holds the splits"),
        (("a/train", "a/test", "b/train", "b/test"), "every subfolder .* is divided"),
        (("images/train", "images/val", "labels/train", "labels/val"), "is divided"),
        (("pets/a", "pets/b"), "one level deeper: pass '.*pets'"),
    ],
    ids="-".join,
)
def test_other_layouts_without_class_folders(tmp_path, folders, text):
    with pytest.raises(InputError, match=text):
        image_folder(tree(tmp_path, *folders), image_size=8)


def test_one_class_may_be_named_as_a_split_is(tmp_path):
    root = tree(tmp_path, "train", "bus", "bicycle")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert image_folder(root, image_size=8).class_names == ("bicycle", "bus", "train")


def test_folders_in_class_folders_are_noted_if_there_is_nothing_else(tmp_path):
    domains = tree(tmp_path / "office", "amazon/bike", "amazon/mug", "dslr/bike", "dslr/mug")
    with pytest.warns(UserWarning, match="'bike' and 'mug' lie in several of them"):
        assert image_folder(domains, image_size=8).class_names == ("amazon", "dslr")
    kinds = tree(tmp_path / "kinds", "animals/cat", "animals/dog", "vehicles/car")
    with pytest.warns(UserWarning, match="the folders in them, such as 'cat' and 'dog', not"):
        assert image_folder(kinds, image_size=8).class_names == ("animals", "vehicles")
    mixed = tree(write_folder(tmp_path / "mixed", {"cats": 1, "dogs": 1}), "dogs/puppies")
    assert image_folder(mixed, image_size=8).problems == []


def test_an_empty_path_is_not_the_working_directory():
    with pytest.raises(InputError, match=r"path: expected a folder or a CSV file, got ''"):
        image_folder("")
