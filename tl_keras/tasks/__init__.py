"""What comes out of a model: kinds of targets, each one object (`Task`)."""

from tl_keras.tasks.base import Task
from tl_keras.tasks.classification import Classification
from tl_keras.tasks.multi_label import MultiLabel
from tl_keras.tasks.regression import Regression

__all__ = ["Classification", "MultiLabel", "Regression", "Task"]
