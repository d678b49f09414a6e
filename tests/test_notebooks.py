"""Notebooks run from the first cell to the last, on little data."""

import pathlib

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason='pip install "tl_keras[notebooks]"')
    nbclient = pytest.importorskip("nbclient", reason='pip install "tl_keras[notebooks]"')
    monkeypatch.setenv("TL_KERAS_SMALL", "1")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    notebook = nbformat.read(path, as_version=4)
    first = notebook.cells[1]["source"]
    assert "pip install" in first
    client = nbclient.NotebookClient(
        notebook,
        timeout=500,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    last = notebook.cells[-1]["outputs"][-1]["data"]["text/plain"]
    assert "functional" in last or "defective" in last
