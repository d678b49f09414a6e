"""What a SavedModel may hold without being trusted, on protobufs alone."""

import itertools
import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.applications.efficientnet import EfficientNet
from tensorflow.core.protobuf import saved_model_pb2

from tl_keras.backbones.allowed_operations import ALLOWED, CHECKPOINT
from tl_keras.backbones.module_check import reason_to_refuse
from tl_keras.backbones.module_source import ModuleFiles, resolve_module
from tl_keras.utils.errors import InputError
from tools.torture import hostile_saved_models as hostile

OPERATIONS = {one.name: one for one in hostile.registered_operations()}


def test_every_operation_that_may_act_outside_is_off_the_list():
    allowed = [
        name
        for name, operation in OPERATIONS.items()
        if hostile.may_act_outside(operation) and name in ALLOWED - hostile.HARMLESS
    ]
    assert allowed == []
    assert not ALLOWED & CHECKPOINT
    assert {"PrintV2", "ReadFile", "SaveV2", "ImmutableConst", "EagerPyFunc", "CSVDatasetV2"} <= {
        *hostile.hostile_operations()
    }
    assert len(hostile.hostile_operations()) > 600


def test_allowed_operations_take_functions_only_to_call_them():
    taking = {
        name
        for name in ALLOWED
        if any(one.type in ("func", "list(func)") for one in OPERATIONS[name].attr)
    }
    branches = {"Case", "If", "While"}
    calls = {"PartitionedCall", "StatefulPartitionedCall", "MapDataset"}
    assert taking == branches | {f"Stateless{name}" for name in branches} | calls


def test_hostile_saved_models_are_refused(tmp_path):
    found = list(hostile.cases(seed=0))
    assert len(found) > 600
    accepted = [case.name for case in found if not reason_to_refuse(case.proto.meta_graphs)]
    accepted += [one.name for one in found[::20] if not one.is_refused(tmp_path / "case")]
    assert accepted == []
    assert reason_to_refuse(hostile.honest().meta_graphs) is None
    assert {case.name.partition(" in ")[0] for case in found} >= set(hostile.hostile_operations())


def test_cases_are_those_of_the_seed():
    names = [[case.name for case in itertools.islice(hostile.cases(n), 50)] for n in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("operations", "text"),
    [
        (["PrintV2"], r"\(PrintV2\)$"),
        ([*"EDCBA", "Own>Op"], r"\(A, B, C, D and 2 more\)$"),
        (["\x1b[31mred"], r"\(\\x1b\[31mred\)$"),
    ],
)
def test_a_refusal_names_a_few_operations(operations, text):
    proto = hostile.honest()
    for operation in operations:
        hostile.main_graph(proto, operation)
    assert re.search(text, reason_to_refuse(proto.meta_graphs))


def constant(proto):
    node = proto.meta_graphs[0].graph_def.node.add(name="c", op="Const")
    tensor = node.attr["value"].tensor
    tensor.dtype = tf.float32.as_datatype_enum
    return tensor


def test_constants_that_fill_memory_or_refer_to_resources():
    large, fitting, handle = (hostile.honest() for _ in range(3))
    for proto, side in ((large, 2**30), (fitting, 2**13)):
        for _ in range(2):
            constant(proto).tensor_shape.dim.add(size=side)
    constant(large).tensor_shape.dim.add(size=2**30)
    constant(handle).resource_handle_val.add(name="other_model", container="localhost")
    assert reason_to_refuse(fitting.meta_graphs) is None
    for proto in (large, handle):
        assert "constants of more than 2 GiB or of handles" in reason_to_refuse(proto.meta_graphs)


def test_objects_of_registered_python_classes():
    proto = hostile.honest()
    node = proto.meta_graphs[0].object_graph_def.nodes.add()
    node.registered_name = "tf.TrackableConstant"
    assert reason_to_refuse(proto.meta_graphs) is None
    node.registered_name = "Other.Class"
    assert "Python classes (Other.Class)" in reason_to_refuse(proto.meta_graphs)


