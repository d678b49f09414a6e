"""Figures over plain arrays, used by runs and reports."""

from tl_keras.plots.curves import plot_curves
from tl_keras.plots.figure import Picture
from tl_keras.plots.learning_rates import plot_learning_rates

__all__ = ["Picture", "plot_curves", "plot_learning_rates"]
