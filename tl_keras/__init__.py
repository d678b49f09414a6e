"""Transfer learning for TensorFlow and Keras 3: from photographs to a served classifier."""

import importlib
from typing import TYPE_CHECKING, Any

from tl_keras.utils.registration import register as _register

if TYPE_CHECKING:
    from tl_keras import (
        data,
        divergences,
        evaluation,
        export,
        features,
        inputs,
        instances,
        objectives,
        relations,
        schedules,
        tasks,
        training,
        validation,
    )
    from tl_keras.backbones.saved_model import SavedModelBackbone
    from tl_keras.evaluation import Comparison, Report, compare, evaluate
    from tl_keras.evaluation.soups import greedy_soup, uniform_soup
    from tl_keras.frozen.feature_cache import FeatureCache
    from tl_keras.inputs import preprocessing
    from tl_keras.models import heads
    from tl_keras.models.builder import build_transfer_model
    from tl_keras.models.fusion import build_fusion_model
    from tl_keras.models.prototypes import set_prototypes
    from tl_keras.models.transfer_model import TransferModel
    from tl_keras.objectives.self_supervised.autoencoder import build_autoencoder
    from tl_keras.predictions.predict import predict
    from tl_keras.predictions.table import Predictions
    from tl_keras.schedules import Stage
    from tl_keras.training import (
        Checkpoints,
        LearningRates,
        Run,
        TwoWay,
        find_learning_rate,
        fine_tune,
        load_run_model,
        pretrain,
        two_way_transfer,
    )
    from tl_keras.utils.cluster import is_chief, join_cluster
    from tl_keras.utils.errors import InputError, WorkerLost

__version__ = "0.1.0"

_MODULES = {
    "data": "data",
    "divergences": "divergences",
    "evaluation": "evaluation",
    "export": "export",
    "features": "features",
    "heads": "models.heads",
    "inputs": "inputs",
    "instances": "instances",
    "objectives": "objectives",
    "preprocessing": "inputs.preprocessing",
    "relations": "relations",
    "schedules": "schedules",
    "tasks": "tasks",
    "training": "training",
    "validation": "validation",
}
_NAMES = {
    "build_transfer_model": "models.builder",
    "build_autoencoder": "objectives.self_supervised.autoencoder",
    "build_fusion_model": "models.fusion",
    "TransferModel": "models.transfer_model",
    "InputError": "utils.errors",
    "WorkerLost": "utils.errors",
    "is_chief": "utils.cluster",
    "join_cluster": "utils.cluster",
    "FeatureCache": "frozen.feature_cache",
    "Stage": "schedules",
    "fine_tune": "training",
    "pretrain": "training",
    "Checkpoints": "training",
    "find_learning_rate": "training",
    "LearningRates": "training",
    "Run": "training",
    "load_run_model": "training",
    "two_way_transfer": "training",
    "TwoWay": "training",
    "evaluate": "evaluation",
    "predict": "predictions.predict",
    "Predictions": "predictions.table",
    "compare": "evaluation",
    "Report": "evaluation",
    "Comparison": "evaluation",
    "set_prototypes": "models.prototypes",
    "uniform_soup": "evaluation.soups",
    "greedy_soup": "evaluation.soups",
    "SavedModelBackbone": "backbones.saved_model",
}

__all__ = [
    "Checkpoints",
    "Comparison",
    "FeatureCache",
    "InputError",
    "LearningRates",
    "Predictions",
    "Report",
    "Run",
    "SavedModelBackbone",
    "Stage",
    "TransferModel",
    "TwoWay",
    "WorkerLost",
    "build_autoencoder",
    "build_fusion_model",
    "build_transfer_model",
    "compare",
    "data",
    "divergences",
    "evaluate",
    "evaluation",
    "export",
    "features",
    "find_learning_rate",
    "fine_tune",
    "greedy_soup",
    "heads",
    "inputs",
    "instances",
    "is_chief",
    "join_cluster",
    "load_run_model",
    "objectives",
    "predict",
    "preprocessing",
    "pretrain",
    "relations",
    "schedules",
    "set_prototypes",
    "tasks",
    "training",
    "two_way_transfer",
    "uniform_soup",
    "validation",
]

_register()


if not TYPE_CHECKING:  # Type checkers know the names, and find misspelt ones.

    def __getattr__(name: str) -> Any:
        """Import a public name when it is first used, so that `tl-keras --help` starts at once."""
        if name in _MODULES:
            return importlib.import_module(f"tl_keras.{_MODULES[name]}")
        if name in _NAMES:
            return getattr(importlib.import_module(f"tl_keras.{_NAMES[name]}"), name)
        raise AttributeError(f"module 'tl_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted({*__all__, "__version__", "__doc__", "__file__", "__path__"})
