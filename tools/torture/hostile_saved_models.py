"""SavedModels that would act outside of their graph, one for every operation that could.

The operations come from TensorFlow's registry, so a new version brings its own. Each is put, by
turns, where a SavedModel can hide it. Nothing here is run: the files are protobufs, and most
would not load.
"""

import dataclasses
import pathlib
import random
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator

from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.client import pywrap_tf_session

from tl_keras.backbones.module_source import ModuleFiles

_HARMLESS = """
    AnonymousHashTable AnonymousMutableDenseHashTable AnonymousMutableHashTable
    AnonymousMutableHashTableOfTensors HashTable HashTableV2 InitializeTableV2 LookupTableExportV2
    LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableRemoveV2
    LookupTableSizeV2 MutableDenseHashTable MutableDenseHashTableV2 MutableHashTable
    MutableHashTableOfTensors MutableHashTableOfTensorsV2 MutableHashTableV2

    AssignAddVariableOp AssignSubVariableOp AssignVariableOp DestroyResourceOp DisableCopyOnRead
    IsVariableInitialized ReadVariableOp ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterDiv ResourceScatterMax ResourceScatterMin ResourceScatterMul
    ResourceScatterNdAdd ResourceScatterNdMax ResourceScatterNdMin ResourceScatterNdSub
    ResourceScatterNdUpdate ResourceScatterSub ResourceScatterUpdate ResourceStridedSliceAssign
    VarHandleOp VarIsInitializedOp Variable VariableShape VariableV2

    TensorArrayCloseV3 TensorArrayConcatV3 TensorArrayGatherV3 TensorArrayReadV3
    TensorArrayScatterV3 TensorArraySizeV3 TensorArraySplitV3 TensorArrayV3 TensorArrayWriteV3

    Multinomial NonDeterministicInts ParameterizedTruncatedNormal RandomGamma RandomPoisson
    RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform RandomUniformInt
    RngReadAndSkip RngSkip SampleDistortedBoundingBox SampleDistortedBoundingBoxV2
    StatefulRandomBinomial StatefulStandardNormal StatefulStandardNormalV2
    StatefulTruncatedNormal StatefulUniform StatefulUniformFullInt StatefulUniformInt
    StatelessRandomGetAlg TruncatedNormal CudnnRNN CudnnRNNV2 CudnnRNNV3

    Assert Case CheckNumerics CheckNumericsV2 If PartitionedCall StatefulPartitionedCall
    StatelessCase StatelessIf StatelessWhile While ShardedFilename ShardedFilespec

    ConcatenateDataset DatasetToSingleElement IgnoreErrorsDataset MapDataset TakeDataset
    TensorDataset
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Operations that look hostile and act on variables, tables, lists and random numbers of this
process alone, call functions, check, only write the name of a file, or make pipelines of what the
graph holds."""

_ARGUMENTS = re.compile(
    r"(^|_)(file|files|filename|filenames|filepattern|path|paths|directory|prefix|prefixes|vocab"
    r"|url|urls|address|addresses|target|mlir_module|module|descriptor_source|memory_region_name"
    r"|debug_ops_spec|f|body|cond|func|predicate|token|key|container_name)($|_)"
)
_NOT_FILES = re.compile(r"^(top_paths|key|keys|.*_key|.*_keys|target_type|cond|prefix_.*)$")
_NAMES = re.compile(
    r"Dataset|Iterator|Summary|Rpc|Collective|Reader|PyFunc|Debug|TPU|Nccl|Print|Dump|File|Send"
    r"|Recv|Queue|Infeed|Outfeed|Mlir|CustomCall|RemoteCall|^Save|^Restore|^Merge.*Checkpoint"
    r"|^Xla(Launch|CallModule|HostCompute)"
)
_CHECKPOINT = ("SaveV2", "RestoreV2", "MergeV2Checkpoints")
_FUNCTION = "__inference_hostile_7"


