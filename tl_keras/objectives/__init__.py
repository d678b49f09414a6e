"""Objectives: what training minimises, read from one forward pass."""

from tl_keras.objectives.batch import Batch, Counts, DomainBatch, is_target, pooled
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.supervised import Supervised
from tl_keras.objectives.weights import Constant, Linear, Ramp

__all__ = [
    "Batch",
    "Constant",
    "Counts",
    "DomainBatch",
    "Linear",
    "Objective",
    "Ramp",
    "Setup",
    "Supervised",
    "is_target",
    "pooled",
]
