"""From the options of `tl-keras train` to the arguments of the library."""

import contextlib
import dataclasses
import inspect
from collections.abc import Iterator, Sequence

from tl_keras.cli.choices import Augmentation, MixedPrecision
from tl_keras.errors import InputError


def part_names(validation: float, test: float) -> list[str]:
    """Return the names of the parts that `split_shares` gives."""
    shares = {"training": 1, "validation": validation, "test": test}
    return [name for name, share in shares.items() if share]


def split_shares(
    validation: float, test: float, wanted: float | None, patience: int | None
) -> tuple[float, ...]:
    """Return the shares of the parts that there are."""
    if validation + test >= 1:
        raise InputError(
            "--validation-split and --test-split: expected shares with a sum below 1, got "
            f"{validation:g} + {test:g}, which leaves nothing to train on."
        )
    if wanted is not None and not test:
        raise InputError(
            "--assert-accuracy-at-least: it is measured on the test split, and --test-split is 0. "
            "Use --test-split 0.15."
        )
    if patience is not None and not validation:
        raise InputError(
            "--early-stopping: it watches the validation split, and --validation-split is 0. Use "
            "--validation-split 0.15."
        )
    return tuple(share for share in (1 - validation - test, validation, test) if share)


def stages_of(
    name: str, epochs: int | None, head_epochs: int | None, learning_rate: float | None = None
):
    """Return the schedule with the epochs and the learning rate asked for."""
    from tl_keras.schedules.named import NAMED_SCHEDULES

    chosen = {"epochs": epochs, "head_epochs": head_epochs, "learning_rate": learning_rate}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not chosen:
        return name
    if name == "auto":
        raise InputError(
            "--epochs, --head-epochs, --learning-rate: the schedule auto chooses them itself. "
            "Leave them out or name a schedule, such as --schedule two_stage."
        )
    function = NAMED_SCHEDULES[name]
    if "head_epochs" in chosen and "head_epochs" not in inspect.signature(function).parameters:
        raise InputError(
            f"--head-epochs: the schedule {name} has no stage for the head alone. Use --epochs."
        )
    return function(**chosen)


def backbone_and_size(name: str, weights: str | None, image_size: int | None):
    """Return what to build from, and height and width of the images."""
    from tl_keras.backbones.resolve import resolve_backbone
    from tl_keras.cli.backbones import image_sizes

    if image_size is not None:
        return name, (image_size, image_size)
    sizes = image_sizes()
    if name in sizes:
        return name, (sizes[name], sizes[name])
    resolved = resolve_backbone(name, weights=weights)
    shape = resolved.input_shape
    if len(shape) != 3 or None in shape or shape[2] != 3:
        raise InputError(
            f"--backbone: image folders give RGB images of one size, {name!r} takes inputs of the "
            f"shape {tuple(shape)}. If any size will do, name one, such as --image-size 224."
        )
    return resolved, shape[:2]


def with_controls(stages: Sequence, **controls) -> tuple:
    """Return the stages with the same fields set in each."""
    return tuple(dataclasses.replace(stage, **controls) for stage in stages)


@contextlib.contextmanager
def dtype_policy(precision: MixedPrecision) -> Iterator[None]:
    """Build layers in this precision within the block."""
    import keras

    before = keras.config.dtype_policy()
    if precision is not MixedPrecision.none:
        keras.config.set_dtype_policy(f"mixed_{precision.value}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def check_precision(backbone, precision: MixedPrecision) -> None:
    """Refuse a precision that a backbone does not take on."""
    found = {layer.compute_dtype for layer in backbone._flatten_layers() if layer.weights}
    if precision is not MixedPrecision.none and found and precision.value not in found:
        raise InputError(
            f"--mixed-precision: the layers of {backbone.name!r} bring their own precision, "
            f"{', '.join(sorted(found))}. Leave the option out, or save the backbone in the one "
            "that you want."
        )


def augmentation_layers(names: Sequence[Augmentation], seed: int) -> list:
    """Return the layers that change training images, in the order given."""
    import keras

    makers = {
        Augmentation.horizontal_flip: lambda: keras.layers.RandomFlip("horizontal", seed=seed),
        Augmentation.flips: lambda: keras.layers.RandomFlip("horizontal_and_vertical", seed=seed),
        Augmentation.randaugment: lambda: keras.layers.RandAugment(seed=seed),
        Augmentation.mixup: lambda: keras.layers.MixUp(seed=seed),
        Augmentation.cutmix: lambda: keras.layers.CutMix(seed=seed),
    }
    return [makers[name]() for name in names]
