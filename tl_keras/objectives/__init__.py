"""Objectives: what training minimises, read from one forward pass."""

from tl_keras.objectives.objective import Objective
from tl_keras.objectives.supervised import Supervised

__all__ = ["Objective", "Supervised"]
