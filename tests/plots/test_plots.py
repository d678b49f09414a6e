import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tl_keras.errors import InputError
from tl_keras.plots import Picture, plot_curves

HISTORY = {
    "loss": [1.0, 0.7, 0.5, 0.4],
    "val_loss": [1.1, 0.8, None, 0.7],
    "accuracy": [0.4, 0.6, 0.7, 0.8],
    "val_accuracy": [0.4, 0.5, 0.6, 0.6],
    "learning_rate": [1e-3, 1e-3, 1e-4, 1e-5],
}


def is_drawn(path):
    """Whether a PNG holds a picture, and its size in pixels."""
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("L")))) > 20, image.size


def test_curves_are_written(tmp_path):
    path = tmp_path / "new folder" / "curves.png"
    figure = plot_curves(HISTORY, [0, 2], ["head", "all"], path)
    drawn, size = is_drawn(path)
    assert drawn
    assert size == pytest.approx(figure.get_size_inches() * 120, abs=1)


def test_curves_hold_the_history_and_the_stages():
    figure = plot_curves(HISTORY, [0, 2], ["head", "all"])
    loss, accuracy, rate = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    lines = {line.get_label(): line for line in loss.get_lines()}
    assert lines["training"].get_xdata().tolist() == [1, 2, 3, 4]
    assert lines["training"].get_ydata().tolist() == HISTORY["loss"]
    assert np.isnan(lines["validation"].get_ydata()[2])
    assert lines["validation"].get_linestyle() == "--"
    boundaries = [line for line in loss.get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in boundaries] == [2.5]
    assert [text.get_text() for text in accuracy.texts] == ["head", "all"]
    assert rate.get_yscale() == "log"


def test_losses_of_objectives_share_one_panel():
    figure = plot_curves({"dann_loss": [1.0], "loss": [2.0], "supervised_loss": [1.0]})
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["loss, training", "dann_loss, training", "supervised_loss, training"]


def test_the_global_backend_stays():
    before = matplotlib.rcParams["backend"]
    plot_curves({"loss": [1.0, 0.5]})
    assert matplotlib.rcParams["backend"] == before


def test_notebooks_show_the_figure():
    figure = plot_curves({"loss": [1.0, 0.5]})
    assert isinstance(figure, Picture) and isinstance(figure, Figure)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_nothing_to_plot_is_an_error():
    with pytest.raises(InputError, match="history: expected at least one loss or metric"):
        plot_curves({"loss": []})


def test_names_must_fit_the_stages():
    with pytest.raises(InputError, match=r"each of the 2 stage_starts, got 1"):
        plot_curves(HISTORY, [0, 2], ["head"])
