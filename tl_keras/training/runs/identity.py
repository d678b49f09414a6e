"""What makes two runs the same run, and what to say where they are not."""

import hashlib
import json
import re
from typing import Any

import keras
import tensorflow as tf

import tl_keras
from tl_keras.data.augmentation.augment import describe
from tl_keras.data.domains import DomainExamples
from tl_keras.models.transfer_model import TransferModel
from tl_keras.training.plan import RunPlan, Settings
from tl_keras.training.runs.differences import differences
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError

NOTED = ("tl_keras", "tensorflow", "keras", "replicas", "deterministic", "callbacks")
"""Differences that are said and do not forbid to go on."""
BEFORE = {"global_clipnorm": "clip_norm", "ema_momentum": "ema"}
"""Fields of stages → their names before, in which runs that are there may be described."""
UNIMPORTANT = ("name", "seed", "trainable", "dtype")


def run_config(plan: RunPlan) -> dict[str, Any]:
    """Return the configuration of a run as JSON: what it says decides how the run ends."""
    model, validation = plan.model, plan.validation
    config = {
        "tl_keras": tl_keras.__version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        # Keras numbers models without a name, anew in every process.
        "backbone": re.sub(r"_\d+$", "", model.backbone.name),
        "model": _digest(_structure(model)),
        **model.modality.described(),
        "labels": model.class_names,
        **_common(plan),
        "training_examples": len(plan.train),
        "training_data": plan.train.fingerprint(),
        "validation_examples": None if validation is None else len(validation),
        "validation_data": None if validation is None else validation.fingerprint(),
        "replicas": plan.replicas,
        "deterministic": plan.deterministic,
        "callbacks": [type(callback).__name__ for callback in plan.settings.callbacks],
    }
    return json.loads(json.dumps(config, default=str))


def config_digest(config: dict[str, Any]) -> str:
    """Return the digest of what `check_same_run` compares and does not merely note."""
    counted = {key: value for key, value in config.items() if key not in NOTED}
    # Checkpoints hold digests: those of the names before stay what they were.
    stages = [_renamed(stage, BEFORE) for stage in config["stages"]]
    return _digest(counted | {"stages": stages})


def shared_facts(plan: RunPlan) -> dict[str, Any]:
    """Return what several workers must have in common before they do anything together."""
    return {
        "model": [(tuple(weight.shape), weight.dtype) for weight in plan.model.variables],
        "data": _facts(plan.train),
        "validation": None if plan.validation is None else _facts(plan.validation),
        **_common(plan),
    }


def shared_content(train: DomainExamples, validation: DomainExamples | None) -> dict[str, Any]:
    """Return fingerprints of the data in its order, which several workers must have in common.

    A `tf.data.Dataset` is read once for it.
    """
    return {
        name: {domain: one.fingerprint_in_order() for domain, one in data.items()}
        for name, data in (("content of data", train), ("content of validation", validation))
        if data is not None
    }


def check_same_run(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Compare the configuration of the run in a directory with the one asked for.

    Args:
        found: Of the run that is there.
        wanted: Of the run that was asked for.

    Returns:
        Lines about differences that do not forbid to go on: other versions, other devices.

    Raises:
        InputError: If data, model, schedule or settings differ; each difference is named.
    """
    if isinstance(found.get("stages"), list):
        now = {before: name for name, before in BEFORE.items()}
        found = found | {"stages": [_renamed(stage, now) for stage in found["stages"]]}
    differing = [key for key in wanted if found.get(key) != wanted[key]]
    notes = [key for key in differing if key in NOTED]
    changed = [key for key in differing if key not in notes]
    if changed:
        raise InputError(
            "output: the directory holds a run with other settings, which cannot be continued:\n"
            + "\n".join(
                f"  {line}"
                for key in changed
                for line in _differences(key, found.get(key), wanted[key])
            )
            + "\nChoose another directory for a new run, ask for the old settings again, or pass "
            "overwrite=True to replace the run that is there."
        )
    return [
        f"resumed under another {key}: {found.get(key)} before, {wanted[key]} now; the result will "
        "not be the same to the last bit"
        for key in notes
    ]


def _differences(key: str, before: Any, now: Any) -> list[str]:
    if key == "model":
        return ["the layers of the model have changed"]
    if key in ("training_data", "validation_data") and None not in (before, now):
        return [
            f"the {key.removesuffix('_data')} examples have changed (so it looks, too, where a "
            "tf.data.Dataset augments by itself: use augmentation=… instead)"
        ]
    return differences(key, before, now)


def _renamed(stage: Any, names: dict[str, str]) -> Any:
    if not isinstance(stage, dict):
        return stage
    return {names.get(name, name): value for name, value in stage.items()}


def _common(plan: RunPlan) -> dict[str, Any]:
    """Return what decides the result besides model and data."""
    settings = plan.settings
    return {
        "stages": [stage.config() for stage in plan.stages],
        "objectives": [objective.config() for objective in plan.objectives],
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "target_labels": settings.target_labels,
        "early_stopping": settings.early_stopping,
        "augmentation": describe(settings.augmentation),
        "cache": _cache(settings),
    }


def _facts(domains: DomainExamples) -> list[Any]:
    return [(name, len(one), one.class_names) for name, one in domains.items()]


def _cache(settings: Settings) -> list[Any] | None:
    """Return what of the feature cache decides the values that are read."""
    if settings.cache is None:
        return None
    return [settings.cache.precision, settings.cache.views if settings.augmentation else 0]


def _structure(model: TransferModel) -> list[Any]:
    """Return what layers are and compute; names and seeds differ from one build to the next."""
    return [
        (
            type(layer).__name__,
            layer.dtype_policy.name,
            None
            if isinstance(layer, keras.Model)
            else {key: v for key, v in layer.get_config().items() if key not in UNIMPORTANT},
            [tuple(weight.shape) for weight in layer.weights],
        )
        for layer in flatten_layers(model)
    ]


def _digest(config: Any) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()
