"""From the options of `tl-keras train` to the arguments of the library."""

import contextlib
import dataclasses
import inspect
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tl_keras.cli.choices import Augmentation, MixedPrecision
from tl_keras.cli.evaluate import check_classes
from tl_keras.cli.tables import Columns, read_images
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import InputError

if TYPE_CHECKING:
    from tl_keras.backbones.backbone import Backbone

SHARE = 0.15
"""Share of the images that validation and test get each where nothing else is asked for."""


def part_names(validation: float, test: float) -> list[str]:
    """Return the names of the parts that `split_shares` gives."""
    shares = {"training": 1, "validation": validation, "test": test}
    return [name for name, share in shares.items() if share]


def share_of(part: str, share: float | None, folder: Path | None) -> float:
    """Return the share of a part: none is split off where it has images of its own.

    Args:
        part: `"validation"` or `"test"`.
        share: What was asked for, or None.
        folder: The images of its own, or None.
    """
    if folder is None:
        return SHARE if share is None else share
    if share:
        raise InputError(
            f"--{part}-split: the {part} images are those of --{part}. Leave one of the two out."
        )
    return 0.0


def split_shares(
    validation: float,
    test: float,
    wanted: float | None,
    patience: int | str | None,
    own: Collection[str] = (),
) -> tuple[float, ...]:
    """Return the shares of the parts that there are.

    Args:
        validation: Share that is split off.
        test: The same.
        wanted: Accuracy asked for, or None.
        patience: Of early stopping, `"auto"` or None.
        own: Parts that have images of their own.
    """
    if validation + test >= 1:
        raise InputError(
            "--validation-split and --test-split: expected shares with a sum below 1, got "
            f"{validation:g} + {test:g}, which leaves nothing to train on."
        )
    if wanted is not None and not test and "test" not in own:
        raise InputError(
            "--assert-accuracy-at-least: it is measured on the test split, and --test-split is 0. "
            "Use --test-split 0.15."
        )
    if isinstance(patience, int) and not validation and "validation" not in own:
        raise InputError(
            "--early-stopping: it watches the validation split, and --validation-split is 0. Use "
            "--validation-split 0.15."
        )
    return tuple(share for share in (1 - validation - test, validation, test) if share)


def labelled_images(
    folder: Path, option: str, class_names: Any, columns: Columns | None, reading: dict[str, Any]
) -> Any:
    """Return the images of a part that has a folder or table of its own."""
    images = read_images(folder, columns, option, **reading)
    if isinstance(class_names, tuple):
        check_classes(images.class_names, class_names, folder, option, "those of DIR")
    return images


def count_table(parts: Mapping[str, Any], class_names: Sequence[str]) -> list[tuple]:
    """Return a row for each class: its name and the number of its images in each part."""
    counts = [Counter(p.class_names[number] for number in _numbers(p)) for p in parts.values()]
    return [(name, *(count[name] for count in counts)) for name in class_names]


def _numbers(part: Any):
    return getattr(part.labels, "values", part.labels)


def with_chosen(
    stages: Sequence, epochs: int | None, head_epochs: int | None, learning_rate: float | None
) -> tuple:
    """Return the stages that `auto` chose with the epochs and the learning rate asked for.

    Args:
        stages: The schedule.
        epochs: Of the stages that train the backbone, or of the head where no stage does.
        head_epochs: Of the stage of the head alone.
        learning_rate: Peak of the stages that `epochs` is for; later ones keep their proportion to
            the first.
    """
    head = [stage.unfreeze == 0 for stage in stages]
    main = [all(head) or not is_head for is_head in head]
    first = next(
        stage.learning_rate for stage, is_main in zip(stages, main, strict=True) if is_main
    )
    changed = []
    for stage, is_head, is_main in zip(stages, head, main, strict=True):
        fields = {}
        if is_head and head_epochs is not None:
            fields["epochs"] = head_epochs
        elif is_main and epochs is not None:
            fields["epochs"] = epochs
        if is_main and learning_rate is not None:
            share = stage.learning_rate / first if stage.learning_rate and first else 1.0
            fields["learning_rate"] = learning_rate * share
        changed.append(dataclasses.replace(stage, **fields))
    return tuple(changed)


def stages_of(
    name: str, epochs: int | None, head_epochs: int | None, learning_rate: float | None = None
) -> Any:
    """Return the named schedule with the epochs and the learning rate asked for.

    What `auto` chooses depends on the data: its name is returned, for `with_chosen` later.
    """
    from tl_keras.schedules.named import NAMED_SCHEDULES

    chosen = {"epochs": epochs, "head_epochs": head_epochs, "learning_rate": learning_rate}
    chosen = {key: value for key, value in chosen.items() if value is not None}
    if not chosen or name == "auto":
        return name
    function = NAMED_SCHEDULES[name]
    if "head_epochs" in chosen and "head_epochs" not in inspect.signature(function).parameters:
        raise InputError(
            f"--head-epochs: the schedule {name} has no stage for the head alone. Use --epochs."
        )
    return function(**chosen)


def backbone_and_size(
    name: str, weights: str | None, image_size: int | None, trust: bool = False
) -> tuple["Backbone", tuple[int, int]]:
    """Build the backbone, and return it with height and width of its images."""
    from tl_keras.backbones.resolve import resolve_backbone
    from tl_keras.cli.backbones import image_sizes

    size = image_size or image_sizes().get(name)
    wanted = None if size is None else (size, size, 3)
    resolved = resolve_backbone(name, weights=weights, input_shape=wanted, trust=trust)
    shape = resolved.input_shape
    known = [side for side in shape if side is not None]
    if len(shape) != 3 or len(known) != 3 or known[2] != 3:
        raise InputError(
            f"--backbone: image folders give RGB images of one size, {name!r} takes inputs of the "
            f"shape {tuple(shape)}. If any size will do, name one, such as --image-size 224."
        )
    return resolved, (known[0], known[1])


def checked_range(pixel_range: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the range of the images, or raise `InputError` with the option's name."""
    from tl_keras.inputs.preprocessing import check_pixel_range

    try:
        return check_pixel_range(pixel_range)
    except InputError as error:
        raise InputError("--" + str(error).replace("pixel_range", "pixel-range", 1)) from error


def with_controls(stages: Sequence, **controls: Any) -> tuple:
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


def check_precision(backbone: Any, precision: MixedPrecision) -> None:
    """Refuse a precision that a backbone does not take on."""
    import keras

    layers = [one for one in flatten_layers(backbone) if not isinstance(one, keras.Model)]
    found = {layer.compute_dtype for layer in layers if layer.weights}
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
