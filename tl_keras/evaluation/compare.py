"""Evaluate several models on the same examples."""

from collections.abc import Mapping
from typing import Any

from tl_keras.data.examples import as_examples
from tl_keras.evaluation.comparison import Comparison
from tl_keras.evaluation.evaluate import asked_of_labels, report_of, targets_of
from tl_keras.evaluation.positive import positive_classes
from tl_keras.evaluation.predict import predict
from tl_keras.models.transfer_model import TransferModel
from tl_keras.utils.arguments import whole
from tl_keras.utils.errors import InputError
from tl_keras.utils.misplaced import OF_EVALUATION, points_from


@points_from(OF_EVALUATION)
def compare(
    models: Mapping[str, TransferModel],
    data: Any,
    *,
    positive: str | int | Mapping | None = None,
    batch_size: int = 32,
    verbose: bool = True,
) -> Comparison:
    """Evaluate several models on the same examples and print them side by side.

    The examples are read once and each batch is given to all models, so that differences are
    paired example by example.

    Args:
        models: Name → model from `build_transfer_model`. The others are compared with the first,
            so put the pretrained model or the baseline there.
        data: Labelled examples, as for `evaluate`.
        positive: The positive one of two classes, as for `evaluate`.
        batch_size: Examples in a batch.
        verbose: Print the table, and a progress bar if it takes long.

    Returns:
        The comparison.

    Raises:
        InputError: If there are no models, they do not predict the same targets, or there is no
            such class.

    Example:
        >>> tl.compare({"pretrained": a, "fine-tuned": b}, test)  # doctest: +SKIP
    """
    if not isinstance(models, Mapping) or not models:
        raise InputError(
            "models: expected a dict from name to model, such as "
            f'{{"pretrained": a, "fine-tuned": b}}, got {type(models).__name__}'
            f"{' without entries' if isinstance(models, Mapping) else ''}."
        )
    batch_size = whole(batch_size, "batch_size")
    specs = {name: targets_of(model, f"models[{name!r}]") for name, model in models.items()}
    first, spec = next(iter(specs.items()))
    for name, other in specs.items():
        if _outputs(other) != _outputs(spec):
            raise InputError(
                f"models[{name!r}]: predicts {_outputs(other)}, but {first!r} predicts "
                f"{_outputs(spec)}. Compare models with the same classes in the same order."
            )
    positive = positive_classes(spec, positive)
    examples = as_examples(data, wanted=models[first].modality.spec)
    targets, outputs = predict(
        list(models.values()), examples, asked_of_labels(spec), batch_size, progress=verbose
    )
    reports = (report_of(spec, targets, output, positive) for output in outputs)
    comparison = Comparison(dict(zip(models, reports, strict=True)))
    if verbose:
        print(comparison)
    return comparison


def _outputs(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {task: _outputs(part) for task, part in spec.items()}
    return (spec.task.name, *spec.output_names)
