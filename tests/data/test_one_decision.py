"""Inspection, the training decoder and exported models agree on what is an image."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tl_keras.data.files.inspection import inspect_image
from tl_keras.inputs.decoding.images import decode_and_resize, decode_images_in
from tools.torture.mutated_images import cases, declared_sizes, sound_images

SIZE = (8, 8)


@pytest.fixture(scope="module", params=[None, (0.0, 65535.0)], ids=["8 bits", "pixel_range"])
def decoders(request, tmp_path_factory):
    """The range, the decoder of training, and that of a SavedModel."""
    pixel_range = request.param
    train = tf.function(
        lambda encoded: decode_and_resize(encoded, SIZE, pixel_range),
        input_signature=[tf.TensorSpec([], tf.string)],
    )
    module = tf.Module()
    module.serve = tf.function(
        lambda encoded: decode_images_in(encoded, SIZE, pixel_range),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    path = str(tmp_path_factory.mktemp("served"))
    tf.saved_model.save(module, path)
    return pixel_range, train, tf.saved_model.load(path).serve


def test_damaged_files_are_the_same_to_all(decoders, tmp_path):
    pixel_range, train, serve = decoders
    files = dict(itertools.chain(cases(seed=1, rounds=1), declared_sizes().items()))
    if pixel_range:  # Only PNGs are read in another way.
        files = {name: content for name, content in files.items() if name.startswith("png")}
    pixels, errors = serve(tf.constant(list(files.values())))
    disagreements, taken = [], 0
    for (name, content), served, error in zip(files.items(), pixels, errors.numpy(), strict=True):
        (tmp_path / "file").write_bytes(content)
        problem = inspect_image(tmp_path / "file", name, pixel_range)
        try:
            trained = train(content).numpy()
        except tf.errors.InvalidArgumentError:
            trained = np.zeros_like(served)
            refused = True
        else:
            refused = False
        inspected = problem is not None and not problem.usable
        if not refused == inspected == (error != b"") or (trained != served.numpy()).any():
            disagreements.append((name, refused, problem, error))
        taken += not refused
    assert not disagreements
    assert 0.1 < taken / len(files) < 0.9


def test_sound_files_are_taken(decoders):
    _, train, serve = decoders
    files = sound_images()
    del files["webp animated"]
    pixels, errors = serve(tf.constant(list(files.values())))
    assert set(errors.numpy()) == {b""}
    for (name, content), served in zip(files.items(), pixels, strict=True):
        np.testing.assert_array_equal(served, train(content), err_msg=name)


REFUSED = [
    name
    for name in declared_sizes()
    if not name.endswith(" 0") and "later frames" not in name  # These are cut off, unread.
]


@pytest.mark.parametrize("name", REFUSED)
def test_sizes_are_refused_from_the_header(decoders, name):
    """The reason is that of headers, not that decoding failed."""
    pixels, errors = decoders[2](tf.constant([declared_sizes()[name]]))
    assert errors[0].numpy().startswith(b"too large: more than 178,956,970 pixels")
    assert not pixels.numpy().any()
