"""The digest of a computation depends on what is computed and not on names."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import tiny_network
from tl_keras.frozen.function_digest import _digest_of_nodes, function_digest, trace

IMAGES = tf.TensorSpec([None, 16, 16, 3], tf.uint8)


def digest_of(network, spec=IMAGES, **keywords):
    return function_digest(
        trace(lambda x: network(tf.cast(x, tf.float32), training=False), spec), **keywords
    )


def unnamed_network():
    keras.utils.set_random_seed(3)
    layers = [keras.layers.Conv2D(4, 3), keras.layers.ReLU(), keras.layers.Conv2D(2, 3)]
    return keras.Sequential([keras.Input((16, 16, 3)), *layers])


def test_automatic_names_make_no_difference():
    first, second = unnamed_network(), unnamed_network()
    assert first.layers[0].name != second.layers[0].name
    assert digest_of(first) == digest_of(second)


@pytest.mark.slow
def test_another_process_gives_the_same_digest():
    code = (
        "from tests.training.test_function_digest import *\n"
        "[unnamed_network() for _ in range(3)]\n"
        "print(digest_of(unnamed_network()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.split()[-1] == digest_of(unnamed_network())


def test_the_order_of_control_inputs_makes_no_difference():
    network = unnamed_network()
    graph = trace(lambda x: network(x, training=False), tf.TensorSpec([1, 16, 16, 3])).graph
    nodes = graph.as_graph_def().node
    places = {node.name: str(index) for index, node in enumerate(nodes)}
    before = _digest_of_nodes(nodes, places, {}, {})
    (waits,) = [node for node in nodes if node.op == "NoOp"]
    assert len(waits.input) == 4 and all(name.startswith("^") for name in waits.input)
    waits.input[:] = waits.input[::-1]
    assert _digest_of_nodes(nodes, places, {}, {}) == before
    (convolution, _) = [node for node in nodes if node.op == "Conv2D"]
    convolution.input[:] = convolution.input[::-1]
    assert _digest_of_nodes(nodes, places, {}, {}) != before


def test_every_weight_counts():
    network = tiny_network()
    digests = {digest_of(network)}
    for weight in network.weights:
        value = weight.numpy()
        value.flat[-1] += 1e-3
        weight.assign(value)
        digests.add(digest_of(network))
    assert len(digests) == 1 + len(network.weights)


def test_values_can_be_left_out():
    assert digest_of(tiny_network(0), with_values=False) == digest_of(
        tiny_network(1), with_values=False
    )


class Scaled(keras.layers.Layer):
    """A layer whose configuration does not tell what it does."""

    factor = 2.0

    def call(self, x):
        return self.factor * x


def test_code_and_constants_count():
    layer = Scaled()
    digests = {digest_of(layer)}
    layer.factor = 3.0
    digests.add(digest_of(layer))
    digests.add(digest_of(keras.layers.ReLU()))
    digests.add(digest_of(keras.layers.ReLU(max_value=6.0)))
    digests.add(digest_of(keras.layers.ReLU(), tf.TensorSpec([None, 17, 16, 3], tf.uint8)))
    digests.add(digest_of(keras.layers.ReLU(), tf.TensorSpec([None, 16, 16, 3], tf.float32)))
    assert len(digests) == 6


def test_normalisation_constants_count():
    digests = {digest_of(keras.layers.Normalization(mean=m, variance=1.0)) for m in (0.0, 0.5)}
    assert len(digests) == 2


def test_which_output_comes_first_counts():
    def forward(x):
        return x + 1, x * 2

    digests = {
        function_digest(trace(lambda x, way=way: forward(x)[::way], tf.TensorSpec([None])))
        for way in (1, -1)
    }
    assert len(digests) == 2


@pytest.mark.parametrize("factors", [(2.0, 2.0), (2.0, 3.0)])
def test_called_functions_count_by_what_they_do(factors):
    def digest(factor):
        inner = tf.function(lambda x: factor * x)
        return function_digest(trace(lambda x: inner(inner(x)), tf.TensorSpec([None])))

    assert (digest(factors[0]) == digest(factors[1])) == (factors[0] == factors[1])


def test_a_table_cannot_be_digested():
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(np.array([1, 2]), np.array([3, 4])), 0
    )
    concrete = trace(table.lookup, tf.TensorSpec([None], tf.int64))
    assert function_digest(concrete) is None


def test_mirrored_variables_can_be_digested(two_devices):
    with two_devices.scope():
        network = tiny_network()
    before = digest_of(network)
    network.get_layer("stem").bias.assign(np.ones(8))
    assert before is not None and digest_of(network) not in (None, before)
