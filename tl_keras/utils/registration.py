"""Lets Keras find this package's classes in files without importing them beforehand.

Keras looks a class of a `.keras` file up by its registered name. `import tl_keras` must make these
names known and stay fast, and importing the classes means importing TensorFlow. So stand-ins are
registered that import their class when a file names it, as soon as Keras itself is imported.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from typing import Any

PACKAGE = "tl_keras"
CLASSES = {
    "TransferModel": "models.transfer_model",
    "ImagePreprocessing": "inputs.preprocessing",
    "Images": "inputs.images",
    "Features": "inputs.features",
    "Several": "inputs.several",
    "Head": "models.heads",
    "TaskHeads": "models.heads",
    "LayerHead": "models.layer_head",
    "CosineClassifier": "models.heads",
    "GlobalPooling": "models.pooling",
    "GeneralizedMeanPooling": "models.pooling",
    "AttentionPooling": "models.pooling",
    "CenteredDense": "models.regression_layers",
    "TargetScale": "models.regression_layers",
    "FusedFeatures": "models.fusion_layers",
    "FusedPredictions": "models.fusion_layers",
    "SavedModelBackbone": "backbones.saved_model",
    "GradientReversal": "objectives.alignment.gradient_reversal",
    "TaskUncertainty": "objectives.multi_task",
    "PixelNoise": "objectives.self_supervised.reconstruction",
    "QuarterTurns": "objectives.self_supervised.rotation_prediction",
    "LayerwiseLearningRate": "schedules.layerwise",
    "LossScale": "training.step.optimizers",
}
"""Name of every class that files may hold → its module."""


def register() -> None:
    """Make the names known to Keras, now or when Keras is imported."""
    if "keras" in sys.modules:
        _register_stand_ins()
    elif not any(isinstance(finder, _AfterKeras) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterKeras())


def _register_stand_ins() -> None:
    known = importlib.import_module("keras.saving").get_custom_objects()
    for name, module in CLASSES.items():
        known.setdefault(f"{PACKAGE}>{name}", _stand_in(name, module))


def _stand_in(name: str, module: str) -> type:
    """Return a class whose `from_config` is that of the class it stands for.

    Importing the class replaces its stand-in, since `register_keras_serializable` writes the same
    name.
    """

    def from_config(cls: type, config: dict[str, Any]) -> Any:
        found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), name)
        return found.from_config(config)

    return type(name, (), {"from_config": classmethod(from_config)})


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Finds `keras` as the other finders do, and registers the stand-ins once it is imported."""

    def find_spec(
        self, fullname: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "keras":
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((one for one in found if one is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads with another loader, then registers the stand-ins."""

    def __init__(self, loader: importlib.abc.Loader):
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _register_stand_ins()