@dataclasses.dataclass(frozen=True)
class Case:
    """A hostile SavedModel.

    Attributes:
        name: The operation and where it is.
        proto: The SavedModel.
    """

    name: str
    proto: saved_model_pb2.SavedModel

    def write(self, folder: pathlib.Path) -> pathlib.Path:
        """Write it as the directory of a SavedModel."""
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(self.proto.SerializeToString())
        return folder

    def write_keras(self, path: pathlib.Path, template: pathlib.Path) -> pathlib.Path:
        """Write it into a `.keras` file in place of the SavedModel of another file."""
        return replace_graph(path, template, self.proto.SerializeToString())

    def is_refused(self, folder: pathlib.Path) -> bool:
        """Tell whether the library refuses it, written to a new folder that is removed again."""
        try:
            return ModuleFiles(str(self.write(folder)), self.name).refusal is not None
        finally:
            shutil.rmtree(folder)


def replace_graph(path: pathlib.Path, template: pathlib.Path, graph: bytes) -> pathlib.Path:
    """Copy a `.keras` file with another `saved_model.pb` inside."""
    with zipfile.ZipFile(template) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, graph if name.endswith("/saved_model.pb") else old.read(name))
    return path


def registered_operations() -> list[op_def_pb2.OpDef]:
    """Return every operation that this TensorFlow registers."""
    found = op_def_pb2.OpList()
    buffer = pywrap_tf_session.TF_GetAllOpList()
    found.ParseFromString(pywrap_tf_session.TF_GetBuffer(buffer))
    return list(found.op)


def may_act_outside(operation: op_def_pb2.OpDef) -> bool:
    """Tell whether an operation is stateful, or looks as if it took files, addresses or code."""
    arguments = [one.name for one in (*operation.input_arg, *operation.attr)]
    named = any(_ARGUMENTS.search(one) and not _NOT_FILES.search(one) for one in arguments)
    return operation.is_stateful or named or bool(_NAMES.search(operation.name))


def hostile_operations() -> list[str]:
    """Return the names of the operations that no SavedModel may use without being trusted."""
    return sorted(
        one.name
        for one in registered_operations()
        if may_act_outside(one) and one.name not in HARMLESS
    )


def honest() -> saved_model_pb2.SavedModel:
    """Return a SavedModel that does nothing: one signature, one function, one object."""
    proto = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    graph = proto.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    graph.object_graph_def.nodes.add().user_object.identifier = "_generic_user_object"
    graph.graph_def.node.add(name="x", op="Placeholder")
    graph.graph_def.node.add(name="y", op="StatefulPartitionedCall", input=["x"])
    _add_function(graph, _FUNCTION, "NoOp")
    graph.graph_def.node[1].attr["f"].func.name = _FUNCTION
    signature = graph.signature_def["serving_default"]
    signature.inputs["x"].name, signature.outputs["y"].name = "x:0", "y:0"
    return proto


def cases(seed: int = 0) -> Iterator[Case]:
    """Yield the hostile SavedModels, at least one for each operation, in an order of the seed."""
    generator = random.Random(seed)
    operations = hostile_operations()
    generator.shuffle(operations)
    for index, operation in enumerate(operations):
        if operation in _CHECKPOINT:
            continue
        yield _case(PLACES[index % len(PLACES)], operation)
    for operation in _CHECKPOINT:
        for place in PLACES_OF_CHECKPOINT:
            yield _case(place, operation)
    yield from (_case(place, "WriteFile") for place in PLACES)


def _case(place: Callable, operation: str) -> Case:
    proto = honest()
    place(proto, operation)
    return Case(f"{operation} in {place.__name__}", proto)


def _add_function(graph: meta_graph_pb2.MetaGraphDef, name: str, operation: str):
    function = graph.graph_def.library.function.add()
    function.signature.name = name
    function.node_def.add(name="node", op=operation)
    return function