def test_files_that_are_no_protobuf(tmp_path):
    graph = hostile.honest().SerializeToString()
    for content in (graph[:-3], b"\xff" * 100, b"\x12\x02\x12\x7f"):
        (tmp_path / "saved_model.pb").write_bytes(content)
        with pytest.raises(InputError, match="damaged or cut short"):
            ModuleFiles(str(tmp_path), "x").check()
    with open(tmp_path / "saved_model.pb", "wb") as file:
        file.truncate(2**31)  # Sparse: it takes no disk.
    with pytest.raises(InputError, match="2,147,483,648 bytes are more than a protobuf has"):
        ModuleFiles(str(tmp_path), "x").check()
    (tmp_path / "saved_model.pb").write_bytes(graph)
    ModuleFiles(str(tmp_path), "x").check()
    (tmp_path / "saved_model.cpb").write_bytes(b"")
    with pytest.raises(InputError, match="a second graph"):
        ModuleFiles(str(tmp_path), "x").check()


def test_attributes_within_attributes_end(tmp_path):
    proto = hostile.honest()
    function = proto.meta_graphs[0].graph_def.node[1].attr["f"].func
    for _ in range(40):
        function = function.attr["f"].func
        function.name = proto.meta_graphs[0].graph_def.node[1].attr["f"].func.name
    assert reason_to_refuse(proto.meta_graphs) is None
    function.attr["f"].list.func.add(name="WriteFile")
    assert "calls 'WriteFile'" in reason_to_refuse(proto.meta_graphs)


LAYERS = keras.layers


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ((6, 3), [LAYERS.Bidirectional(LAYERS.LSTM(2, return_sequences=True)), LAYERS.GRU(2)]),
        (
            (8, 8, 3),
            [
                *(LAYERS.RandomRotation(0.1), LAYERS.RandomZoom(0.1), LAYERS.Resizing(4, 4)),
                *(LAYERS.SeparableConv2D(2, 3), LAYERS.BatchNormalization()),
                *(LAYERS.Activation("silu"), LAYERS.Conv2DTranspose(2, 3)),
                *(LAYERS.Dropout(0.5), LAYERS.MaxPooling2D()),
            ],
        ),
        ((1000,), [LAYERS.MelSpectrogram()]),
    ],
)
def test_layers_of_keras_need_no_trust(shape, layers, tmp_path):
    keras.Sequential([keras.Input(shape), *layers]).export(tmp_path / "x", verbose=False)
    assert resolve_module(tmp_path / "x").refusal is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNetV3Small", "EfficientNet"])
def test_applications_need_no_trust(name, tmp_path):
    arguments = {"weights": None, "include_top": False, "input_shape": (32, 32, 3)}
    if name == "EfficientNet":  # One of each kind of block.
        network = EfficientNet(0.2, 0.1, 32, **arguments)
    else:
        network = getattr(keras.applications, name)(**arguments)
    network.export(tmp_path / "x", verbose=False)
    assert resolve_module(tmp_path / "x").refusal is None


def test_vocabularies_in_the_graph_need_no_trust_and_those_in_files_do(tmp_path):
    words = tf.constant(["a", "b"])
    (tmp_path / "words.txt").write_text("a\nb\n")
    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    initializers = {
        "graph": tf.lookup.KeyValueTensorInitializer(words, tf.constant([0, 1], tf.int64)),
        "file": tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"), tf.string, whole, tf.int64, number
        ),
    }
    for name, initializer in initializers.items():
        module = tf.Module()
        module.table = tf.lookup.StaticHashTable(initializer, -1)
        module.serve = tf.function(
            module.table.lookup, input_signature=[tf.TensorSpec([None], tf.string)]
        )
        tf.saved_model.save(module, str(tmp_path / name), signatures=module.serve)
    assert resolve_module(tmp_path / "graph").refusal is None
    assert "InitializeTableFromTextFileV2" in resolve_module(tmp_path / "file").refusal


def test_reading_leaves_the_graph_as_it_is(tmp_path):
    module = tf.Module()
    module.v = tf.Variable(np.ones(3, "float32"))
    tf.saved_model.save(module, str(tmp_path / "x"))
    content = (pathlib.Path(tmp_path) / "x" / "saved_model.pb").read_bytes()
    proto = saved_model_pb2.SavedModel.FromString(content)
    before = proto.SerializeToString(deterministic=True)
    assert reason_to_refuse(proto.meta_graphs) is None
    assert proto.SerializeToString(deterministic=True) == before
