"""Hostile `.keras` files without a SavedModel inside: configs, weights and archives that lie."""

import base64
import copy
import io
import json
import marshal
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

__all__ = ["cases"]

_BOMB = 3 * 2**28
_OUTSIDE = (
    *("os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "pathlib.Path.touch"),
    *("keras.utils.get_file", "keras.saving.load_model", "keras.src.saving.saving_lib.load_model"),
    *("tensorflow.io.write_file", "numpy.fromfile", "runpy.run_path", "shutil.rmtree"),
    *("keras.layers.TFSMLayer", "keras.config.enable_unsafe_deserialization"),
    *("tl_keras.utils.writing.write_bytes", "tl_keras.backbones.saved_model.SavedModelBackbone"),
)


def cases(
    honest: Path, written: Path, seed: int = 0
) -> Iterator[tuple[str, bytes | Callable[[], bytes]]]:
    """Yield names and files, or what makes a file: bombs take seconds.

    Each has to be refused, and must not write `written`, but for those whose name begins with
    `"flip/"`: a single bit of `honest` is another there, and if that doesn't matter, the file
    loads.

    Args:
        honest: A `.keras` file of a functional model whose second layer is a `Conv2D`.
        written: A path that the files try to write to.
        seed: Of the bits that are flipped and of the places where files are cut.
    """
    chosen = random.Random(seed)
    with zipfile.ZipFile(honest) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for family in (_layers, _shapes, _json, _weights, _members):
        for name, changed in family(members, str(written)):
            yield name, changed if isinstance(changed, bytes) else partial(_zipped, changed)
    whole = honest.read_bytes()
    for length in sorted(chosen.sample(range(len(whole)), 15)):
        yield f"cut/{length}", whole[:length]
    for number in range(5):
        yield f"other/chance {number}", chosen.randbytes(2000)
    for bit in sorted(chosen.sample(range(8 * len(whole)), 60)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"flip/{bit}", bytes(flipped)


def _zipped(members: dict[str, bytes] | Callable[[], dict[str, bytes]]) -> bytes:
    members = members() if callable(members) else members
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _with_config(members: dict[str, bytes], change: Callable[[dict], Any]) -> dict[str, bytes]:
    config = json.loads(members["config.json"])
    changed = change(config)
    return {**members, "config.json": json.dumps(changed or config).encode()}


def _convolution(config: dict) -> dict:
    """Return the description of the layer that the cases change."""
    return next(layer for layer in _layers_of(config) if layer["class_name"] == "Conv2D")


def _layers_of(config: Any) -> Iterator[dict]:
    if isinstance(config, dict):
        if "class_name" in config and "config" in config:
            yield config
        for value in config.values():
            yield from _layers_of(value)
    elif isinstance(config, list):
        for value in config:
            yield from _layers_of(value)


def _layers(members: dict[str, bytes], written: str) -> Iterator[tuple[str, Any]]:
    """Classes and functions that a config must not reach."""
    for dotted in _OUTSIDE:
        module, _, name = dotted.rpartition(".")

        def as_layer(config: dict, module: str = module, name: str = name) -> None:
            arguments = {"path": written, "filepath": written, "args": [f"touch {written}"]}
            new = {"module": module, "class_name": name, "registered_name": None}
            _convolution(config).update(new, config=arguments)

        def as_activation(config: dict, module: str = module, name: str = name) -> None:
            function = {"module": module, "class_name": "function", "config": name}
            _convolution(config)["config"]["activation"] = {**function, "registered_name": name}

        yield f"layer/{dotted}", _with_config(members, as_layer)
        yield f"activation/{dotted}", _with_config(members, as_activation)

    code = _code_that_writes(written)

    def as_lambda(config: dict) -> None:
        layer = {"name": "evil", "function": code, "output_shape": [3], "arguments": {}}
        _convolution(config).update(module="keras.layers", class_name="Lambda", config=layer)

    def as_function(config: dict) -> None:
        _convolution(config)["config"]["activation"] = code

    yield "layer/Lambda", _with_config(members, as_lambda)
    yield "activation/lambda", _with_config(members, as_function)
    yield (
        "compiled/function",
        _with_config(
            members,
            lambda config: config.update(compile_config={"optimizer": code, "loss": "mse"}),
        ),
    )


def _code_that_writes(path: str) -> dict:
    """Return a function that makes a file, as Keras writes functions into configs."""
    space: dict[str, Any] = {}
    exec(f"def function(x):\n    open({path!r}, 'w').close()\n    return x", space)
    code = base64.b64encode(marshal.dumps(space["function"].__code__)).decode()
    arguments = {"code": code, "defaults": None, "closure": None}
    return {"class_name": "__lambda__", "config": arguments}


def _shapes(members: dict[str, bytes], written: str) -> Iterator[tuple[str, Any]]:
    """Numbers that would fill memory or time, and values that are none."""
    values = {
        "filters": (10**9, -1, 0, 2.5, "many", None, [4]),
        "kernel_size": ([30_000, 30_000], 10**9, [0, 0], "large", None),
        "strides": ([0, 0], -1, "far"),
        "groups": (0, 7, 10**9),
        "dtype": ("float1", "complex128", 3, {}),
        "padding": ("none", 3),
        "kernel_initializer": ("os.system", 3, {"class_name": "Constant", "config": {}}),
        "name": ("../outside", "a/b", "\x1b[2J", "", 3),
    }
    for key, others in values.items():
        for value in others:

            def change(config: dict, key: str = key, value: Any = value) -> None:
                _convolution(config)["config"][key] = value

            yield f"value/{key} {str(value)[:20]!r}", _with_config(members, change)


def _json(members: dict[str, bytes], written: str) -> Iterator[tuple[str, Any]]:
    """Configs that are none, that are deep, or that are large."""
    contents = {
        "nothing": b"",
        "null": b"null",
        "a list": b"[]",
        "a text": b'"model"',
        "an empty dict": b"{}",
        "nested": b"[" * 10**5,
        "nested dicts": b'{"a":' * 10**5 + b"1" + b"}" * 10**5,
        "not UTF-8": b"\xff\xfe{}",
        "a number of 10,000 digits": b"9" * 10_000,
        "cut": members["config.json"][:-20],
        "spaces": b" " * 2**26 + members["config.json"],
    }
    for name, content in contents.items():
        yield f"config/{name}", {**members, "config.json": content}
        if name != "spaces":
            yield f"metadata/{name}", {**members, "metadata.json": content}

    def nested(config: dict) -> dict:
        inner = copy.deepcopy(config)
        for _ in range(60):
            outer = {"name": "outer", "layers": [inner], "trainable": True}
            inner = {"module": "keras", "class_name": "Sequential", "config": outer}
        return inner

    yield "config/60 models in each other", _with_config(members, nested)
    yield "config/cycle", _with_config(members, _cycle)


def _cycle(config: dict) -> None:
    """Let every layer take what the last one gives."""
    network = next(layer["config"] for layer in _layers_of(config) if "layers" in layer["config"])
    names = [layer["name"] for layer in network["layers"]]
    for layer in network["layers"][1:]:
        text = json.dumps(layer["inbound_nodes"])
        for name in names:
            text = text.replace(f'["{name}"', f'["{names[-1]}"')
        layer["inbound_nodes"] = json.loads(text)


def _weights(members: dict[str, bytes], written: str) -> Iterator[tuple[str, Any]]:
    """Weights that lie elsewhere, are of other shapes, or are no HDF5."""

    def replaced(change: Callable[[h5py.Group, str], None]) -> dict[str, bytes]:
        stream = io.BytesIO(members["model.weights.h5"])
        with h5py.File(stream, "a") as file:
            names: list[str] = []
            file.visititems(
                lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
            )
            change(file, names[0])
        return {**members, "model.weights.h5": stream.getvalue()}

    def outside(file: h5py.Group, name: str) -> None:
        del file[name]
        file[name] = h5py.ExternalLink("/etc/hostname", "/0")

    def stored_outside(file: h5py.Group, name: str) -> None:
        shape = file[name].shape
        del file[name]
        size = int(np.prod(shape)) * 4
        file.create_dataset(name, shape, "float32", external=[("/etc/passwd", 0, size)])

    def huge(file: h5py.Group, name: str) -> None:
        del file[name]
        file.create_dataset(name, (10**6, 10**6), "float32", chunks=(1000, 1000))

    def another(values: Any) -> Callable[[h5py.Group, str], None]:
        def change(file: h5py.Group, name: str) -> None:
            del file[name]
            if values is not None:
                file[name] = values

        return change

    yield "weights/link outside", replaced(outside)
    yield "weights/stored outside", replaced(stored_outside)
    yield "weights/huge", replaced(huge)
    yield "weights/missing", replaced(another(None))
    yield "weights/other shape", replaced(another(np.zeros((1, 2, 3), np.float32)))
    yield "weights/text", replaced(another("weights"))
    whole = members["model.weights.h5"]
    for name, content in {
        "nothing": b"",
        "chance": b"\x89HDF\r\n\x1a\n" + bytes(2000),
        "cut": whole[: len(whole) // 2],
        "zeros": bytes(len(whole)),
    }.items():
        yield f"weights/{name}", {**members, "model.weights.h5": content}


def _members(members: dict[str, bytes], written: str) -> Iterator[tuple[str, Any]]:
    """Archives that miss what they need, leave their folder, or inflate."""
    for name in members:
        yield f"archive/without {name}", {n: c for n, c in members.items() if n != name}
    yield "archive/empty", {}
    yield "archive/bomb", lambda: {**members, "assets/bomb": bytes(_BOMB)}
    yield "archive/weights bomb", lambda: {**members, "model.weights.h5": bytes(_BOMB)}
    yield "archive/config bomb", lambda: {**members, "config.json": b" " * _BOMB}
    for name in members:
        whole = _zipped(members)
        entry = whole.rindex(b"PK\1\2", 0, whole.rindex(name.encode()))
        for label, offset, value in (
            ("encrypted", 8, b"\1"),
            ("method 99", 10, b"\x63"),
            ("2 GB", 24, b"\xff\xff\xff\x7f"),
            ("checksum", 16, b"\0\0\0\0"),
            ("version 99", 6, b"\x63"),
        ):
            changed = bytearray(whole)
            changed[entry + offset : entry + offset + len(value)] = value
            yield f"archive/{label} {name}", bytes(changed)
