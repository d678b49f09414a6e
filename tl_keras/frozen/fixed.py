"""What a feature store sees of the function whose values it holds."""

from collections.abc import Callable
from typing import Any, Protocol


class Fixed(Protocol):
    """A function of images that does not change: frozen layers (`Prefix`), or a `Teacher`."""

    random_layer: str | None
    """Name of a layer of it that is random, so that its values must not be stored; or None."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def __str__(self) -> str:
        """Return what it is, in words."""
        ...

    def traced(self, images: Any) -> Any:
        """Return the concrete function for images of these shapes and types."""
        ...

    def folded(
        self, images: Any, precision: str, say: Callable[[str], None]
    ) -> Callable[[Any], Any]:
        """Return the function with its weights as constants."""
        ...
