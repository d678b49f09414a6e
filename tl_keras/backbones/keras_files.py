"""Reads models from `.keras` files, and says what to do with Keras' older formats."""

import json
import os
import zipfile

import h5py
import keras

from tl_keras.backbones.module_trust import NotTrusted, noted_errors
from tl_keras.utils.errors import InputError, first_line, printable
from tl_keras.utils.regular_files import require_regular

_SMALL, _EXPANSION = 2**28, 100
"""Bytes that an archive may unpack to in any case, and times its own size."""
_REMEDY = "pass trust=True"
_REMEDY_OF_WEIGHTS = (
    "load it with keras.saving.load_model(…, safe_mode=False) and pass a file of its save_weights"
)
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def load_keras_file(
    path: str | os.PathLike, argument: str = "model", trust: bool = False
) -> keras.Model:
    """Load a `.keras` file in Keras' safe mode, with errors that say what to do.

    Args:
        path: The file.
        argument: Name that errors use for the file.
        trust: Whether the user trusts the file's author: it is loaded without safe mode.

    Raises:
        InputError: If the file is missing or no regular file, is not a `.keras` archive of Keras
            3, unpacks to far more than it is, or holds a layer that is not registered; and without
            trust, if it holds Lambda layers (code of its author) or a SavedModel that may reach
            beyond its graph.
    """
    path = os.fspath(path)
    require_regular(path, argument)
    if not os.path.isfile(path):
        raise InputError(
            f"{argument}: expected the path of a .keras file, {path!r} does not exist."
        )
    refuse_hdf5(path, argument)
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{argument}: {path!r} is not a Keras archive (a .keras file is a zip with config.json "
            "and model.weights.h5). It may be truncated, or of another format."
        )
    _refuse_bombs(path, argument)
    _refuse_keras_2(path, argument, _version_of_archive(path))
    with noted_errors() as noted:
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=not trust)
        except Exception as error:
            remedy = _REMEDY_OF_WEIGHTS if argument == "weights" else _REMEDY
            reason = _reason(
                noted[0] if noted else error, trust, f"if you trust its author, {remedy}."
            )
            raise InputError(f"{argument}: {path!r} {reason}") from error


def _reason(error: Exception, trust: bool, remedy: str) -> str:
    """Say why a file was not loaded and what to do, in words that follow its path."""
    text = str(error)
    remedy_alone = remedy[0].upper() + remedy[1:]
    if isinstance(error, NotTrusted):
        return f"is refused: it holds a SavedModel, and {error.reason}. {remedy_alone}"
    if isinstance(error, InputError):
        return f"is refused: {printable(first_line(error, 300))}"
    if not trust and ("Lambda" in text or "lambda" in text):
        return (
            "holds a Lambda layer, which is Python code of the file's author and is not run. "
            f"Rebuild the model with a registered layer instead of Lambda, or, {remedy}"
        )
    if not trust and "safe_mode=False" in text:
        return f"is refused: {printable(first_line(error))} {remedy_alone}"
    return (
        f"could not be loaded: {printable(first_line(error))} If it holds layers of your own, "
        "register them with @keras.saving.register_keras_serializable and import them first."
    )


def _refuse_bombs(path: str, argument: str) -> None:
    """Raise `InputError` for an archive that says it unpacks to far more than it is.

    Keras stores without compression, and looks at members one by one where it refuses them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except Exception:  # A damaged archive can fail in any part of zipfile.
        return  # Keras says what is wrong with it.
    if size > max(_SMALL, _EXPANSION * os.path.getsize(path)):
        raise InputError(
            f"{argument}: {path!r} is refused: its {os.path.getsize(path):,} bytes unpack to "
            f"{size:,}. Save the model again with model.save."
        )


def refuse_hdf5(path: str, argument: str) -> None:
    """Raise `InputError` for a model in HDF5, Keras' format before `.keras`."""
    with open(path, "rb") as file:
        if file.read(len(_HDF5_SIGNATURE)) != _HDF5_SIGNATURE:
            return
    _refuse_keras_2(path, argument, _version_of_hdf5(path))
    raise InputError(
        f"{argument}: {path!r} is an HDF5 file, Keras' format before .keras. If you trust its "
        f"author, convert a whole model once: keras.models.load_model({path!r}, "
        "compile=False).save('model.keras'); a file of weights alone goes into weights=…."
    )


def _refuse_keras_2(path: str, argument: str, version: str | None) -> None:
    """Raise `InputError` for a file that Keras 2 wrote, which Keras 3 may not read."""
    if version is not None and version.split(".")[0] in ("0", "1", "2"):
        raise InputError(
            f"{argument}: {path!r} was saved by Keras {version}, and this is Keras 3. Where "
            f"tf_keras is installed, run tf_keras.models.load_model({path!r}).export('folder') and "
            "use the folder as backbone, or .save_weights('weights.h5') and pass weights=…."
        )


def _version_of_archive(path: str) -> str | None:
    """Return the version of Keras that wrote a `.keras` file, or None if it does not say."""
    try:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json")).get("keras_version")
    except Exception:  # As above; JSON that is nested too deep raises RecursionError.
        return None
    return version if isinstance(version, str) else None


def _version_of_hdf5(path: str) -> str | None:
    """Return the version of Keras that wrote an HDF5 file, or None if it does not say."""
    try:
        with h5py.File(path, "r") as file:
            version = file.attrs.get("keras_version")
    except OSError:
        return None
    version = version.decode(errors="replace") if isinstance(version, bytes) else version
    return version if isinstance(version, str) else None
