"""JSON that is nested deeper than Python reads is refused as any other that cannot be read."""

import zipfile

import pytest

from tests.conftest import tiny_network
from tl_keras.backbones.keras_files import load_keras_file
from tl_keras.backbones.preprocessor_config import read_preprocessor_config
from tl_keras.training.runs.found_run import Found, prepare
from tl_keras.training.runs.run_directory import RunDirectory
from tl_keras.utils.cluster import cluster_from_environment
from tl_keras.utils.errors import InputError

NESTED = "[" * 100_000


def test_of_runs_and_presets(tmp_path):
    (tmp_path / "config.json").write_text(NESTED)
    directory = RunDirectory(tmp_path)
    with pytest.raises(InputError, match=r"^output: .*config\.json' cannot be read"):
        directory.read_json("config.json")
    found, _ = prepare(directory, {"seed": 0}, resume=True, overwrite=False)
    assert found == Found.NOTHING
    (tmp_path / "preprocessor_config.json").write_text(NESTED)
    with pytest.raises(InputError, match=r"^backbone: .*preprocessor_config\.json' cannot be read"):
        read_preprocessor_config(str(tmp_path))


def test_of_locks(tmp_path):
    with RunDirectory(tmp_path).locked():
        next(tmp_path.glob("*.lock")).write_text(NESTED)
        second = RunDirectory(tmp_path).locked()
        with pytest.raises(InputError, match=r"in use by another run \(which has only begun"):
            second.__enter__()


def test_of_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", NESTED)
    with pytest.raises(InputError, match=r"^TF_CONFIG: expected JSON") as error:
        cluster_from_environment()
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("change", ["nested", "encrypted"])
def test_metadata_that_cannot_be_read_is_passed_over(change, tmp_path):
    tiny_network().save(tmp_path / "whole.keras")
    with zipfile.ZipFile(tmp_path / "whole.keras") as old:
        members = {name: old.read(name) for name in old.namelist()}
    if change == "nested":
        members["metadata.json"] = NESTED.encode()
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
        if change == "encrypted":
            new.getinfo("metadata.json").flag_bits |= 1
    assert load_keras_file(tmp_path / "x.keras").count_params() == tiny_network().count_params()
