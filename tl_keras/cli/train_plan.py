"""From the options of `tl-keras train` to the arguments of the library."""

import inspect

from tl_keras.cli.choices import Augmentation
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


def stages_of(name: str, epochs: int | None, head_epochs: int | None):
    """Return the schedule with the epochs asked for."""
    from tl_keras.schedules.named import NAMED_SCHEDULES

    chosen = {"epochs": epochs, "head_epochs": head_epochs}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not chosen:
        return name
    if name == "auto":
        raise InputError(
            "--epochs, --head-epochs: the schedule auto chooses the epochs itself. Leave them out "
            "or name a schedule, such as --schedule two_stage."
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


def augmentation_layer(augment: Augmentation, seed: int):
    """Return the layer that changes training images, or None."""
    if augment is Augmentation.none:
        return None
    import keras

    both = augment is Augmentation.flips
    return keras.layers.RandomFlip("horizontal_and_vertical" if both else "horizontal", seed=seed)
