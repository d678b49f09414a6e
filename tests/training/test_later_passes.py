"""A dataset that fails or shrinks after its first pass ends training in one line."""

import pytest
import tensorflow as tf

import tl_keras as tl
from tests.conftest import tiny_network
from tl_keras.data import as_examples
from tl_keras.utils.errors import InputError


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """A busy machine does not make a dataset one without an end."""
    monkeypatch.setattr("tl_keras.data.dataset_scan.SECONDS_OF_A_GENERATOR", float("inf"))


def failing(blobs, after, error):
    """Return a dataset whose passes end with an error, or early, after some of them."""
    passes = []

    def examples():
        passes.append(1)
        for row, example in enumerate(zip(*blobs, strict=True)):
            if len(passes) > after and row == 20:
                if error:
                    raise OSError("the archive\nis gone")
                return
            yield example

    spec = (tf.TensorSpec((16, 16, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    return tf.data.Dataset.from_generator(examples, output_signature=spec)


FAILED = "data: reading the data failed: OSError: the archive"


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("unfreeze", [0, "all"])
def test_an_error(blobs, tmp_path, after, unfreeze):
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match=FAILED) as found:
        tl.fine_tune(
            model,
            failing(blobs, after, error=True),
            schedule=tl.Stage(3, unfreeze=unfreeze),
            cache=tl.FeatureCache(folder=tmp_path),
            verbose=False,
        )
    assert "\n" not in str(found.value) and "Traceback" not in str(found.value)


def test_fewer_examples(blobs):
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match=r"data: a later pass .* gave fewer examples than the"):
        tl.fine_tune(
            model,
            failing(blobs, 2, error=False),
            schedule=tl.Stage(3, unfreeze="all"),
            batch_size=8,
            verbose=False,
        )


def test_validation(blobs):
    model = tl.build_transfer_model(tiny_network(), 3)
    with pytest.raises(InputError, match="validation: reading the data failed: OSError"):
        tl.fine_tune(
            model,
            blobs,
            failing(blobs, 2, error=True),
            schedule=tl.Stage(3, unfreeze="all"),
            verbose=False,
        )


@pytest.mark.parametrize("stages", [1, 3])
def test_validation_with_fewer_examples(blobs, stages):
    """Its mean would be one of other examples than that of the epochs before."""
    model = tl.build_transfer_model(tiny_network(), 3)
    text = "validation: a later pass over the dataset gave 20 examples, the first one 45"
    with pytest.raises(InputError, match=text):
        tl.fine_tune(
            model,
            blobs,
            failing(blobs, 2, error=False),
            schedule=(tl.Stage(3 // stages, unfreeze="all"),) * stages,
            verbose=False,
        )


def test_fingerprints(blobs):
    with pytest.raises(InputError, match=FAILED):
        as_examples(failing(blobs, 0, error=True)).fingerprint()
    again = as_examples(failing(blobs, 1, error=True))
    assert again.fingerprint_in_order()
    with pytest.raises(InputError, match=FAILED):
        _ = again.has_fixed_order
