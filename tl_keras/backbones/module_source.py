"""From what a user names (a directory, an archive, a handle) to the files of a SavedModel."""

import functools
import hashlib
import os
import shutil
import tempfile
import weakref

from tensorflow.core.protobuf import saved_model_pb2

from tl_keras.backbones.module_archive import unpack_archive
from tl_keras.backbones.module_download import download_module
from tl_keras.errors import InputError

__all__ = ["ModuleFiles", "find_live_files", "is_module_source", "resolve_module"]

_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_HANDLES = ("https://", "http://", "gs://")
# Operations through which a graph reaches files or Python outside of itself. Those that restore
# variables or read a vocabulary belong to every SavedModel and aren't among them.
_OUTSIDE_OPERATIONS = frozenset(
    (
        *("ReadFile", "WriteFile", "MatchingFiles"),
        *("PyFunc", "PyFuncStateless", "EagerPyFunc"),
        *("WholeFileReader", "WholeFileReaderV2", "TextLineReader", "TextLineReaderV2"),
        *("TFRecordReader", "TFRecordReaderV2", "TextLineDataset"),
        *("FixedLengthRecordReader", "FixedLengthRecordReaderV2", "FixedLengthRecordDataset"),
        *("FixedLengthRecordDatasetV2", "TFRecordDataset", "TFRecordDatasetV2"),
        *("SaveDataset", "SaveDatasetV2", "LoadDataset"),
    )
)


class ModuleFiles:
    """The directory of a SavedModel, which is removed with this object if it's a copy.

    Args:
        path: The directory.
        source: What the user named it by, for messages.
        temporary: The temporary directory around `path` that goes with this object, or None.
    """

    def __init__(
        self, path: str, source: str, temporary: tempfile.TemporaryDirectory | None = None
    ) -> None:
        self.path = path
        self.source = source
        self._temporary = temporary
        _live.add(self)

    @functools.cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the names and contents of all files."""
        digest = hashlib.sha256()
        for folder, folders, files in os.walk(self.path):
            folders.sort()
            for name in sorted(files):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
                digest.update(f"{os.path.relpath(path, self.path)}\n{content}\n".encode())
        return digest.hexdigest()

    @functools.cached_property
    def graphs(self) -> list:
        """The MetaGraphDefs of the SavedModel, one for each set of tags."""
        proto = saved_model_pb2.SavedModel()
        try:
            with open(os.path.join(self.path, "saved_model.pb"), "rb") as file:
                proto.ParseFromString(file.read())
        except Exception as error:
            raise InputError(
                f"source: {self.source!r} can't be read as a SavedModel ({error}). Its "
                "saved_model.pb may be damaged or cut short: download it again."
            ) from error
        return list(proto.meta_graphs)

    def outside_operations(self) -> list[str]:
        """Return the operations in the graphs that reach files or Python, sorted."""
        found = set()
        for graph in self.graphs:
            nodes = [graph.graph_def.node]
            nodes += [function.node_def for function in graph.graph_def.library.function]
            found.update(node.op for group in nodes for node in group)
        return sorted(found & _OUTSIDE_OPERATIONS)

    def copy_to(self, folder: str) -> None:
        """Copy the SavedModel to a new directory."""
        if not os.path.isdir(self.path):
            raise InputError(
                f"source: the SavedModel {self.source!r} has been removed since it was loaded, so "
                "it can't be stored with the model. Put it back, or load from an archive."
            )
        shutil.copytree(self.path, folder)

    @classmethod
    def copied(cls, folder: str, source: str) -> "ModuleFiles":
        """Copy a SavedModel's directory into a temporary one that goes with the result."""
        temporary = tempfile.TemporaryDirectory(prefix="tl_keras_module_")
        path = os.path.join(temporary.name, "module")
        shutil.copytree(folder, path)
        return cls(path, source, temporary)


_live: "weakref.WeakSet[ModuleFiles]" = weakref.WeakSet()


def find_live_files(fingerprint: str) -> ModuleFiles | None:
    """Return the files with this fingerprint if this process holds them."""
    present = (files for files in tuple(_live) if os.path.isdir(files.path))
    return next((files for files in present if files.fingerprint == fingerprint), None)


def is_module_source(name: str | os.PathLike[str]) -> bool:
    """Tell whether a name is a SavedModel's directory, an archive or the URL of a module."""
    name = os.fspath(name)
    if name.startswith(_HANDLES):
        return True
    if os.path.isdir(name):
        return _holds_module(name)
    return name.endswith(_ARCHIVES) and os.path.isfile(name)


def resolve_module(source: str | os.PathLike[str]) -> ModuleFiles:
    """Find, unpack or download a SavedModel.

    Args:
        source: A directory with `saved_model.pb`; a `.tar.gz`, `.tgz` or `.tar` of one; or a
            handle such as `https://tfhub.dev/...` or `https://www.kaggle.com/models/...`.

    Raises:
        InputError: If there's no SavedModel there, the archive reaches outside its folder, or
            the download fails.
    """
    source = os.fspath(source)
    if source.startswith(_HANDLES):
        path = download_module(source)
    elif source.endswith(_ARCHIVES) and not os.path.isdir(source):
        return _unpack(source)
    else:
        path = source
    if not os.path.isdir(path):
        raise InputError(f"source: expected the directory of a SavedModel; {path!r} is none.")
    if not _holds_module(path):
        listing = ", ".join(sorted(os.listdir(path))[:5]) or "nothing"
        raise InputError(
            f"source: {source!r} is not a SavedModel: its directory contains saved_model.pb, and "
            "most often the folder variables/ (and assets/), as tf.saved_model.save and "
            f"model.export write them. This one contains {listing}."
        )
    return ModuleFiles(os.path.abspath(path), source)


def _holds_module(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "saved_model.pb"))


def _unpack(source: str) -> ModuleFiles:
    """Extract an archive into a temporary folder that goes with the result."""
    temporary = unpack_archive(source)
    found = [folder for folder, _, _ in os.walk(temporary.name) if _holds_module(folder)]
    if len(found) != 1:
        temporary.cleanup()
        raise InputError(
            f"source: expected one SavedModel in the archive {source!r} (a folder with "
            f"saved_model.pb), found {len(found)}. Extract it and pass the folder you mean."
        )
    return ModuleFiles(found[0], source, temporary)
