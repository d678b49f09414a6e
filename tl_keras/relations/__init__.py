"""Structure that domains share: transfer of relations."""

from tl_keras.relations.structural_correspondence_learning import StructuralCorrespondenceLearning

__all__ = ["StructuralCorrespondenceLearning"]
