"""Keras' older format of whole models, HDF5, which does not keep what models of this package need.

`keras.saving.save_model` gives a layer no say in the format, but asks for its config inside a scope
of its own when it writes HDF5. That scope is the one sign that reaches a layer.
"""

from tl_keras.utils.compat import writes_legacy_config
from tl_keras.utils.errors import InputError

HDF5 = (".h5", ".hdf5")
"""How names of such files end."""


def check_not_hdf5(path: str) -> None:
    """Raise `InputError` if a path for a whole model names HDF5."""
    if path.lower().endswith(HDF5):
        _refuse(f"got {path!r}")


def check_not_written_as_hdf5() -> None:
    """Raise `InputError` while Keras writes a whole model as HDF5; called for a layer's config."""
    if writes_legacy_config():
        _refuse("got one of HDF5")


def _refuse(what: str) -> None:
    raise InputError(
        f"filepath: expected a path that ends in .keras, {what}: HDF5 files hold no SavedModels "
        "and do not load again without the classes of this package. Use model.save('model.keras'), "
        "or model.save_weights('model.weights.h5') for weights."
    )
