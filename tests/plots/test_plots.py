import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tl_keras.plots import Picture, plot_curves
from tl_keras.utils.errors import InputError

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
    assert lines["training"].get_color() != lines["validation"].get_color()
    boundaries = [line for line in loss.get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in boundaries] == [2.5]
    assert [text.get_text() for text in accuracy.texts] == ["1", "2"]
    assert all(text.xyann[1] > 0 and text.xy[1] == 1.0 for text in accuracy.texts), "over data"
    assert figure.get_supxlabel() == "stages: 1 head,  2 all"
    assert rate.get_yscale() == "log"


def test_losses_of_objectives_share_one_panel():
    figure = plot_curves({"dann_loss": [1.0, 1], "loss": [2.0, 2], "supervised_loss": [1.0, 1]})
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


@pytest.mark.parametrize("epochs", [2, 3, 7, 8, 23, 40, 70, 300, 4000])
def test_epochs_count_from_one(epochs):
    axes = plot_curves({"loss": np.linspace(1, 0, epochs)}).axes[0]
    ticks = axes.get_xticks().tolist()
    assert ticks[0] == 1 and ticks[-1] <= epochs and len(ticks) <= 9
    assert all(tick == int(tick) for tick in ticks)
    assert axes.get_xlim() == (0.5, epochs + 0.5)


def test_the_best_epoch_is_marked():
    figure = plot_curves(HISTORY, best_epoch=2)
    for axes in figure.axes:
        (line,) = [one for one in axes.get_lines() if one.get_label() == "best epoch, 3"]
        assert list(line.get_xdata()) == [3, 3]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "validation", "best epoch, 3"]
    assert not any("best" in line.get_label() for line in plot_curves(HISTORY).axes[0].get_lines())


@pytest.mark.parametrize("epochs", [2, 3, 15, 40])
@pytest.mark.parametrize("last", [1e-12, 1e-7, 0.0])
def test_one_tiny_last_rate_does_not_stretch_the_axis(epochs, last):
    cosine = 1e-3 * np.cos(np.pi / 2 * np.arange(epochs) / epochs) ** 2
    axes = plot_curves({"learning_rate": [*cosine[:-1], last]}).axes[0]
    low, high = axes.get_ylim()
    kept = cosine[:-1]
    assert kept.min() / 10 < low < kept.min() and kept.max() < high < kept.max() * 10
    markers = [line for line in axes.get_lines() if line.get_marker() == "v"]
    assert [line.get_xdata().tolist() for line in markers] == [[epochs]]


def test_rates_of_later_stages_stay_on_the_axis():
    rates = [1e-3] * 5 + [1e-5] * 5 + [1e-6] * 2
    low, high = plot_curves({"learning_rate": rates}).axes[0].get_ylim()
    assert low < 1e-6 and high > 1e-3


def test_one_epoch_is_drawn_as_bars():
    figure = plot_curves(
        {name: values[:1] for name, values in HISTORY.items()}, [0], ["head"], best_epoch=0
    )
    loss = figure.axes[0]
    assert not loss.get_lines()
    assert [bar.get_width() for bar in loss.patches] == [1.0, 1.1]
    assert [text.get_text() for text in loss.get_yticklabels()] == ["training", "validation"]
