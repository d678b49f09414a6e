"""What is checked about examples before they reach a model: form and range."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tl_keras.data.base import Examples
from tl_keras.utils.compat import flatten_layers
from tl_keras.utils.errors import warn_user

if TYPE_CHECKING:
    from tl_keras.models.transfer_model import TransferModel


def check_examples(model: "TransferModel", examples: Examples, argument: str) -> None:
    """Raise `InputError` unless examples of one domain are what the model takes."""
    model.modality.check_reading(examples, argument)
    model.modality.check_spec(examples.spec, argument, files=bool(examples.paths))


def warn_of_doubtful_values(model: "TransferModel", data: Mapping[str, Any]) -> None:
    """Warn once where values seem not to be those that the model takes, such as scaled images.

    Args:
        model: Takes the examples.
        data: Argument → `DomainExamples`, or None.
    """

    def layers() -> list[Any]:
        return [*flatten_layers(model.preprocessing), *flatten_layers(model.backbone)]

    for argument, domains in data.items():
        for name, examples in (domains or {}).items():
            text = model.modality.doubt(examples, layers)
            if text is not None:
                where = f"{argument}[{name!r}]" if domains.only is None else argument
                warn_user(f"{where}: {text}")
                return
