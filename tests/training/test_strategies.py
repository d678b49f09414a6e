import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data.rows import Epochs, Part, row_batches
from tl_keras.training.distributed.agreement import (
    check_agreement,
    from_chief,
    several_workers,
    shared_statistics,
)
from tl_keras.training.distributed.lost_workers import readable_worker_errors, what_was_lost
from tl_keras.training.distributed.strategies import (
    distribute,
    give_back,
    is_chief,
    resolve_strategy,
    under_strategy,
)
from tl_keras.training.step.empty_shares import filled
from tl_keras.utils.errors import InputError, WorkerLost

TWO_WORKERS = json.dumps(
    {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 0}}
)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)


def test_names_of_strategies(two_devices):
    default = tf.distribute.get_strategy()
    assert resolve_strategy("auto") is default
    assert resolve_strategy("one_device") is default
    assert resolve_strategy(two_devices) is two_devices
    with two_devices.scope():
        assert resolve_strategy("auto") is two_devices
        with pytest.raises(InputError, match="inside the scope of another strategy"):
            resolve_strategy(tf.distribute.OneDeviceStrategy("CPU:0"))
    with pytest.raises(InputError, match=r"got 'multi_workers'\. Did you mean 'multi_worker'"):
        resolve_strategy("multi_workers")


def test_several_workers_need_tf_config(monkeypatch):
    with pytest.raises(InputError, match="'multi_worker' needs the environment variable TF_CONFIG"):
        resolve_strategy("multi_worker")
    monkeypatch.setenv("TF_CONFIG", TWO_WORKERS)
    with pytest.raises(InputError, match="'one_device' would train the same model 2 times"):
        resolve_strategy("one_device")


@pytest.mark.parametrize("name", ["auto", "multi_worker"])
def test_a_process_that_has_used_tensorflow_is_told_to_join_earlier(monkeypatch, name):
    tf.constant(1)
    monkeypatch.setenv("TF_CONFIG", TWO_WORKERS)
    with pytest.raises(InputError, match=r"Call tl.join_cluster\(\) in the first line"):
        resolve_strategy(name)


def batches(count: int, size: int, epochs: Epochs | None = None):
    values = tf.range(count)
    return lambda part: row_batches(count, size, epochs, part).map(lambda r: tf.gather(values, r))


@pytest.mark.parametrize("count", [45, 41, 40])
def test_replicas_get_the_shares_of_each_batch(two_devices, count):
    """With 41 examples, the second replica has nothing of the last batch."""
    shares = [
        [list(value.numpy()) for value in two_devices.experimental_local_results(element)]
        for element in distribute(two_devices, batches(count, 8))
    ]
    whole = [np.arange(count)[start : start + 8] for start in range(0, count, 8)]
    assert shares == [[list(part) for part in np.array_split(batch, 2)] for batch in whole]


def test_one_device_gets_the_batches_as_they_are():
    strategy = tf.distribute.get_strategy()
    seen = [list(batch.numpy()) for batch in distribute(strategy, batches(10, 4))]
    assert seen == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_every_worker_numbers_its_replicas_among_all(two_devices):
    """As in the second of three workers with two devices each."""

    class Worker:
        num_replicas_in_sync = 6
        extended = object()

        def distribute_datasets_from_function(self, function):
            return function(tf.distribute.InputContext(3, 1, 6))

    made = []

    def make(part):
        made.append(part)
        return tf.data.Dataset.range(3).map(lambda step: 10 * part.index + step)

    elements = list(distribute(Worker(), make).as_numpy_iterator())
    assert made == [Part(2, 6), Part(3, 6)]
    assert elements == [20, 30, 21, 31, 22, 32]


def test_the_flag_that_makes_replicas_wait_for_each_other_comes_back(two_devices):
    before = two_devices.extended.experimental_enable_get_next_as_optional
    distribute(two_devices, batches(8, 8))
    assert two_devices.extended.experimental_enable_get_next_as_optional is before is True


