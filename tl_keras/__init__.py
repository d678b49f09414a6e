"""Transfer learning for TensorFlow and Keras 3: from photographs to a served classifier."""

import importlib

from tl_keras.utils.registration import register as _register

__version__ = "0.1.0"

_MODULES = {
    "data": "data",
    "divergences": "divergences",
    "evaluation": "evaluation",
    "export": "export",
    "features": "features",
    "heads": "models.heads",
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

__all__ = sorted((*_MODULES, *_NAMES))

_register()


def __getattr__(name: str):
    """Import a public name when it is first used, so that `tl-keras --help` starts at once."""
    if name in _MODULES:
        return importlib.import_module(f"tl_keras.{_MODULES[name]}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"tl_keras.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'tl_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted((*globals(), *__all__))
