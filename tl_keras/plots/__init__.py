"""Figures over plain arrays, used by runs and reports."""

from tl_keras.plots.curves import plot_curves
from tl_keras.plots.figure import Picture

__all__ = ["Picture", "plot_curves"]
