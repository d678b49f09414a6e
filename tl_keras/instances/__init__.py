"""Weights for source samples, and boosting that corrects them: transfer of instances."""

from tl_keras.instances.balanced_weighting import BalancedWeighting
from tl_keras.instances.domain_classifier_weighting import DomainClassifierWeighting
from tl_keras.instances.kernel_mean_matching import KernelMeanMatching
from tl_keras.instances.kliep import KLIEP
from tl_keras.instances.nearest_neighbor_weighting import NearestNeighborWeighting
from tl_keras.instances.rulsif import RULSIF
from tl_keras.instances.tradaboost_classifier import TrAdaBoostClassifier
from tl_keras.instances.tradaboost_regressor import TrAdaBoostRegressor
from tl_keras.instances.two_stage_tradaboost_regressor import TwoStageTrAdaBoostRegressor
from tl_keras.instances.ulsif import ULSIF
from tl_keras.instances.weighted_estimator import WeightedEstimator

__all__ = [
    "KLIEP",
    "RULSIF",
    "ULSIF",
    "BalancedWeighting",
    "DomainClassifierWeighting",
    "KernelMeanMatching",
    "NearestNeighborWeighting",
    "TrAdaBoostClassifier",
    "TrAdaBoostRegressor",
    "TwoStageTrAdaBoostRegressor",
    "WeightedEstimator",
]