def test_a_process_of_its_own_is_the_chief_and_agrees_with_itself(two_devices):
    for strategy in (tf.distribute.get_strategy(), two_devices):
        assert is_chief(strategy)
        assert not several_workers(strategy)
        values = [np.arange(3), np.float32(2)]
        for ours, theirs in zip(values, from_chief(strategy, values), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        check_agreement(strategy, {"batch_size": 8})


def test_a_copy_under_a_strategy_brings_its_weights_home(two_devices):
    model = tl.build_transfer_model(tiny_network(), 3)
    assert under_strategy(model, tf.distribute.get_strategy()) is model
    copy = under_strategy(model, two_devices)
    assert under_strategy(copy, two_devices) is copy
    for weight in copy.weights:
        weight.assign(weight.numpy() + 1)
    before = [weight.numpy() for weight in model.weights]
    give_back(copy, model)
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_allclose(weight.numpy(), old + 1)


def test_statistics_of_uneven_shares_are_those_of_the_whole_batch(two_devices):
    images = np.random.default_rng(0).normal(3, 2, (5, 4, 4, 3)).astype("float32")
    layer = keras.layers.BatchNormalization(momentum=0.5)
    alone = keras.Sequential([keras.Input((4, 4, 3)), layer])
    together = keras.models.clone_model(alone)
    expected = alone(images, training=True).numpy()
    together = under_strategy(together, two_devices)
    shares = distribute(
        two_devices, lambda part: tf.data.Dataset.from_tensors(images[part.index :: part.count])
    )

    @tf.function
    def run(x):
        return two_devices.run(lambda x: together(x, training=True), args=(x,))

    with shared_statistics(together, two_devices):
        assert together.layers[0].synchronized
        outputs = two_devices.experimental_local_results(run(next(iter(shares))))
    assert not together.layers[0].synchronized
    for index, output in enumerate(outputs):
        np.testing.assert_allclose(output, expected[index::2], atol=1e-5)
    for ours, theirs in zip(together.weights, alone.weights, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)


def test_an_empty_batch_is_filled_and_not_real():
    x, y = tf.zeros([0, 4, 4, 3], tf.uint8), {"a": tf.zeros([0, 2]), "b": tf.zeros([0, 1])}
    batch, real = tf.function(lambda x, y: filled((x, y)))(x, y)
    assert not real
    assert [tuple(tensor.shape) for tensor in tf.nest.flatten(batch)] == [
        (1, 4, 4, 3),
        (1, 2),
        (1, 1),
    ]
    given = tf.ones([2, 3])
    same, real = filled(given)
    assert real
    np.testing.assert_array_equal(same, given)


UNHEALTHY = (
    "Collective ops is aborted by: Error reported from /job:worker/task:0: The following tasks are "
    "unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:1\nThe tasks have crashed."
)
UNREACHABLE = (
    "{{function_node CollectiveBcastRecv_device_/job:worker/replica:0/task:0/device:CPU:0}} "
    "Collective ops is aborted by: Socket closed\nAdditional GRPC error information from remote "
    "target /job:worker/replica:0/task:1 while calling /tensorflow.WorkerService/CompleteGroup"
)
REPORTED = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: tl_keras worker 1: "
    "InputError: no images.\nThe error could be from a previous operation."
)
RELAYED = (
    "Collective ops is aborted by: Collective ops is aborted by: tl_keras worker 1: it was told "
    "to\nAdditional GRPC error information from remote target /job:worker/replica:0/task:1"
)
RESTARTED = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: /job:worker/replica:0/"
    "task:1 unexpectedly tried to connect with a different incarnation. It has likely restarted."
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (RELAYED, "worker 1 (b:2) stopped: it was told to. The other workers stop too."),
        (RESTARTED, "worker 1 (b:2) was restarted while others trained. The other workers"),
        (UNHEALTHY, "worker 1 (b:2) cannot be reached any more; its own log says why."),
        (UNREACHABLE, "worker 1 (b:2) cannot be reached any more; its own log says why."),
        (REPORTED, "worker 1 (b:2) stopped: InputError: no images. The other workers stop too."),
        ("Collective ops is aborted by: recvmsg", "a worker cannot be reached any more"),
    ],
)
def test_lost_workers_in_words(monkeypatch, message, expected):
    monkeypatch.setenv("TF_CONFIG", TWO_WORKERS)
    assert expected in what_was_lost(message)
    lost = pytest.raises(WorkerLost, match="goes on from its last checkpoint")
    with lost, readable_worker_errors():
        raise tf.errors.UnavailableError(None, None, message)


def test_other_errors_stay_what_they_are():
    elsewhere = tf.errors.UnavailableError(None, None, "storage: Connection reset by peer")
    for error in (elsewhere, InputError("bad"), KeyError(), SystemExit(143)):
        with pytest.raises(type(error)), readable_worker_errors():
            raise error
