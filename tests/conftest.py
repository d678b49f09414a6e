"""What every test relies on: quiet TensorFlow, two logical devices, and a tiny backbone."""

import atexit
import faulthandler
import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two test processes fill two cores: threads of NumPy's that wait for each other in a loop took more
# than half of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# The tests, and the processes that they start, share feature stores among themselves only.
os.environ["TL_KERAS_CACHE"] = tempfile.mkdtemp(prefix="tl_keras_tests_")

import keras
import numpy as np
import pytest
import tensorflow as tf

# Graphs are many objects and few cycles: looking for cycles as often as by default takes a tenth.
gc.freeze()
gc.set_threshold(100_000, 50, 1000)
atexit.register(shutil.rmtree, os.environ["TL_KERAS_CACHE"], ignore_errors=True)
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def tiny_network(seed: int = 0) -> keras.Model:
    """Return a small convolutional network with BatchNorm, dropout and a residual block."""
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    images = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(images)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for index in (1, 2):
        shortcut = x
        x = layers.Conv2D(8, 3, padding="same", name=f"block{index}_conv")(x)
        x = layers.BatchNormalization(name=f"block{index}_bn")(x)
        x = layers.Add(name=f"block{index}_add")([shortcut, x])
        x = layers.ReLU(name=f"block{index}_relu")(x)
    return keras.Model(images, x, name=f"tiny_{seed}")


@pytest.fixture(scope="session")
def two_devices() -> tf.distribute.MirroredStrategy:
    """The one strategy over both CPU devices.

    TensorFlow numbers the collectives of each MirroredStrategy from the same start, so that a
    second one in the same process trips over the first one's on CPU devices.
    """
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture
def network() -> keras.Model:
    """A fresh tiny network."""
    return tiny_network()


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    """45 images of three colours with noise, and their classes: easy to learn."""
    random = np.random.default_rng(0)
    y = np.arange(45) % 3
    x = random.integers(0, 120, (45, 16, 16, 3))
    x[np.arange(45), :, :, y] += 80
    return x.astype(np.uint8), y


@pytest.fixture
def little_memory(monkeypatch) -> Callable[[float], None]:
    """A function that leaves so many bytes free, and has even the smallest need checked."""

    def leave(free: float) -> None:
        monkeypatch.setattr("tl_keras.utils.memory.available_bytes", lambda: free)
        monkeypatch.setattr("tl_keras.utils.memory.SMALL", 0)

    return leave


@pytest.fixture
def no_waiting():
    """Fail a test that waits for five minutes, as in a pipe; where that is deep inside, exit."""

    def fail(number, frame):
        pytest.fail("it waits without end")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(300)
    faulthandler.dump_traceback_later(600, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
