"""Maps of feature arrays that bring the domains together: transfer of features."""

from tl_keras.features.balanced_distribution_adaptation import BalancedDistributionAdaptation
from tl_keras.features.coral import CORAL
from tl_keras.features.feature_augmentation import FeatureAugmentation
from tl_keras.features.geodesic_flow_kernel import GeodesicFlowKernel
from tl_keras.features.joint_distribution_adaptation import JointDistributionAdaptation
from tl_keras.features.linear_mmd_feature_selection import LinearMMDFeatureSelection
from tl_keras.features.optimal_transport_mapping import OptimalTransportMapping
from tl_keras.features.subspace_alignment import SubspaceAlignment
from tl_keras.features.transfer_component_analysis import TransferComponentAnalysis

__all__ = [
    "CORAL",
    "BalancedDistributionAdaptation",
    "FeatureAugmentation",
    "GeodesicFlowKernel",
    "JointDistributionAdaptation",
    "LinearMMDFeatureSelection",
    "OptimalTransportMapping",
    "SubspaceAlignment",
    "TransferComponentAnalysis",
]
