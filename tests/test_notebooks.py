"""Notebooks run from the first cell to the last, on little data."""

import pathlib

import pytest

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
# What the result of the last cell names, and how many pictures there are.
LAST = {"quickstart": ("functional", "defective"), "arrays": ("A-distance after", "accuracy with")}
PICTURES = {"quickstart": 2, "arrays": 3}
# What cells of quickstart say, and the smaller numbers that stand here in its place.
OURS = {"96 if SMALL": "64 if SMALL", "::10]": "::30]", "Stage(15)": "Stage(4)"}


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
    for words, ours in OURS.items() if path.stem == "quickstart" else ():
        (cell,) = [one for one in notebook.cells if words in one["source"]]
        cell["source"] = cell["source"].replace(words, ours)
    client = nbclient.NotebookClient(
        notebook,
        timeout=500,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    last = notebook.cells[-1]["outputs"][-1]["data"]["text/plain"]
    assert any(word in last for word in LAST[path.stem])
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    pictures = sum("image/png" in one.get("data", {}) for one in outputs)
    assert pictures >= PICTURES[path.stem]
