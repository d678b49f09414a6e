"""Objectives: what training minimises, read from one forward pass."""

from tl_keras.objectives.batch import Batch, Counts, DomainBatch, is_target, pooled
from tl_keras.objectives.bss import BSS
from tl_keras.objectives.co_tuning import CoTuning, learn_relationship
from tl_keras.objectives.delta import DELTA
from tl_keras.objectives.distillation import Distillation
from tl_keras.objectives.feature_hints import FeatureHints
from tl_keras.objectives.joint import Joint
from tl_keras.objectives.l1_sp import L1SP
from tl_keras.objectives.l2_sp import L2SP
from tl_keras.objectives.lwf import LwF
from tl_keras.objectives.multi_task import MultiTask, TaskUncertainty
from tl_keras.objectives.objective import Objective, Setup
from tl_keras.objectives.supervised import Supervised
from tl_keras.objectives.weights import Constant, Linear, Ramp

__all__ = [
    "BSS",
    "DELTA",
    "L1SP",
    "L2SP",
    "Batch",
    "CoTuning",
    "Constant",
    "Counts",
    "Distillation",
    "DomainBatch",
    "FeatureHints",
    "Joint",
    "Linear",
    "LwF",
    "MultiTask",
    "Objective",
    "Ramp",
    "Setup",
    "Supervised",
    "TaskUncertainty",
    "is_target",
    "learn_relationship",
    "pooled",
]
