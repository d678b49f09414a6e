"""Schedules: which layers train when, as tuples of stages."""

from tl_keras.schedules.freezing import Audit, AuditRow, apply_freezing, audit
from tl_keras.schedules.hyperrules import auto
from tl_keras.schedules.layer_factors import block_factors, factors_of
from tl_keras.schedules.layerwise import LayerwiseLearningRate
from tl_keras.schedules.named import (
    feature_extraction,
    full_fine_tuning,
    gradual_unfreezing,
    resolve_schedule,
    two_stage,
)
from tl_keras.schedules.stage import Stage

__all__ = [
    "Audit",
    "AuditRow",
    "LayerwiseLearningRate",
    "Stage",
    "apply_freezing",
    "audit",
    "auto",
    "block_factors",
    "factors_of",
    "feature_extraction",
    "full_fine_tuning",
    "gradual_unfreezing",
    "resolve_schedule",
    "two_stage",
]
