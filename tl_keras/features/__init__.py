"""Maps of feature arrays that bring the domains together: transfer of features."""

from tl_keras.features.balanced_distribution_adaptation import BalancedDistributionAdaptation
from tl_keras.features.joint_distribution_adaptation import JointDistributionAdaptation
from tl_keras.features.transfer_component_analysis import TransferComponentAnalysis

__all__ = [
    "BalancedDistributionAdaptation",
    "JointDistributionAdaptation",
    "TransferComponentAnalysis",
]
