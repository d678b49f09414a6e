"""Reads models from `.keras` files, and says what to do with Keras' older formats."""

import json
import os
import zipfile

import h5py
import keras

from tl_keras.errors import InputError, first_line

HDF5 = (".h5", ".hdf5")
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def load_keras_file(path: str | os.PathLike, argument: str = "model") -> keras.Model:
    """Load a `.keras` file in Keras' safe mode, with errors that say what to do.

    Args:
        path: The file.
        argument: Name that errors use for the file.

    Raises:
        InputError: If the file is missing, is not a `.keras` archive of Keras 3, holds a Lambda
            layer (code that safe mode refuses to run) or a layer that is not registered.
    """
    path = os.fspath(path)
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
    _refuse_keras_2(path, argument, _version_of_archive(path))
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:
        text = str(error)
        if "Lambda" in text or "lambda" in text:
            raise InputError(
                f"{argument}: {path!r} holds a Lambda layer, which is Python code of the file's "
                "author and is not run. Rebuild the model with a registered layer instead of "
                "Lambda, or, if you trust the author, load it yourself with "
                "keras.saving.load_model(path, safe_mode=False) and pass the model."
            ) from error
        raise InputError(
            f"{argument}: {path!r} could not be loaded: {first_line(error)} If it holds layers of "
            "your own, register them with @keras.saving.register_keras_serializable and import "
            "them first."
        ) from error


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
    except (KeyError, ValueError, AttributeError, OSError, zipfile.BadZipFile):
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
