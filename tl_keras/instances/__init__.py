"""Weights for source samples, and boosting that corrects them: transfer of instances."""

from tl_keras.instances.tradaboost_classifier import TrAdaBoostClassifier
from tl_keras.instances.tradaboost_regressor import TrAdaBoostRegressor
from tl_keras.instances.two_stage_tradaboost_regressor import TwoStageTrAdaBoostRegressor

__all__ = [
    "TrAdaBoostClassifier",
    "TrAdaBoostRegressor",
    "TwoStageTrAdaBoostRegressor",
]
