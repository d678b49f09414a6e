import numpy as np
import pytest
from PIL import Image

from tl_keras.plots import plot_learning_rates

RATES = np.geomspace(1e-6, 1, 50)
SMOOTHED = 1 - 0.5 / (1 + np.exp(-3 * (np.log10(RATES) + 3)))
LOSSES = SMOOTHED + 0.05 * np.sin(np.arange(50.0))


def lines(figure):
    return {line.get_label(): line for line in figure.axes[0].get_lines()}


def test_the_figure_holds_both_curves_and_the_suggestion():
    figure = plot_learning_rates(RATES, LOSSES, SMOOTHED, 1e-3)
    assert figure.axes[0].get_xscale() == "log"
    drawn = lines(figure)
    np.testing.assert_array_equal(drawn["loss"].get_ydata(), LOSSES)
    np.testing.assert_array_equal(drawn["smoothed"].get_xdata(), RATES)
    assert list(drawn["suggestion 0.001"].get_xdata()) == [1e-3, 1e-3]
    marks = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    assert marks[0].get_ydata() == pytest.approx([0.75], abs=1e-3)


def test_without_a_fall_nothing_is_marked_on_the_curve():
    figure = plot_learning_rates(RATES, LOSSES, SMOOTHED, 1e-3, falls=False)
    assert "suggestion 0.001, the stage's own: no fall found" in lines(figure)
    assert not [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]


def test_exploding_losses_do_not_flatten_the_curve():
    exploding = np.append(LOSSES[:-1], 1e9)
    figure = plot_learning_rates(RATES, exploding, SMOOTHED, 1e-3)
    low, high = figure.axes[0].get_ylim()
    assert low < LOSSES.min() and LOSSES[:-1].max() < high < 2


def test_one_point_can_be_drawn(tmp_path):
    one = np.ones(1)
    path = tmp_path / "new folder" / "rates.png"
    plot_learning_rates(one, one, one, 1.0, path=path)
    with Image.open(path) as image:
        assert image.size == (768, 480)
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
