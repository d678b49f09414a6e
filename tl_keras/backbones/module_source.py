"""From what a user names (a directory, an archive, a handle) to the files of a SavedModel."""

import functools
import hashlib
import os
import tempfile
import weakref

from tensorflow.core.protobuf import saved_model_pb2

from tl_keras.backbones.module_archive import unpack_archive
from tl_keras.backbones.module_check import reason_to_refuse
from tl_keras.backbones.module_download import download_module
from tl_keras.backbones.module_folder import copy_folder, link_outside, require_files
from tl_keras.backbones.module_trust import NotTrusted
from tl_keras.utils.errors import InputError
from tl_keras.utils.regular_files import require_regular

__all__ = [
    "ModuleFiles",
    "find_live_files",
    "is_module_source",
    "resolve_module",
    "was_trusted",
]

_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_HANDLES = ("https://", "http://", "gs://")
_LARGEST = 2**31 - 1  # Bytes of a protobuf.


class ModuleFiles:
    """The directory of a SavedModel, which is removed with this object if it's a copy.

    Args:
        path: The directory.
        source: What the user named it by, for messages.
        temporary: The temporary directory around `path` that goes with this object, or None.
        trusted: Whether the user trusts its author, so that it may do what its graph says.
    """

    def __init__(
        self,
        path: str,
        source: str,
        temporary: tempfile.TemporaryDirectory | None = None,
        trusted: bool = False,
    ) -> None:
        self.path = path
        self.source = source
        self.trusted = trusted
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
                require_regular(path, "source")
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).hexdigest()
                digest.update(f"{os.path.relpath(path, self.path)}\n{content}\n".encode())
        return digest.hexdigest()

    @functools.cached_property
    def graphs(self) -> list:
        """The MetaGraphDefs of the SavedModel, one for each set of tags."""
        proto = saved_model_pb2.SavedModel()
        path = os.path.join(self.path, "saved_model.pb")
        try:
            if os.path.getsize(path) > _LARGEST:
                raise ValueError(f"{os.path.getsize(path):,} bytes are more than a protobuf has")
            with open(path, "rb") as file:
                proto.ParseFromString(file.read())
        except Exception as error:
            raise InputError(
                f"source: {self.source!r} can't be read as a SavedModel ({error}). Its "
                "saved_model.pb may be damaged or cut short: download it again."
            ) from error
        return list(proto.meta_graphs)

    @functools.cached_property
    def refusal(self) -> str | None:
        """Why the SavedModel must not run unless it is trusted, after "because"; None if it may."""
        if os.path.lexists(os.path.join(self.path, "saved_model.cpb")):
            return "it holds a second graph, saved_model.cpb"
        link = link_outside(self.path)
        if link is not None:
            return f"it holds a link to something elsewhere ({link})"
        return reason_to_refuse(self.graphs)

    def check(self) -> None:
        """Raise `InputError` if the SavedModel is not trusted and does what needs trust.

        Nor may it hold pipes and the like, trusted or not.
        """
        require_files(self.path, self.source)
        if not self.trusted and self.refusal is not None:
            raise NotTrusted(
                f"source: the SavedModel {self.source!r} is refused, because {self.refusal}. If "
                "you trust its author, pass trust=True.",
                self.refusal,
            )

    def copy_to(self, folder: str) -> None:
        """Copy the SavedModel to a new directory."""
        if not os.path.isdir(self.path):
            raise InputError(
                f"source: the SavedModel {self.source!r} has been removed since it was loaded, so "
                "it can't be stored with the model. Put it back, or load from an archive."
            )
        copy_folder(self.path, folder, self.source, follow_links=self.trusted)

    @classmethod
    def copied(cls, folder: str, source: str) -> "ModuleFiles":
        """Copy a SavedModel's directory into a temporary one that goes with the result."""
        temporary = tempfile.TemporaryDirectory(prefix="tl_keras_module_")
        path = os.path.join(temporary.name, "module")
        copy_folder(folder, path, source, follow_links=False)
        return cls(path, source, temporary)


_live: "weakref.WeakSet[ModuleFiles]" = weakref.WeakSet()


def find_live_files(fingerprint: str | None) -> ModuleFiles | None:
    """Return the files with this fingerprint if this process holds them, trusted ones first."""
    present = [files for files in tuple(_live) if os.path.isdir(files.path)]
    present.sort(key=lambda files: not files.trusted)
    return next((files for files in present if files.fingerprint == fingerprint), None)


def was_trusted(files: ModuleFiles) -> bool:
    """Tell whether this process holds the same SavedModel, file by file, as a trusted one."""
    trusted = [other for other in tuple(_live) if other.trusted and os.path.isdir(other.path)]
    return any(other.fingerprint == files.fingerprint for other in trusted)


def module_in_file(folder: str | None, source: str, layer: str, safe: bool) -> ModuleFiles:
    """Take the SavedModel of a layer out of the assets of a `.keras` file.

    Args:
        folder: Where the assets have it.
        source: Where it came from when the layer was built.
        layer: Name of the layer, for messages.
        safe: Whether the file is loaded in safe mode.

    Raises:
        InputError: If it isn't there, or needs trust while the file is loaded in safe mode.
    """
    if folder is None or not os.path.isdir(folder):
        raise InputError(
            f"path: the file lacks the SavedModel of the layer {layer!r}. Save the whole "
            "model again with `model.save`."
        )
    files = ModuleFiles.copied(folder, source)
    files.trusted = not safe
    if safe and files.refusal is not None:
        files.trusted = was_trusted(files)
        if not files.trusted:
            raise NotTrusted(
                f"path: the SavedModel of the layer {layer!r} is refused in safe mode, "
                f"because {files.refusal}. If you trust the file, load it with "
                "`safe_mode=False`.",
                files.refusal,
            )
    return files


def is_module_source(name: str | os.PathLike[str]) -> bool:
    """Tell whether a name is a SavedModel's directory, an archive or the URL of a module."""
    name = os.fspath(name)
    if name.startswith(_HANDLES):
        return True
    if os.path.isdir(name):
        return _holds_module(name)
    return name.endswith(_ARCHIVES) and os.path.isfile(name)


def resolve_module(source: str | os.PathLike[str], trust: bool = False) -> ModuleFiles:
    """Find, unpack or download a SavedModel.

    Args:
        source: A directory with `saved_model.pb`; a `.tar.gz`, `.tgz` or `.tar` of one; or a
            handle such as `https://tfhub.dev/...` or `https://www.kaggle.com/models/...`.
        trust: Whether the user trusts its author.

    Raises:
        InputError: If there's no SavedModel there, the archive reaches outside its folder, or
            the download fails.
    """
    source = os.fspath(source)
    if source.startswith(_HANDLES):
        path = download_module(source)
    elif source.endswith(_ARCHIVES) and not os.path.isdir(source):
        return _unpack(source, trust)
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
    return ModuleFiles(os.path.abspath(path), source, trusted=trust)


def _holds_module(path: str) -> bool:
    return os.path.isfile(os.path.join(path, "saved_model.pb"))


def _unpack(source: str, trust: bool) -> ModuleFiles:
    """Extract an archive into a temporary folder that goes with the result."""
    temporary = unpack_archive(source)
    found = [folder for folder, _, _ in os.walk(temporary.name) if _holds_module(folder)]
    if len(found) != 1:
        temporary.cleanup()
        raise InputError(
            f"source: expected one SavedModel in the archive {source!r} (a folder with "
            f"saved_model.pb), found {len(found)}. Extract it and pass the folder you mean."
        )
    return ModuleFiles(found[0], source, temporary, trust)