def main_graph(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Run the operation before the signature's output."""
    graph = proto.meta_graphs[0].graph_def
    graph.node.add(name="hostile", op=operation)
    graph.node[1].input.append("^hostile")


def called_function(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into the function that the signature calls."""
    proto.meta_graphs[0].graph_def.library.function[0].node_def.add(name="hostile", op=operation)


def uncalled_function(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into a function that nothing names."""
    _add_function(proto.meta_graphs[0], "__inference_other_8", operation)


def initialiser(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into the `_initialize` of a resource, which loading calls."""
    graph = proto.meta_graphs[0]
    _add_function(graph, "__inference_initialize_9", operation)
    objects = graph.object_graph_def
    objects.nodes.add().resource.device = ""
    objects.nodes[0].children.add(node_id=1, local_name="resource")
    objects.nodes[1].children.add(node_id=2, local_name="_initialize")
    objects.nodes.add().function.concrete_functions.append("__inference_initialize_9")


def initial_operation(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Run the operation when a SavedModel of TensorFlow 1 is loaded."""
    graph = proto.meta_graphs[0]
    graph.ClearField("object_graph_def")
    graph.graph_def.node.add(name="hostile", op=operation)
    graph.graph_def.node.add(name="group", op="NoOp", input=["^hostile"])
    graph.collection_def["saved_model_main_op"].node_list.value.append("group")


def nested_attribute(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Name the operation as a function, in an attribute of a function in a list of functions."""
    node = proto.meta_graphs[0].graph_def.node.add(name="hostile", op="Case")
    outer = node.attr["branches"].list.func.add(name=_FUNCTION)
    outer.attr["f"].func.name = operation


def function_with_its_name(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Call a function that has the operation's name."""
    _add_function(proto.meta_graphs[0], operation, "NoOp")
    main_graph(proto, operation)


def gradient(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into the gradient of the function."""
    graph = proto.meta_graphs[0]
    _add_function(graph, "__inference_gradient_10", operation)
    graph.graph_def.library.registered_gradients.add(
        gradient_func="__inference_gradient_10", registered_op_type="CustomGradient-1"
    )


def second_graph(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into another MetaGraph."""
    other = honest()
    main_graph(other, operation)
    other.meta_graphs[0].meta_info_def.tags[0] = "train"
    proto.meta_graphs.append(other.meta_graphs[0])


def replacement(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Put the operation into a function that TensorFlow may call in place of another."""
    graph = proto.meta_graphs[0]
    function = _add_function(graph, "__inference_other_8", operation)
    for one in (function, graph.graph_def.library.function[0]):
        one.attr["api_implements"].s = b"lstm"


def variable_value(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Run the operation for the first value of a variable of TensorFlow 1."""
    graph = proto.meta_graphs[0]
    graph.graph_def.node.add(name="hostile", op=operation)
    # The fields initial_value_name (6) and variable_name (1) of a VariableDef.
    graph.collection_def["variables"].bytes_list.value.append(b"\x0a\x01v\x32\x09hostile:0")


def restoring(proto: saved_model_pb2.SavedModel, operation: str) -> None:
    """Restore a SavedModel of TensorFlow 1 by the operation, from a path in the graph."""
    graph = proto.meta_graphs[0]
    graph.ClearField("object_graph_def")
    graph.graph_def.node.add(name="path", op="Const")
    graph.graph_def.node.add(name="other_path", op="Const")
    graph.graph_def.node.add(name="hostile", op=operation, input=["other_path"])
    graph.saver_def.filename_tensor_name = "path:0"
    graph.saver_def.restore_op_name = "hostile"


PLACES = (
    *(main_graph, called_function, uncalled_function, initialiser, initial_operation),
    *(nested_attribute, function_with_its_name, gradient, second_graph, replacement),
)
PLACES_OF_CHECKPOINT = (
    *(main_graph, called_function, initialiser, initial_operation, nested_attribute),
    *(function_with_its_name, gradient, second_graph, replacement, variable_value, restoring),
)
