"""Transfer learning for TensorFlow and Keras 3: from photographs to a served classifier."""

import importlib

from tl_keras.registration import register as _register

__version__ = "0.1.0"

_MODULES = (
    "data",
    "divergences",
    "evaluation",
    "export",
    "features",
    "heads",
    "instances",
    "objectives",
    "preprocessing",
    "relations",
    "schedules",
    "validation",
)
_NAMES = {
    "build_transfer_model": "builder",
    "build_autoencoder": "autoencoder",
    "build_fusion_model": "fusion",
    "TransferModel": "transfer_model",
    "InputError": "errors",
    "WorkerLost": "errors",
    "is_chief": "cluster",
    "join_cluster": "cluster",
    "FeatureCache": "data.feature_cache",
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
    "set_prototypes": "prototypes",
    "uniform_soup": "soups",
    "greedy_soup": "soups",
    "SavedModelBackbone": "backbones.saved_model",
}

__all__ = sorted((*_MODULES, *_NAMES))

_register()


def __getattr__(name: str):
    """Import a public name when it is first used, so that `tl-keras --help` starts at once."""
    if name in _MODULES:
        return importlib.import_module(f"tl_keras.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"tl_keras.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'tl_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted((*globals(), *__all__))
